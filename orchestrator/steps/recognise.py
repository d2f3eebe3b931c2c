"""What a file is, and whether it is all there, by its bytes alone; pixels are never decoded."""

from __future__ import annotations

import codecs
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

HEAD_BYTES = 1024
BLOCK_BYTES = 2**16

_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "audio/x-m4a": "audio/mp4",
    "application/x-zip-compressed": "application/zip",
    "text/json": "application/json",
}
_SAYS_NOTHING = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/binary"})


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of file.

    Attributes:
        extension: The ending of its names, without a dot.
        content_type: Its media type.
        is_whole: Whether a seekable binary file of this type is all there. It takes linear time and constant memory
            whatever the file holds; bytes after the end are tolerated where the type has an end.
    """

    extension: str
    content_type: str
    is_whole: Callable[[BinaryIO], bool] = field(repr=False, compare=False)

    def fits(self, stated: str) -> bool:
        """Return whether a content type, as a server states it, can mean this type."""
        essence = stated.partition(";")[0].strip().lower()
        if self.extension == "txt":
            return not essence.startswith(("image/", "audio/", "video/"))
        return essence in _SAYS_NOTHING or _ALIASES.get(essence, essence) == self.content_type


def kind_of(head: bytes) -> Kind | None:
    """Return the type of a file by its first bytes, or None for an unknown one.

    Args:
        head: The first `HEAD_BYTES` of the file, or all of a shorter one.
    """
    for signature, kind in _SIGNATURES:
        if signature.match(head):
            return kind
    return TEXT if head and _is_text(head) else None


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < HEAD_BYTES)
    except UnicodeDecodeError:
        return False
    return not re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", text)


def _length(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _at(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)


def _tail(file: BinaryIO, count: int) -> tuple[int, bytes]:
    """Return the last bytes of a file and where they start."""
    start = max(0, _length(file) - count)
    return start, _at(file, start, count)


def _blocks(file: BinaryIO, count: int | None = None) -> Iterator[bytes]:
    """Give the next `count` bytes, or all that is left, in blocks."""
    left = count
    while left is None or left > 0:
        block = file.read(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left))
        if not block:
            return
        left = None if left is None else left - len(block)
        yield block


def _png(file: BinaryIO) -> bool:
    """Walk the chunks with their checksums to IEND (PNG specification, 5.3)."""
    file.seek(8)
    has_pixels = False
    while len(header := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", header)
        checksum = zlib.crc32(name)
        for block in _blocks(file, length):
            checksum = zlib.crc32(block, checksum)
        if file.read(4) != checksum.to_bytes(4, "big"):
            return False
        if name == b"IEND":
            return has_pixels
        has_pixels = has_pixels or name == b"IDAT"
    return False


def _jpeg(file: BinaryIO) -> bool:
    """Walk the segments to EOI, searching for markers only inside scans (ITU T.81, annex B)."""
    file.seek(2)
    has_scan = False
    while (marker := _next_marker(file)) is not None:
        if marker == 0xD9:
            return has_scan
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            continue
        size = file.read(2)
        if len(size) < 2 or size < b"\x00\x02":
            return False
        file.seek(int.from_bytes(size, "big") - 2, os.SEEK_CUR)
        has_scan = has_scan or marker == 0xDA
    return False


def _next_marker(file: BinaryIO) -> int | None:
    """Move behind the next marker that is neither a stuffed byte nor a restart, and return it."""
    held = b""
    for block in _blocks(file):
        data = held + block
        if match := re.search(rb"\xff([^\x00\xff\xd0-\xd7])", data):
            file.seek(match.end() - len(data), os.SEEK_CUR)
            return match[1][0]
        held = data[-1:]
    return None


def _gif(file: BinaryIO) -> bool:
    """Walk the blocks to the trailer (GIF89a specification)."""
    head = _at(file, 0, 13)
    if len(head) < 13:
        return False
    file.seek(_colour_table_bytes(head[10]), os.SEEK_CUR)
    has_image = False
    while (tag := file.read(1)) in {b"!", b","}:
        if tag == b",":
            descriptor = file.read(9)
            if len(descriptor) < 9:
                return False
            file.seek(_colour_table_bytes(descriptor[8]), os.SEEK_CUR)
            has_image = True
        file.seek(1, os.SEEK_CUR)  # the extension's label, or the size of the first code
        while size := file.read(1)[:1]:
            if size == b"\x00":
                break
            file.seek(size[0], os.SEEK_CUR)
    return tag == b";" and has_image


def _colour_table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _riff(file: BinaryIO) -> bool:
    """Compare the stated size, which writers to a pipe cannot know and leave at 0 or the largest number."""
    head = _at(file, 0, 12)
    stated = int.from_bytes(head[4:8], "little")
    if head[8:12] == b"WAVE" and stated in {0, 0xFFFFFFFF}:
        return _length(file) > 44
    return 4 < stated <= _length(file) - 8


def _boxes(file: BinaryIO) -> bool:
    """Add up the top level boxes (ISO/IEC 14496-12, 4.2); index and content must be among them."""
    total = _length(file)
    offset = 0
    names = set()
    while offset < total:
        header = _at(file, offset, 16)
        if len(header) < 8:
            return False
        size, name = struct.unpack(">I4s", header[:8])
        least = 8
        if size == 1:
            size, least = int.from_bytes(header[8:16], "big"), 16
        elif size == 0:
            size = total - offset
        if size < least:
            return False
        names.add(name if name in {b"moov", b"mdat", b"meta"} else b"")
        offset += size
    return offset == total and (names >= {b"moov", b"mdat"} or b"meta" in names)


def _mp3(file: BinaryIO) -> bool:
    """Ask only that something follows the tag: the frames of a stream have no end mark (ID3v2.4, 3.1)."""
    head = _at(file, 0, 10)
    tag = 0
    if head[:3] == b"ID3":
        tag = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
    return _length(file) > tag + 4


def _pdf(file: BinaryIO) -> bool:
    return b"%%EOF" in _tail(file, 2048)[1]


def _zip(file: BinaryIO) -> bool:
    """Find the end record, and the directory that it names before it (APPNOTE, 4.3.16)."""
    start, tail = _tail(file, 22 + 0xFFFF)
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) < found + 22:
        return False
    size, offset, comment = struct.unpack("<IIH", tail[found + 12 : found + 22])
    is_zip64 = 0xFFFFFFFF in (size, offset)
    return found + 22 + comment <= len(tail) and (is_zip64 or size + offset <= start + found)


def _glb(file: BinaryIO) -> bool:
    stated = int.from_bytes(_at(file, 8, 4), "little")
    return 12 < stated <= _length(file)


def _svg(file: BinaryIO) -> bool:
    return b"</svg>" in _tail(file, HEAD_BYTES)[1]


def _json(file: BinaryIO) -> bool:
    """Wait for the bracket that closes the first one."""
    file.seek(0)
    depth = 0
    in_text = False
    base, escaped = 0, -1
    for block in _blocks(file):
        for match in re.finditer(rb'["\\\[\]{}]', block):
            mark, place = match[0], base + match.start()
            if place == escaped:
                continue
            if in_text:
                in_text = mark != b'"'
                escaped = place + 1 if mark == b"\\" else -1
            elif mark == b'"':
                in_text = True
            elif mark != b"\\":
                depth += 1 if mark in b"[{" else -1
                if depth == 0:
                    return True
        base += len(block)
    return False


def _any_length(file: BinaryIO) -> bool:
    return _length(file) > 0


def _never(_file: BinaryIO) -> bool:
    return False


TEXT = Kind("txt", "text/plain", _any_length)
HTML = Kind("html", "text/html", _never)
JSON = Kind("json", "application/json", _json)

# Declarations and comments before the first element; possessive, so that no input makes it slow.
_PROLOGUE = rb"(?is)(?:\xef\xbb\xbf)?(?>\s+|<\?xml[^>]*>|<!--.*?-->|<!doctype\s+svg[^>]*>)*+"

_SIGNATURES: tuple[tuple[re.Pattern[bytes], Kind], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), Kind("png", "image/png", _png)),
    (re.compile(rb"\xff\xd8\xff"), Kind("jpg", "image/jpeg", _jpeg)),
    (re.compile(rb"(?s)RIFF....WEBP"), Kind("webp", "image/webp", _riff)),
    (re.compile(rb"(?s)RIFF....WAVE"), Kind("wav", "audio/wav", _riff)),
    (re.compile(rb"GIF8[79]a"), Kind("gif", "image/gif", _gif)),
    (re.compile(rb"(?s)....ftypqt  "), Kind("mov", "video/quicktime", _boxes)),
    (re.compile(rb"(?s)....ftypavi[fs]"), Kind("avif", "image/avif", _boxes)),
    (re.compile(rb"(?s)....ftyp(?:hei|hev)"), Kind("heic", "image/heic", _boxes)),
    (re.compile(rb"(?s)....ftypM4A"), Kind("m4a", "audio/mp4", _boxes)),
    (re.compile(rb"(?s)....ftyp"), Kind("mp4", "video/mp4", _boxes)),
    (re.compile(rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]"), Kind("mp3", "audio/mpeg", _mp3)),
    (re.compile(rb"%PDF-"), Kind("pdf", "application/pdf", _pdf)),
    (re.compile(rb"PK(?:\x03\x04|\x05\x06)"), Kind("zip", "application/zip", _zip)),
    (re.compile(rb"glTF"), Kind("glb", "model/gltf-binary", _glb)),
    (re.compile(_PROLOGUE + rb"<(?:!doctype\s+html|html|head|body|title|script|meta|center|h1)\b"), HTML),
    (re.compile(_PROLOGUE + rb"<svg\b"), Kind("svg", "image/svg+xml", _svg)),
    (re.compile(rb'\s*(?:\{\s*["}]|\[\s*(?:["\[{\]\d-]|true|false|null))'), JSON),
)

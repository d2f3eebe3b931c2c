"""Words kept in a picture's file: text chunks of a PNG, XMP of a WebP."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final
from xml.sax.saxutils import escape

from PIL import Image, PngImagePlugin

OWN: Final = "orchestrator"
"""The keyword of what programs read: an object of JSON. The others are those that PNG itself has (section 11.3.3)."""

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEADER_BYTES: Final = 25
_XMP: Final = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:own="urn:orchestrator:1">{}'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)
_IN_XMP: Final = {
    "Title": '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt></dc:title>',
    "Description": '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt></dc:description>',
    "Source": "<dc:source>{}</dc:source>",
    "Software": "<xmp:CreatorTool>{}</xmp:CreatorTool>",
    OWN: "<own:json>{}</own:json>",
}
_UNFIT: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)))
"""Characters that XML 1.0 does not know."""


def text_chunks(texts: Mapping[str, str]) -> bytes:
    """Return the chunks of PNG (`iTXt`, UTF-8) that hold texts by their keywords."""
    return b"".join(_chunk(keyword, text) for keyword, text in texts.items())


def copy_png(source: IO[bytes], target: IO[bytes], texts: Mapping[str, str]) -> None:
    """Copy a PNG and put texts into the copy; its pixels are the same, byte by byte.

    What turns out to be no PNG is copied as it is.
    """
    head = source.read(len(_SIGNATURE) + _HEADER_BYTES)
    target.write(head)
    if head.startswith(_SIGNATURE + b"\x00\x00\x00\rIHDR"):
        target.write(text_chunks(texts))
    shutil.copyfileobj(source, target, 2**20)


def xmp(texts: Mapping[str, str]) -> bytes:
    """Return texts as a packet of XMP."""
    told = "".join(_IN_XMP[keyword].format(escape(text.translate(_UNFIT))) for keyword, text in texts.items())
    return _XMP.format(told).encode()


def save(picture: Image.Image, path: Path, ending: str, texts: Mapping[str, str], quality: int) -> None:
    """Save a picture with texts in it, as WebP where the ending is `.webp`, else as PNG.

    Raises:
        OSError: It cannot be written.
    """
    if ending.lower() != ".webp":
        info = PngImagePlugin.PngInfo()
        for keyword, text in texts.items():
            info.add_itxt(keyword, text.translate(_UNFIT))
        picture.save(path, "PNG", pnginfo=info)
        return
    picture.save(path, "WEBP", quality=quality, method=4, xmp=xmp(texts))


def _chunk(keyword: str, text: str) -> bytes:
    body = keyword.encode("latin-1") + b"\x00\x00\x00\x00\x00" + text.translate(_UNFIT).encode()
    content = b"iTXt" + body
    return struct.pack(">I", len(body)) + content + struct.pack(">I", zlib.crc32(content))

"""Small pictures of outputs, made with care: a file from the network may be broken, huge or no picture at all."""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from PIL import ExifTags, Image, ImageOps

from orchestrator.drafts import draft_of
from orchestrator.lifecycle import Output
from orchestrator.output.checked import Condition, condition_of
from orchestrator.output.gallery.data import NOTHING, Preview
from orchestrator.output.gallery.place import Place

SIDE: Final = 384
"""Pixels of a thumbnail's longer side."""
QUALITY: Final = 82
MOST_PIXELS: Final = 36_000_000
"""Larger pictures are shown as they are: to decode one would take more memory than the whole rest of the program."""
MOST_BYTES: Final = 32_000_000
MOST_BESIDE: Final = 4_000_000
"""Of a larger file, which its decoder may read whole, there is no thumbnail; but of a PNG, which is read bit by bit,
where no more than the second number stands beside its pixels."""
SMALL_BYTES: Final = 24_000
"""A file up to this size whose picture is no larger than a thumbnail is its own."""
MOST_TEXT: Final = 2000
MOST_TEXT_BYTES: Final = 1_000_000
_LYING: Final = range(5, 9)
"""Orientations of EXIF that turn a picture by a quarter."""
FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "AVIF")


def preview(place: Place, output: Output, *, draws: bool = True) -> Preview:
    """Return what the page shows of an output; whatever is wrong with the file, the page shows the file itself.

    Args:
        place: Where the page lies; thumbnails are put there under the hash of what they show.
        output: A file of the run folder.
        draws: Whether a thumbnail that does not stand yet is made; of a file that is damaged there is none.
    """
    path = place.run_folder / output.path
    if not path.is_file():  # to open a pipe that lies there would wait for its other end
        return NOTHING
    if output.content_type.startswith("image/"):
        return _of_picture(place, output, path, draws=draws)
    if output.content_type in {"application/json", "raw"} or output.content_type.startswith("text/"):
        return Preview(text=_beginning(path))
    return NOTHING


def _of_picture(place: Place, output: Output, path: Path, *, draws: bool) -> Preview:
    target = place.thumbnails / output.sha256[:2] / f"{output.sha256[2:22]}.webp"
    try:
        with opened(path) as picture:
            width, height = _size(picture)
            is_small = output.bytes <= SMALL_BYTES and max(width, height) <= SIDE
            if is_small or width * height > MOST_PIXELS:
                return Preview(None, width, height)
            if draws and not target.is_file() and condition_of(place.run_folder, output) is Condition.OK:
                _draw(picture, target)
    except Exception:  # noqa: BLE001 - decoders raise anything; the browser may still know better
        return NOTHING
    thumbnail = target.relative_to(place.folder).as_posix() if target.is_file() else None
    return Preview(thumbnail, width, height)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture, of which nothing is decoded yet.

    Raises:
        ValueError: What its decoder would read at once is too much.
        Exception: It is no picture; decoders raise anything.
    """
    with path.open("rb") as file, warnings.catch_warnings():
        if path.stat().st_size > MOST_BYTES and not _is_lean(file):
            raise ValueError("The file is too large for a small picture of it.")
        file.seek(0)
        warnings.simplefilter("ignore")  # about sizes: who opens it looks at them
        with Image.open(file, formats=FORMATS) as picture:
            yield picture


def _is_lean(file: BinaryIO) -> bool:
    """Return whether a file is a PNG that holds little but pixels (PNG specification, 5.3)."""
    beside, name = 0, b""
    if file.read(8) != b"\x89PNG\r\n\x1a\n":
        return False
    while name != b"IEND" and len(head := file.read(8)) == 8 and beside <= MOST_BESIDE:
        length, name = struct.unpack(">I4s", head)
        beside += 12 if name == b"IDAT" else 12 + length
        file.seek(length + 4, 1)
    return beside <= MOST_BESIDE


def _size(picture: Image.Image) -> tuple[int, int]:
    """Return width and height as the picture is meant to be seen."""
    width, height = picture.size
    if picture.format == "JPEG" and picture.getexif().get(ExifTags.Base.Orientation, 1) in _LYING:
        return height, width
    return width, height


def _draw(picture: Image.Image, target: Path) -> None:
    profile = picture.info.get("icc_profile")
    small = upright(picture, SIDE)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(target)
    small.save(draft, "WEBP", quality=QUALITY, method=2, icc_profile=profile or b"", exif=b"")
    draft.replace(target)


def upright(picture: Image.Image, side: int) -> Image.Image:
    """Return a picture as it is meant to be seen, in colours that WebP knows, its longer side no longer than that."""
    picture.draft("RGB", (side, side))
    small = ImageOps.exif_transpose(picture)
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if small.mode in {"RGB", "RGBA"}:
        return small
    return small.convert("RGBA" if "A" in small.mode or "transparency" in small.info else "RGB")


def _beginning(path: Path) -> str | None:
    """Return the first words of a text output; an answer of a language model stands under `answer` or `raw`."""
    try:
        if path.stat().st_size > MOST_TEXT_BYTES:
            return None
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        return None
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return text[:MOST_TEXT]
    if isinstance(held, dict):
        said = held.get("answer") or held.get("raw") or held.get("text")
        text = "\n".join(map(str, said)) if isinstance(said, list) else str(said) if said else text
    return text[:MOST_TEXT]

"""Copies of outputs as they are handed on: with their parameters in them, or reduced; the originals stay untouched."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from orchestrator.lifecycle import Output
from orchestrator.output.checked import Checked, Condition
from orchestrator.output.export.choice import Chosen
from orchestrator.output.export.embedding import OWN, copy_png, xmp
from orchestrator.output.export.rows import entry
from orchestrator.output.gallery.data import NOTHING, Preview
from orchestrator.output.gallery.place import Place
from orchestrator.output.gallery.thumbnails import MOST_PIXELS, opened, preview, upright

FORMAT: Final = 1
QUALITY: Final = 86


@dataclass(frozen=True, slots=True)
class Pictures:
    """How pictures are handed on.

    Attributes:
        side: Pixels of the longer side of reduced ones, which are WebP; None for the files as they are.
        embeds: Whether the parameters are written into the copies.
    """

    side: int | None = None
    embeds: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """An output as it is handed on.

    Attributes:
        output: What is told of it.
        preview: What the page shows of it.
        content: Its bytes; None where they are the file's own.
        is_left_out: Whether there is no file to hand on, for it is not what was recorded of it.
    """

    output: Output
    preview: Preview
    content: bytes | None = None
    is_left_out: bool = False


def copies(place: Place, chosen: Chosen, pictures: Pictures, checked: Checked, head: Mapping[str, str]) -> list[Copy]:
    """Return the copies of a task's outputs; a file that is as it came is handed on, whatever is wrong with it.

    Args:
        place: Where the page lies; thumbnails that do not stand yet are put there.
        chosen: The task.
        pictures: How pictures are handed on.
        checked: Says which files are as they came.
        head: The run's `name` and `model`.

    Raises:
        OSError: A file cannot be read.
    """
    texts = texts_of(chosen, head) if pictures.embeds else {}
    return [
        _copy(place, output, pictures.side, texts)
        if checked.look(output) is Condition.OK
        else Copy(output, NOTHING, is_left_out=True)
        for output in chosen.record.outputs
    ]


def texts_of(chosen: Chosen, head: Mapping[str, str]) -> dict[str, str]:
    """Return the words that are kept in a picture of a task: for people, and for programs its parameters as JSON."""
    told = entry(chosen, head["model"])
    names = ("task", "index", "repeat", "parameters", "axes", "labels")
    model = chosen.record.task.model or head["model"]
    held = {"format": FORMAT, **head, "model": model, **{name: told[name] for name in names}}
    texts = {
        "Title": head["name"],
        "Description": str(told["parameters"].get("prompt", "")),
        "Source": model,
        "Software": "orchestrator",
        OWN: json.dumps(held, ensure_ascii=False),
    }
    return {keyword: text for keyword, text in texts.items() if text}


def _copy(place: Place, output: Output, side: int | None, texts: Mapping[str, str]) -> Copy:
    shown = preview(place, output)
    path = place.run_folder / output.path
    if side is not None and output.content_type.startswith("image/"):
        small = _reduced(path, side, texts)
        if small is not None and (texts or len(small[0]) < output.bytes):
            content, (width, height) = small
            name = str(PurePosixPath(output.path).with_suffix(".webp"))
            told = replace(output, path=name, content_type="image/webp", bytes=len(content))
            return Copy(told, replace(shown, width=width, height=height), content)
    if texts and output.content_type == "image/png":
        held = io.BytesIO()
        with path.open("rb") as file:
            copy_png(file, held, texts)
        return Copy(replace(output, bytes=held.tell()), shown, held.getvalue())
    return Copy(output, shown)


def _reduced(path: Path, side: int, texts: Mapping[str, str]) -> tuple[bytes, tuple[int, int]] | None:
    """Return a picture as a WebP whose longer side is no longer than that, and its size; None where there is no way."""
    held = io.BytesIO()
    try:
        with opened(path) as picture:
            if picture.width * picture.height > MOST_PIXELS or getattr(picture, "is_animated", False):
                return None
            profile = picture.info.get("icc_profile") or b""
            small = upright(picture, side)
            packet = xmp(texts) if texts else b""
            small.save(held, "WEBP", quality=QUALITY, method=4, icc_profile=profile, exif=b"", xmp=packet)
    except Exception:  # noqa: BLE001 - decoders raise anything; the file is handed on as it is
        return None
    return held.getvalue(), small.size

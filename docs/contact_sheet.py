"""Draw a run's pictures as one sheet: a column for each value of the last axis, a row for each cell of the others.

The picture in the README: `python docs/contact_sheet.py outputs/quickstart-emulated docs/quickstart.png`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

SIDE = 130
GAP = 6
LEFT = 84
TOP = 30
COLOURS = 200
FONT = ImageFont.load_default(12)

Entry = dict[str, Any]


def main(run_folder: Path, target: Path) -> None:
    """Draw the sheet of a run folder."""
    with (run_folder / "manifest.jsonl").open(encoding="utf-8") as lines:
        entries = [entry for entry in map(json.loads, lines) if entry["outputs"]]
    columns = list(dict.fromkeys(words(entry)[-1] for entry in entries))
    rows = list(dict.fromkeys(tuple(words(entry)[:-1]) for entry in entries))
    sheet = Image.new("RGB", (LEFT + len(columns) * (SIDE + GAP), TOP + len(rows) * (SIDE + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, name in enumerate(columns):
        draw.text((LEFT + number * (SIDE + GAP), TOP - 8), fitted(draw, name), "black", FONT, anchor="ls")
    for number, names in enumerate(rows):
        draw.text((GAP, TOP + number * (SIDE + GAP) + SIDE // 2), "\n".join(names), "black", FONT, anchor="lm")
    for entry in entries:
        *row, column = words(entry)
        place = (LEFT + columns.index(column) * (SIDE + GAP), TOP + rows.index(tuple(row)) * (SIDE + GAP))
        with Image.open(run_folder / entry["outputs"][0]["path"]) as picture:
            sheet.paste(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), place)
    sheet.quantize(COLOURS).save(target, optimize=True)


def words(entry: Entry) -> list[str]:
    """Return what stands for each axis: its label, else its name and value."""
    return [entry["labels"].get(name) or shown(name, value) for name, value in entry["axes"].items()]


def shown(name: str, value: object) -> str:
    """Return a text as it is, and a number with the axis' name before it."""
    return value if isinstance(value, str) else f"{name} {value}"


def fitted(draw: ImageDraw.ImageDraw, text: str) -> str:
    """Return a text that is no wider than a picture."""
    while draw.textlength(text, FONT) > SIDE:
        text = text.removesuffix("…")[:-1] + "…"
    return text


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

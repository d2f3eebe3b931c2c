"""Contact sheets: pictures of a run side by side in one picture, with labels along both sides."""

from orchestrator.output.sheet.axes import Axis, axes_of
from orchestrator.output.sheet.drawing import LOOKS, Artist
from orchestrator.output.sheet.grid import Sheet, Sides, arranged, sheets
from orchestrator.output.sheet.layout import Layout, laid_out
from orchestrator.output.sheet.lettering import Lettering

__all__ = [
    "Axis",
    "Layout",
    "Lettering",
    "LOOKS",
    "Artist",
    "Sheet",
    "Sides",
    "arranged",
    "axes_of",
    "laid_out",
    "sheets",
]

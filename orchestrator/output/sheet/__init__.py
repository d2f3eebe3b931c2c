"""Contact sheets: the pictures of a run side by side in one picture, with labels along both sides."""

from orchestrator.output.sheet.drawing import COLOURS
from orchestrator.output.sheet.files import SUFFIX, ContactSheets, Look, contact_sheets

__all__ = ["COLOURS", "SUFFIX", "ContactSheets", "Look", "contact_sheets"]

"""What leaves a run folder as tables and as an archive of the page."""

from orchestrator.output.export.archive import Archive
from orchestrator.output.export.choice import Choice, Chosen
from orchestrator.output.export.copies import Pictures
from orchestrator.output.export.drafts import whole
from orchestrator.output.export.part import status_of
from orchestrator.output.export.tables import TABLES, Content

__all__ = ["TABLES", "Archive", "Choice", "Chosen", "Content", "Pictures", "status_of", "whole"]

"""The page of a run folder: what it is told, where that stands, and the page itself."""

from orchestrator.output.gallery.build import Built, build
from orchestrator.output.gallery.data import Coder
from orchestrator.output.gallery.keeper import PageKeeper
from orchestrator.output.gallery.place import Place

__all__ = ["Built", "Coder", "PageKeeper", "Place", "build"]

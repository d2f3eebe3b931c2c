"""The page of a run folder: what it is told, where that stands, and the page itself."""

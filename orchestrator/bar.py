"""The bar on a terminal; what draws it takes long to import."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text


class Bar(Progress):
    """A bar, and below it what is waited for.

    Attributes:
        below: Lines; what is too long for the terminal is cut.
    """

    below: Sequence[str] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        """See `Progress.get_renderables`."""
        yield from super().get_renderables()
        for told in self.below:
            yield Text(told, style="dim", no_wrap=True, overflow="ellipsis")


def bar(stream: TextIO) -> Bar:
    """Return a bar that is not shown yet, with the words of its one task behind it."""
    columns = (
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total}  {task.fields[words]}"),  # one: the end of it is cut, if any
    )
    return Bar(*columns, console=Console(file=stream), transient=True, refresh_per_second=4)

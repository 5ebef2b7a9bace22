"""A progress bar with the time left, on stderr, where that is a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")


def shown(items: Iterable[_Item], what: str, total: int) -> Iterator[_Item]:
    """The items, with a bar that moves on as each has been dealt with."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.theme import Theme

    # In rich's own green and cyan the figures can hardly be read on white.
    theme = Theme({"progress.download": "default", "progress.remaining": "default"})
    console = Console(stderr=True, theme=theme)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        for item in items:
            yield item
            progress.advance(task)

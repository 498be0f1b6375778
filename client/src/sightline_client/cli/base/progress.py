"""Progress bars of long work, on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from sightline_client.cli.base import running
from sightline_client.cli.language import _
from sightline_client.cli.show.grids import plain


class _Rows(ProgressColumn):
    """Rows so far, rows per second, rejected rows."""

    def render(self, task: Task) -> Text:
        rows, refused = task.fields["rows"], task.fields["refused"]
        if rows is None:
            return Text("")
        speed = rows / task.elapsed if task.elapsed else 0.0
        speed_text = _("{rows:,} rows, {speed:,.0f}/s", rows=rows, speed=speed)
        return Text(speed_text + (_(", {refused:,} rejected", refused=refused) if refused else ""))


class Meter:
    """One bar."""

    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress = progress
        self._task = task

    def at(
        self, done: float, total: float | None = None, rows: int | None = None, refused: int = 0
    ) -> None:
        """Show that `done` of `total` units are finished."""
        self._progress.update(
            self._task, completed=done, total=total or None, rows=rows, refused=refused
        )


@contextmanager
def meter(words: str, total: float | None = None, *, stays: bool = True) -> Iterator[Meter]:
    """Show a progress bar on a terminal, moving to and fro while the total is unknown; nothing if
    standard error is a file. ``stays``: leave it visible at the end."""
    console = running.console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        _Rows(),
        TextColumn(_("elapsed")),
        TimeElapsedColumn(),
        TextColumn(_("left")),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=not stays,
    )
    with progress:
        yield Meter(progress, progress.add_task(plain(words), total=total, rows=None, refused=0))

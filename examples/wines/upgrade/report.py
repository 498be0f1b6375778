"""Prints a roll-out: its timeline, who answered, how fast, and what was wrong."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from examples.wines.upgrade.model import Moment, Played, counts, faults, seconds_by_phase


def parts(played: Played) -> Iterator[RenderableType]:
    """Yield what is printed, from top to bottom."""
    yield _table("Timeline", ("since", "what"), _timeline(played))
    yield _table("Answers", ("asked with", "generation", "answers"), _counts(played))
    yield _table(
        "How long the watchers waited", ("phase", "answers", "p50 ms", "p99 ms"), _waits(played)
    )
    wrong = faults(played)
    yield from (Text(f"Wrong: {fault}", style="bold red") for fault in wrong)
    if not wrong:
        yield Text(
            f"{len(played.seen):,} requests: none failed, none was degraded, none mixed two"
            " generations.",
            style="bold green",
        )


def line(moment: Moment) -> str:
    """Return a moment as a line."""
    return f"{moment.time:%H:%M:%S} {moment.told}"


def _timeline(played: Played) -> Iterator[tuple[str, ...]]:
    begin = played.timeline[0].time
    for moment in played.timeline:
        yield f"{(moment.time - begin).total_seconds():.2f} s", moment.told


def _counts(played: Played) -> Iterator[tuple[str, ...]]:
    for (kind, generation), count in sorted(counts(played.seen).items()):
        yield kind, generation or "the index was not asked", f"{count:,}"


def _waits(played: Played) -> Iterator[tuple[str, ...]]:
    for phase, seconds in seconds_by_phase(played).items():
        yield (
            phase,
            f"{len(seconds):,}",
            *(
                f"{1e3 * _quantile(seconds, share):.0f}" if seconds else "–"
                for share in (0.5, 0.99)
            ),
        )


def _quantile(ascending: Sequence[float], share: float) -> float:
    """Return a quantile by nearest rank."""
    return ascending[min(int(share * len(ascending)), len(ascending) - 1)]


def _table(title: str, headers: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=Text(title, style="bold"), title_justify="left")
    for header in headers:
        table.add_column(header)
    for row in rows:
        table.add_row(*map(Text, row))
    return table

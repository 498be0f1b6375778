"""Imports: products from a folder of photos until they can be found, and events from files."""

from collections.abc import Callable
from typing import TypeAlias

from bench import events, photos
from bench.model import Result
from examples.wines.local import own_suite

Say: TypeAlias = Callable[[str], None]


def run(say: Say) -> Result:
    """Starts a suite, measures, stops it."""
    return _run(events.SHORTER, say)


def full(say: Say) -> Result:
    """The same with a longer file of events."""
    return _run(events.LONG, say)


def _run(rows: int, say: Say) -> Result:
    root, files = photos.find()
    with own_suite(say) as suite:
        chunks = photos.measure(suite, root, files, say) if files else []
        found = events.measure(suite, rows, say)
    return result(chunks, found)


def result(chunks: list[photos.Chunk], found: events.Measured) -> Result:
    """Tables, figures and goals of what was measured."""
    warnings = []
    if not chunks:
        warnings.append("there are no photos in $SIGHTLINE_DATA/clothing: see bench/README.md")
    if found.long.rows < events.LONG:
        warnings.append(
            f"{events.LONG:,} event rows are taken with --full alone: here {found.long.rows:,} were"
        )
    return Result(
        tables=(*([photos.table(chunks)] if chunks else []), events.table(found)),
        figures={
            "photos": photos.figures(chunks) if chunks else None,
            "events": events.figures(found),
        },
        goals=(photos.goal(chunks), *events.goals(found)),
        warnings=tuple(warnings),
    )

"""Imports: products from a folder of photos and from a table without photos, until they are
searchable, and events from files.
"""

from collections.abc import Callable
from typing import TypeAlias

from bench.cases import events, photos, text_imports
from bench.harness.model import BenchResult
from bench.peers import sentences
from examples.wines.local import own_suite

Say: TypeAlias = Callable[[str], None]

EVERY = 3
"""Fraction of the photos: all of them would take `make bench` beyond its twenty minutes."""


def run(say: Say) -> BenchResult:
    """Start a suite, measure, stop it."""
    return _run(events.SHORTER, text_imports.SHORTER, EVERY, say)


def full(say: Say) -> BenchResult:
    """Measure all photos, and longer files of products and events."""
    return _run(events.LONG, text_imports.LONG, 1, say)


def _run(rows: int, products: int, every: int, say: Say) -> BenchResult:
    root, files = photos.find()
    files = files[::every]
    with own_suite(say) as suite:
        chunks = photos.measure(suite, root, files, say) if files else []
        texts = text_imports.measure(suite, products, say) if sentences.there() else []
        found = events.measure(suite, rows, say)
    return result(chunks, texts, found)


def result(
    chunks: list[photos.PhotoChunk], texts: list[text_imports.TextChunk], found: events.EventFigures
) -> BenchResult:
    """Return tables, figures and goals of the measurements."""
    warnings = []
    if not chunks:
        warnings.append("there are no photos in $SIGHTLINE_DATA/clothing: see bench/README.md")
    if sum(chunk.products for chunk in texts) < text_imports.LONG // 2:
        warnings.append(
            f"{text_imports.LONG:,} products without photos are imported only with --full"
        )
    if found.long.rows < events.LONG:
        warnings.append(
            f"{events.LONG:,} event rows are imported only with --full; this run imported"
            f" {found.long.rows:,}"
        )
    return BenchResult(
        tables=(
            *([photos.table(chunks)] if chunks else []),
            *([text_imports.table(texts)] if texts else []),
            events.table(found),
        ),
        figures={
            "photos": photos.figures(chunks) if chunks else None,
            "texts": text_imports.figures(texts) if texts else None,
            "events": events.figures(found),
        },
        goals=(
            photos.goal(chunks),
            photos.goal_with_titles(chunks),
            text_imports.goal(texts),
            *events.goals(found),
        ),
        warnings=tuple(warnings),
    )

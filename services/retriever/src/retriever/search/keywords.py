"""A search by words: the products that have words of a text, that pass a filter.

It reads the record alone, so it works without engine and models, and sees every write at once.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from retriever.columns.keeper import Columns
from retriever.domain.errors import KeywordsInvalid
from retriever.domain.generation import DEFAULT_SPACE
from retriever.domain.index_values import Collapse
from retriever.domain.words import asked_words
from retriever.ports.search import SearchRecord
from retriever.search.candidates import Candidates, recorded_cosines
from retriever.search.collapse import choose
from retriever.search.exact import Ordered
from retriever.search.query import DEFAULT_TOP_K, EVERYTHING, check_limits
from retriever.search.search import Measure
from sightline_rules.filters import Filter

MOST_TEXT = 4_096
"""Characters."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for."""

    catalog_id: str
    text: str
    condition: Filter = EVERYTHING
    top_k: int = DEFAULT_TOP_K
    excluded: tuple[str, ...] = ()
    collapse: Collapse = Collapse.DROP


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search found, best first."""

    candidates: Candidates
    """`similarities`: how well each matches, 0 to 1 (words.match)."""
    plan: str


async def search(
    query: Query,
    record: SearchRecord,
    measure: Measure = lambda _: contextlib.nullcontext(),
    *,
    columns: Columns | None = None,
) -> Answer:
    """The products that match best; no word, or none that any product has, finds none.

    Raises KeywordsInvalid, RequestInvalid.
    """
    check(query)
    asked = asked_words(query.text)
    columns = columns or Columns(record, exact_rows=0)
    with measure("words"):
        named = await _named(query, asked, record, columns) if asked else []
    with measure("hydrate"):
        found = await _ordered(query, named, record, columns)
    candidates = Candidates.of(found, query.top_k, query.collapse)
    return Answer(candidates, f"words: {len(asked)} asked, {len(named)} products match")


async def _named(
    query: Query, asked: Sequence[str], record: SearchRecord, columns: Columns
) -> list[tuple[str, float]]:
    """Products and how well they match, best first; in memory where a catalog's words are."""
    excluded = frozenset(query.excluded)
    held = await columns.words(query.catalog_id)
    if held is None:
        return await record.find_words(query.catalog_id, asked, query.condition, excluded)
    view, words = held
    passing = partial(view.conditions.passing, query.condition)
    return words.best(asked, view.table, passing, excluded)


def check(query: Query) -> None:
    """Raises KeywordsInvalid, RequestInvalid."""
    if not query.text:
        raise KeywordsInvalid.at("text", "is empty; give what was typed")
    if len(query.text) > MOST_TEXT:
        raise KeywordsInvalid.at("text", f"has {len(query.text)} characters; at most {MOST_TEXT}")
    check_limits(query.top_k, query.excluded)


async def _ordered(
    query: Query, named: list[tuple[str, float]], record: SearchRecord, columns: Columns
) -> Ordered:
    """The products named, but for those that were deleted since."""
    view = await columns.of(query.catalog_id, [product_id for product_id, _ in named])
    places = view.table.places([product_id for product_id, _ in named])
    held = np.flatnonzero(places >= 0)
    cosines = None
    if query.collapse is not Collapse.OFF:
        # Its vectors say of doubtful pairs of photos whether they are one picture.
        looks = await record.generation(query.catalog_id, DEFAULT_SPACE)
        cosines = recorded_cosines(view, record, looks)
    return Ordered(
        view,
        places[held],
        [named[row][1] for row in held.tolist()],
        [""] * len(held),
        await choose(view.table, places[held], view.table.places([]), query.top_k, cosines),
        len(named),
    )

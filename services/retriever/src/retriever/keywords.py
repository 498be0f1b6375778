"""A search by words: the products that have words of a text, that pass a filter.

It reads the record alone, so it works without engine and models, and sees every write at once.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from retriever.collapse import Grouping
from retriever.model import Collapse, KeywordsInvalid
from retriever.ports import KeywordRecord
from retriever.search import (
    DEFAULT_SPACE,
    DEFAULT_TOP_K,
    EVERYTHING,
    HYDRATED,
    MAX_EXCLUDED,
    MAX_TOP_K,
    Found,
    Match,
    Measure,
    page,
)
from retriever.search import Query as VectorQuery
from retriever.words import asked_words
from servicekit.errors import FieldViolation
from servicekit.requests import RequestInvalid
from sightline_rules.duplicates import Group
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

    matches: list[Match]
    """`similarity`: how well each matches, 0 to 1 (words.match)."""
    collapsed: list[tuple[str, ...]]
    """The near-duplicates of each match; empty = they were not looked for."""
    plan: str


async def search(
    query: Query,
    record: KeywordRecord,
    measure: Measure = lambda _: contextlib.nullcontext(),
) -> Answer:
    """The products that match best; no word, or none that any product has, finds none.

    Raises KeywordsInvalid, RequestInvalid.
    """
    check(query)
    asked = asked_words(query.text)
    with measure("words"):
        named = (
            await record.find_words(
                query.catalog_id, asked, query.condition, frozenset(query.excluded)
            )
            if asked
            else []
        )
    with measure("hydrate"):
        found = await _hydrate(query, named, record)
    kept = VectorQuery(query.catalog_id, top_k=query.top_k, collapse=query.collapse)
    matches, collapsed = page(found, kept)
    return Answer(matches, collapsed, f"words: {len(asked)} asked, {len(named)} products match")


def check(query: Query) -> None:
    """Raises KeywordsInvalid, RequestInvalid."""
    if not query.text:
        raise KeywordsInvalid("is empty; give what was typed")
    if len(query.text) > MOST_TEXT:
        raise KeywordsInvalid(f"has {len(query.text)} characters; at most {MOST_TEXT}")
    wrong = []
    if not 1 <= query.top_k <= MAX_TOP_K:
        wrong.append(FieldViolation("top_k", f"must be from 1 to {MAX_TOP_K}, or 0"))
    if len(query.excluded) > MAX_EXCLUDED:
        wrong.append(FieldViolation("exclude_product_ids", f"takes at most {MAX_EXCLUDED} ids"))
    if wrong:
        raise RequestInvalid(*wrong)


async def _hydrate(query: Query, named: list[tuple[str, float]], record: KeywordRecord) -> Found:
    """The products named, so many as it takes to fill the answer once near-duplicates are one."""
    found, start = Found(), 0
    grouping = None
    if query.collapse is not Collapse.OFF:
        # Its vectors say of doubtful pairs of photos whether they are one picture.
        looks = await record.generation(query.catalog_id, DEFAULT_SPACE)
        grouping = Grouping(looks, ())
    while start < len(named) and len(found.groups) < query.top_k:
        some = named[start : start + max(query.top_k - len(found.groups), HYDRATED)]
        start += len(some)
        products = await record.get(query.catalog_id, [product_id for product_id, _ in some])
        # One that was deleted since is passed over.
        found.matches += [
            Match(products[product_id], how_well, "")
            for product_id, how_well in some
            if product_id in products
        ]
        everything = [match.product for match in found.matches]
        found.groups = (
            [Group(place) for place in range(len(everything))]
            if grouping is None
            else await grouping.groups(everything, record)
        )
    return found

"""Listings: all products that pass, in an order, page by page. Exact, on columns in memory.

The order is that of the first page: a product whose value changes keeps its place on later pages,
so that it is neither repeated nor the cause that another one is skipped. Each process knows the
former values since it read the catalog, 100,000 for each field; beyond them the current ones count.
By RELEVANCE a product keeps its place unless its own words change: the page token has the
statistics by which words count.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from retriever.columns.arrays import Flags, Ints
from retriever.columns.column import AskedFacet
from retriever.columns.column_cache import Columns, View
from retriever.columns.facets import Counting, Facet
from retriever.columns.ordering import (
    GROUPS,
    OrderedColumn,
    SortKeys,
    SortPosition,
    collapse,
    first,
    keys_of,
    tie_of,
    variants,
)
from retriever.columns.table import ProductTable
from retriever.columns.word_index import Matches
from retriever.domain.errors import ColumnsUnavailable
from retriever.domain.synonyms import AskedWords
from retriever.domain.words import WordStatistics, in_market
from retriever.record import Record
from retriever.search.query import EVERYTHING
from retriever.search.word_forms import with_forms
from servicekit.errors import FieldViolation
from servicekit.rpc.requests import PageTokenInvalid, RequestInvalid, page_place, page_token
from servicekit.tasks.off_loop import off_loop
from sightline_core.columns import Stamp
from sightline_rules.evaluation.work import Work
from sightline_rules.fields import ORDERS
from sightline_rules.filters import Filter
from sightline_rules.markets import named
from sightline_rules.synonyms import NO_SYNONYMS, Synonyms

RANKED = "RANKED"
"""Order by a list of products of the request; the others follow, newest first."""
RELEVANCE = "RELEVANCE"
"""Order by the matches of a text's words; equal matches by the list of RANKED."""
_PRECISION = 10**12
"""Matches count as equal if they differ by less than its inverse: sums of floats are not exact."""
MOST_PAGE = 1_000
MOST_EXCLUDED = 10_000
MOST_RANKED = 10_000
MOST_TEXT = 4_096
_CREATED = "create_time"
_COUNT = re.compile("[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class ListingQuery:
    """Request for a page of a listing."""

    catalog_id: str
    order: str
    """Key of ORDERS, RANKED or RELEVANCE."""
    condition: Filter = EVERYTHING
    size: int = 0
    token: str = ""
    text: str = ""
    """Only products that have its words, or their synonyms, without dictionaries: page tokens hold
    counts of these words; empty: all."""
    language_code: str = ""
    """Language of the text."""
    excluded: tuple[str, ...] = ()
    excluded_families: tuple[str, ...] = ()
    """Products that are excluded with all of their family."""
    last: Filter | None = None
    """Products that pass follow after all others."""
    last_ids: tuple[str, ...] = ()
    """Products that follow after all others too."""
    ranked: tuple[str, ...] = ()
    """Ids of the products, best first; only for RANKED and RELEVANCE."""
    facets: tuple[AskedFacet, ...] = ()
    known_state: str = ""
    market_id: str = ""
    """Market by whose values products are ordered, and whose titles are searched too; empty: by
    their own."""


@dataclass(frozen=True, slots=True)
class ListingPage:
    """A page of a listing."""

    view: View
    stamp: Stamp
    """That of the view when the page was begun; later writes may have changed products."""
    state: str
    """Equal for equal contents of the catalog and, for a text, equal synonyms."""
    places: Sequence[int] = ()
    """In the view's table."""
    variants: Sequence[Sequence[str]] = ()
    """Products collapsed into each one, in order."""
    total: int = 0
    """Products that pass; variants of one parent count once."""
    facets: Sequence[Facet] = ()
    next_token: str = ""
    not_modified: bool = False


async def browse(
    query: ListingQuery, columns: Columns, record: Record, synonyms: Synonyms = NO_SYNONYMS
) -> ListingPage:
    """Return a page of all products that pass.

    Raises RequestInvalid, PageTokenInvalid, ColumnsUnavailable and, when the call is abandoned,
    DeadlineExceeded.
    """
    check(query)
    start = _Start.of(query)
    if (view := await columns.view(query.catalog_id)) is None:
        raise ColumnsUnavailable
    table, stamp = view.table, view.table.stamped
    state = _state(stamp, synonyms if query.text else NO_SYNONYMS)
    if state == query.known_state:
        return ListingPage(view, stamp, state, not_modified=True)
    asked = AskedWords.of(query.text, synonyms, query.language_code)
    if query.text:
        first = start.statistics(asked.words) if query.order == RELEVANCE else None
        selected = await _with_words(query, asked, view, columns, record, first=first)
    else:
        selected = _Selected()
    places = await _passing(query, view, selected.places)
    last = np.isin(places, table.places(query.last_ids))
    if query.last is not None:
        last |= await view.conditions.passing(query.last, places)
    ordering = _Ordering.of(query, start, table, places, selected)
    keys = ordering.keys(table, places, last)
    paging = _Paging(table, places, keys, start.position(ordering), query)
    found = await off_loop(paging.steps, paging.work())
    facets: Sequence[Facet] = ()
    if query.facets:
        counting = Counting(table, places, query.facets)
        _, facets = await off_loop(counting.steps, counting.count())
    token = ""
    if found.more:
        end = found.rows[-1]
        token = ordering.token(query, keys.position(end), table.ids[places[end]])
    return ListingPage(
        view,
        stamp,
        state,
        places[found.rows].tolist(),
        [[table.ids[place] for place in places[rows].tolist()] for rows in found.variants],
        found.total,
        facets,
        token,
    )


def _state(stamp: Stamp, synonyms: Synonyms) -> str:
    return f"{stamp.catalog_uid}.{stamp.commit}.{synonyms.digest}"


def check(query: ListingQuery) -> None:
    """Raise RequestInvalid with all fields that are out of range."""
    sizes = (
        ("exclude_product_ids", query.excluded, MOST_EXCLUDED),
        ("exclude_family_product_ids", query.excluded_families, MOST_EXCLUDED),
        ("last_product_ids", query.last_ids, MOST_EXCLUDED),
        ("ranked_product_ids", query.ranked, MOST_RANKED),
    )
    wrong = [
        FieldViolation(name, f"has {len(ids)} entries; at most {most} are taken")
        for name, ids, most in sizes
        if len(ids) > most
    ]
    if query.order not in {RANKED, RELEVANCE, *ORDERS}:
        orders = ", ".join(sorted(ORDERS))
        wrong.append(
            FieldViolation("order", f"is unknown; there are {RANKED}, {RELEVANCE}, {orders}")
        )
    if query.order == RELEVANCE and not query.text:
        wrong.append(FieldViolation("text", f"is empty: {RELEVANCE} is the match of its words"))
    if not 0 <= query.size <= MOST_PAGE:
        wrong.append(FieldViolation("page_size", f"must be 0 to {MOST_PAGE}"))
    if len(query.text) > MOST_TEXT:
        wrong.append(FieldViolation("text", f"has more than {MOST_TEXT} characters"))
    if wrong:
        raise RequestInvalid(*wrong)


async def _passing(query: ListingQuery, view: View, places: Ints | None) -> Ints:
    """Return the places of all products that pass, variants included. `places`: those selected;
    `None`: all."""
    table, conditions = view.table, view.conditions
    excluded, families = _there(table, query.excluded), _there(table, query.excluded_families)
    families = table.families(families)
    if places is None:
        places = await conditions.every(query.condition)
    else:
        places = places[await conditions.passing(query.condition, places)]
    if excluded.size:
        places = places[~np.isin(places, excluded)]
    if families.size:
        places = places[~np.isin(table.families(places), families)]
    return places


@dataclass(frozen=True, slots=True)
class _Selected:
    """Products that a text selects, or all."""

    places: Ints | None = None
    """Ascending, each once; `None`: all."""
    matches: Matches | None = None
    """Match of each row of `places`, 0 to 1; only for RELEVANCE."""
    statistics: WordStatistics | None = None
    """Counts of words that give their weights on all pages; only for RELEVANCE."""

    @classmethod
    def of(cls, places: Ints, matches: Matches, statistics: WordStatistics | None) -> "_Selected":
        """Return the products at these places, of which those that are gone are negative."""
        rows = np.argsort(places)
        rows = rows[places[rows] >= 0]
        return cls(places[rows], matches[rows], statistics)

    def matches_at(self, places: Ints) -> Ints:
        """Return the matches at some of the places, in parts of 1 / _PRECISION."""
        assert self.places is not None  # noqa: S101 - RELEVANCE needs a text
        assert self.matches is not None  # noqa: S101 - RELEVANCE needs a text
        rows = np.searchsorted(self.places, places)
        return np.rint(self.matches[rows] * _PRECISION).astype(np.int64)


async def _with_words(
    query: ListingQuery,
    asked: AskedWords,
    view: View,
    columns: Columns,
    record: Record,
    *,
    first: WordStatistics | None,
) -> _Selected:
    """Return the products that have the words of a text: all if the catalog's words are in memory,
    else the 1,000 that match best.

    `first`: the statistics of the listing's first page, for RELEVANCE: words count on all pages as
    on the first, so that writes of other products do not change the match of a product.
    """
    held = await columns.words(query.catalog_id) if asked.words else None
    if held is not None and held[0] is view:
        asked = in_market(await with_forms(asked, held[1], query.language_code), query.market_id)
        postings = held[1].asked(asked.words, asked.others)
        found = await off_loop(postings.steps, postings.matching(first))
        return _Selected.of(found.places, found.matches, found.statistics)
    if not asked.words:
        return _Selected.of(view.table.places([]), np.zeros(0), WordStatistics({}, 0))
    others = in_market(asked, query.market_id).others
    if query.order == RELEVANCE and first is None:
        first = await record.count_words(query.catalog_id, asked.words, others=others)
    named = await record.find_words(
        *(query.catalog_id, asked.words, query.condition, query.excluded),
        others=others,
        statistics=first,
    )
    places = view.table.places([product_id for product_id, _ in named])
    return _Selected.of(places, np.array([match for _, match in named]), first)


def _there(table: ProductTable, product_ids: Sequence[str]) -> Ints:
    """Return the places of the products that exist, each once."""
    places = np.unique(table.places(product_ids))
    return places[places >= 0]


@dataclass(frozen=True, slots=True)
class _Start:
    """Start of a page: that of the listing, or the product before it."""

    commit: int | None = None
    """Commit of the first page; `None`: this is it."""
    unit: str = ""
    """That in which values compare; for RELEVANCE, the words' statistics."""
    group: int = 0
    value: str = ""
    product_id: str = ""

    @classmethod
    def of(cls, query: ListingQuery) -> "_Start":
        """Read the query's page token. Raises PageTokenInvalid."""
        place = page_place(query.token, (_context(query),), int, str, int, str, str)
        if not place:
            return cls()
        commit, unit, group, value, product_id = place
        if not 0 <= group < GROUPS or "=" not in (unit[0], value[0]):
            raise PageTokenInvalid
        return cls(commit, unit[1:], group, value[1:], product_id)

    def statistics(self, words: Sequence[str]) -> WordStatistics | None:
        """Return the statistics of the first page of a listing by RELEVANCE; None: this is it.

        Raises PageTokenInvalid.
        """
        if self.commit is None:
            return None
        numbers = self.unit.split(",")
        if len(numbers) != 1 + len(words) or not all(map(_COUNT.fullmatch, numbers)):
            raise PageTokenInvalid
        products, *counts = map(int, numbers)
        return WordStatistics(dict(zip(words, counts, strict=True)), products)

    def position(self, ordering: "_Ordering") -> SortPosition | None:
        """Return the position of the product before the page; None for the first page."""
        if self.commit is None:
            return None
        try:
            value = ordering.value_of(self.value, self.group)
        except ValueError as error:
            raise PageTokenInvalid from error
        if abs(value) >= 2**63:
            raise PageTokenInvalid
        return SortPosition(self.group, value, tie_of(self.product_id))


@dataclass(frozen=True, slots=True)
class _Ordering:
    """The order of a listing, as it was at the commit of the first page."""

    commit: int
    unit: str
    falling: bool = False
    column: OrderedColumn | None = None
    """`None`: RANKED or RELEVANCE."""
    ranked: tuple[str, ...] = ()
    matches: Ints | None = None
    """Match of each row of the places; only for RELEVANCE."""

    @classmethod
    def of(
        cls,
        query: ListingQuery,
        start: _Start,
        table: ProductTable,
        places: Ints,
        selected: _Selected,
    ) -> "_Ordering":
        commit = table.commit if start.commit is None else start.commit
        if query.order == RANKED:
            return cls(commit, "", ranked=query.ranked)
        if query.order == RELEVANCE and selected.statistics is not None:
            known = selected.statistics
            unit = ",".join(map(str, (known.products, *known.counts.values())))
            return cls(commit, unit, ranked=query.ranked, matches=selected.matches_at(places))
        field, by = ORDERS[query.order]
        column = cast(OrderedColumn, table.column(named(field.name, query.market_id)))
        unit = column.unit(places) if start.commit is None else start.unit
        return cls(commit, unit, by.falling, column)

    def keys(self, table: ProductTable, places: Ints, last: Flags) -> SortKeys:
        """Return the sort keys of the products at these places."""
        ties = table.ties[places]
        if self.matches is not None:
            rank = self._ranks(table, places)
            behind = np.where(rank >= 0, rank, MOST_RANKED)
            values = behind - self.matches * (MOST_RANKED + 1)
            return keys_of(values, np.ones(len(places), np.bool_), last, ties)
        if self.column is None:
            rank = self._ranks(table, places)
            column = cast(OrderedColumn, table.columns[_CREATED])
            states = column.former.as_of(self.commit, places, column.states(places))
            created = states[:, 0]
            return keys_of(np.where(rank >= 0, rank, -created), rank >= 0, last, ties)
        states = self.column.states(places)
        states = self.column.former.as_of(self.commit, places, states)
        values, known = self.column.ranked(states, self.unit)
        values = np.where(known, values, 0)
        return keys_of(values, known, last, ties, falling=self.falling)

    def _ranks(self, table: ProductTable, places: Ints) -> Ints:
        """Return the place of each product in `ranked`; -1: it has none. `places`: ascending."""
        ranks = np.full(len(places), -1, np.int64)
        # np.isin takes seven times as long, as it hashes all places.
        there, first = np.unique(table.places(self.ranked), return_index=True)
        rows = np.searchsorted(places, there)
        near = np.flatnonzero(rows < len(places))
        passing = near[places[rows[near]] == there[near]]
        ranks[rows[passing]] = first[passing]
        return ranks

    def value_of(self, text: str, group: int) -> int:
        """Return the sort value of a token's text. Raises ValueError."""
        if self.column is None or group % 2:
            return int(text)
        value = self.column.value_of(text)
        return -value if self.falling else value

    def token(self, query: ListingQuery, place: SortPosition, product_id: str) -> str:
        """Return the token of the page behind a product."""
        known = self.column is not None and not place.group % 2
        value = -place.value if known and self.falling else place.value
        text = self.column.text_of(value) if self.column is not None and known else str(value)
        about = (_context(query),)
        return page_token(about, self.commit, f"={self.unit}", place.group, f"={text}", product_id)


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows of a page."""

    rows: Ints
    variants: Sequence[Ints]
    """Rows collapsed into each one."""
    total: int
    more: bool
    """Whether there is a page behind it."""


class _Paging:
    """Search for the rows of a page on copies of columns, so that it can run in a thread."""

    def __init__(
        self,
        table: ProductTable,
        places: Ints,
        keys: SortKeys,
        after: SortPosition | None,
        query: ListingQuery,
    ) -> None:
        self._keys, self._after, self._size = keys, after, query.size
        self._families, self._related = table.families(places), table.related(places)
        self.steps = len(places) // 16

    def work(self) -> Work[_Found]:
        """Find the rows of the page, and what is collapsed into each."""
        kept = collapse(self._keys, self._families, self._related)
        yield
        rows = yield from first(self._keys.at(kept.shown), self._size + 1, self._after)
        shown = kept.shown[rows][: self._size]
        beside = [variants(kept, own) for own in self._families[shown].tolist()]
        more = bool(len(shown)) and len(rows) > self._size
        return _Found(shown, beside, len(kept.shown), more)


def _context(query: ListingQuery) -> str:
    """Return the hash that binds a page token to its listing."""
    asked = (
        query.catalog_id,
        query.order,
        query.condition,
        query.text,
        query.last,
        query.last_ids,
        sorted(set(query.excluded)),
    )
    return hashlib.sha256(repr(asked).encode("utf-8", "surrogatepass")).hexdigest()[:16]

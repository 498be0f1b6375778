"""Words of a catalog's products and values for suggestions, built from its columns.

An index never changes: a new one replaces it in the background when texts of the catalog changed,
for at most a twentieth of the time. So suggestions follow writes within seconds in small catalogs,
and within minutes in catalogs of a million products. Removed products are left out at once.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import cast
from zlib import crc32

import numpy as np
from prometheus_client import Gauge

from retriever.columns.arrays import Flags, Ints
from retriever.columns.coded import CodedColumn
from retriever.columns.column_cache import Columns, View
from retriever.columns.table import ProductTable
from retriever.domain.field_codecs import keyed
from servicekit.catalogs.known import CatalogChange
from servicekit.tasks.off_loop import off_loop
from sightline_rules import categories
from sightline_rules.evaluation.work import Work
from sightline_rules.phrases import Phrase, PhraseIndex
from sightline_rules.words import words_of

BRAND, CATEGORY, TAGS, ATTRIBUTES = "brand", "category", "tags", "attributes"
FACETS = (BRAND, CATEGORY)
"""Fields whose values are suggested as facet values; other values complete a text."""
LEAST_SHARED = 2
"""Products that share a tag or the value of an attribute, at least, for it to be suggested."""
LONGEST_VALUE = 64
"""Characters of a suggested tag or value, at most."""
MOST_VALUES = 100_000
"""Suggested tags and values of attributes: those of most products."""
BUSY_SHARE = 20
"""An index is not built again before this many times the time has passed that it took."""
PATIENCE = 0.5
"""Seconds that a caller waits for the first index of a catalog."""
_DECODED = 256
"""Texts that are decoded in a step."""
_VALUE_BYTES = 72
"""Of a SuggestedValue, without the text."""
_STEPS = 64
"""Cost of reading a product."""

BYTES = Gauge("sightline_suggestions_bytes", "Bytes of the words and values for suggestions.")


@dataclass(frozen=True, slots=True)
class SuggestedValue:
    """Value of a field that some products have."""

    field: str
    text: str
    count: int
    """Number of products."""

    @property
    def name(self) -> str:
        """The part of the text that is searched: of a category, its last level."""
        return categories.split(self.text)[-1] if self.field == CATEGORY else self.text


@dataclass(frozen=True, slots=True)
class SuggestionIndex:
    """Texts of a catalog that suggestions are searched in."""

    products: PhraseIndex
    """Titles of products, found by brand and category too; a row is a place of the table."""
    values: PhraseIndex
    held: Sequence[SuggestedValue]
    """By row of `values`."""
    facets: Flags
    """By row of `values`, whether it is a facet value."""
    nbytes: int
    """Bytes of words, arrays and values."""


def state_of(table: ProductTable) -> tuple[object, ...]:
    """Return what is equal while the texts that are searched stay as they are."""
    codes = [_coded(table, name).codes for name in (*FACETS, TAGS, ATTRIBUTES)]
    checks = [crc32(each.tobytes()) for each in (table.alive, *codes)]
    return (table.number, len(table.ids), id(table.titles), *checks)


def build(table: ProductTable) -> Work[SuggestionIndex]:
    """Build the index of a table as it is at the call."""
    titles, size = table.titles, len(table.ids)
    alive = table.alive[:size].copy()
    columns = {name: _coded(table, name) for name in (*FACETS, TAGS, ATTRIBUTES)}
    codes = {name: column.codes[:size].copy() for name, column in columns.items()}
    texts = {name: column.texts for name, column in columns.items()}
    return _build(titles, alive, codes, texts)


def _build(
    titles: Sequence[str],
    alive: Flags,
    codes: dict[str, Ints],
    texts: dict[str, list[str]],
) -> Work[SuggestionIndex]:
    products = yield from PhraseIndex.build(_phrases(titles, alive, codes, texts))
    held = list[SuggestedValue]()
    for name in codes:
        counts = np.bincount(codes[name][alive], minlength=1)
        yield
        held += yield from _values(name, texts[name], counts)
    held.sort(key=lambda each: (-each.count, each.text, each.field))
    yield
    values = yield from PhraseIndex.build((words_of(each.name), ()) for each in held)
    facets = np.array([each.field in FACETS for each in held], np.bool_)
    size = products.nbytes + values.nbytes
    size += sum(str.__sizeof__(each.text) + _VALUE_BYTES for each in held)
    return SuggestionIndex(products, values, held, facets, size)


def _phrases(
    titles: Sequence[str], alive: Flags, codes: dict[str, Ints], texts: dict[str, list[str]]
) -> Iterator[Phrase]:
    """Yield the words of each place's title, and those of its brand and category."""
    brands, paths = _WordsByCode(texts[BRAND]), _WordsByCode(texts[CATEGORY])
    for place, there in enumerate(alive.tolist()):
        if there:
            beside = brands.of(int(codes[BRAND][place])), paths.of(int(codes[CATEGORY][place]))
            yield words_of(titles[place]), (*beside[0], *beside[1])
        else:
            yield (), ()


@dataclass(slots=True)
class _WordsByCode:
    """Words of a column's texts, read once each."""

    texts: Sequence[str]
    known: dict[int, list[str]] = field(default_factory=dict)

    def of(self, code: int) -> list[str]:
        found = self.known.get(code)
        if found is None:
            found = self.known[code] = words_of(self.texts[code])
        return found


def _values(name: str, texts: Sequence[str], counts: Ints) -> Work[list[SuggestedValue]]:
    """Return the values of a field that are suggested."""
    found = Counter[tuple[str, str]]()
    for row, code in enumerate(np.flatnonzero(counts).tolist()):
        for each in dict.fromkeys(_read(name, texts[code])):
            found[each] += int(counts[code])
        if row % _DECODED == 0:
            yield
    if name in FACETS:
        return [SuggestedValue(name, text, count) for (_, text), count in found.items()]
    shared = [each for each in found.items() if each[1] >= LEAST_SHARED]
    shared.sort(key=lambda each: (-each[1], each[0]))
    return [
        SuggestedValue(field_name, text, count)
        for (field_name, text), count in shared[:MOST_VALUES]
    ]


def _read(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the values in a stored text, with the names of their fields."""
    if name == BRAND:
        yield from [(name, text)] if text else []
    elif name == CATEGORY:
        yield from ((name, path) for path in categories.ancestors(text))
    elif name == TAGS:
        yield from ((name, each) for each in json.loads(text) if len(each) <= LONGEST_VALUE)
    else:
        for key, values in keyed(text).items():
            for each in values:
                if isinstance(each, str) and len(each) <= LONGEST_VALUE:
                    yield f"{ATTRIBUTES}.{key}", each


def _coded(table: ProductTable, name: str) -> CodedColumn:
    return cast(CodedColumn, table.columns[name])


@dataclass(slots=True)
class _KeptIndex:
    index: SuggestionIndex
    table: int
    """Number of its table."""
    version: int
    """Version of the table that was last compared with `state`."""
    state: tuple[object, ...]
    due: float
    """Time from which it may be built again."""


@dataclass(slots=True)
class SuggestionIndexes:
    """The indexes of a process's catalogs. Not for several event loops."""

    columns: Columns
    patience: float | None = PATIENCE
    """Seconds that a caller waits for the first index of a catalog; None: without a limit."""
    clock: Callable[[], float] = time.monotonic
    _kept: dict[str, _KeptIndex] = field(default_factory=dict)
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Register the function that computes the gauge."""
        BYTES.set_function(lambda: self.nbytes)

    @property
    def nbytes(self) -> int:
        """Return the bytes of all indexes in memory."""
        return sum(each.index.nbytes for each in self._kept.values())

    def follow(self, change: CatalogChange) -> None:
        """Drop the indexes of catalogs that are no longer in use, or were replaced, and those that
        are being built for them."""
        for catalog_id in change.removed:
            self._kept.pop(catalog_id, None)
            if catalog_id in self._running:
                self._running[catalog_id].cancel()

    async def of(self, catalog_id: str) -> tuple[View, SuggestionIndex] | None:
        """Return a catalog's columns, and the newest index of their table.

        None if the catalog has too many products, or is not read yet.
        """
        view = await self.columns.view(catalog_id)
        if view is None:
            self._kept.pop(catalog_id, None)
            return None
        kept = self._kept.get(catalog_id)
        if kept is not None and kept.table != view.table.number:
            kept = None
        if kept is None or (view.table.version != kept.version and self.clock() >= kept.due):
            task = self._build(catalog_id, view.table)
            if kept is None:
                await asyncio.wait({task}, timeout=self.patience)
                if task.done() and not task.cancelled():
                    task.result()
            kept = self._kept.get(catalog_id)
        if kept is None or kept.table != view.table.number:
            return None
        return view, kept.index

    def _build(self, catalog_id: str, table: ProductTable) -> asyncio.Task[None]:
        """Start to build a catalog's index, unless it is being built."""
        task = self._running.get(catalog_id)
        if task is None:
            # In a separate context, without the caller's deadline and request id.
            task = asyncio.create_task(self._replace(catalog_id, table), context=Context())
            self._running[catalog_id] = task
            task.add_done_callback(lambda done: self._end(catalog_id, done))
        return task

    async def _replace(self, catalog_id: str, table: ProductTable) -> None:
        started, version = self.clock(), table.version
        # In a thread: a write meanwhile only causes another build.
        state = await asyncio.to_thread(state_of, table)
        kept = self._kept.get(catalog_id)
        if kept is None or kept.state != state:
            index = await off_loop(_STEPS * len(table.ids), build(table))
            kept = self._kept[catalog_id] = _KeptIndex(index, table.number, version, state, 0.0)
        now = self.clock()
        kept.version, kept.due = version, now + BUSY_SHARE * (now - started)

    def _end(self, catalog_id: str, task: asyncio.Task[None]) -> None:
        del self._running[catalog_id]
        if not task.cancelled():
            task.exception()  # a waiting caller gets it; the next call tries again

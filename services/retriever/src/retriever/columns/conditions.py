"""Filters on a catalog's columns, evaluated once a request although several searches ask them."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

import numpy as np

from retriever.columns.arrays import Flags, Ints, Places, at, count, where
from retriever.columns.table import ProductTable
from servicekit.tasks.off_loop import INLINE_STEPS, off_loop
from sightline_rules.evaluation.columns import AskedColumn
from sightline_rules.evaluation.conditions import AskedFilters, leaves
from sightline_rules.evaluation.judging import key_of
from sightline_rules.evaluation.texts import UNKNOWN, Answers, Lookups
from sightline_rules.filters import All, Filter, Leaf

MOST_FILTERS = 32
"""Filters whose answers are cached: those of the searches of some concurrent requests."""
MOST_BYTES = 8 * 2**20
"""Bytes of these answers, one a place and filter."""
PASSES = 1
"""Answer about a place that passes."""


class Conditions:
    """Evaluator of filters on one table. Caches answers about texts for later filters, and about
    places for the other searches of a request."""

    def __init__(self, table: ProductTable) -> None:
        self._table = table
        self._lookups = Lookups()
        self._answered = _AnsweredFilters(table)
        self._running: dict[_FilterKey, asyncio.Event] = {}
        """Filters that are evaluated now, where that takes more than a moment."""

    async def passing(self, condition: Filter, places: Ints) -> Flags:
        """Return which of some places pass a checked filter; -1 and removed products do not.

        Answers for the table as it is at the call. Raises DeadlineExceeded.
        """
        there: Flags = places >= 0
        found: Flags = there & self._table.alive[places]
        if type(condition) is All and not condition.filters:
            return found
        answers = self._answered.of(condition)[places]
        if True not in (there & (answers == UNKNOWN)):
            found &= answers == PASSES
            return found
        found[there] = await self._evaluated(condition, places[there])
        return found

    async def every(self, condition: Filter) -> Ints:
        """Return the places of all products that pass a checked filter, ascending.

        See `passing`, which takes four times as long for all places of a large catalog.
        """
        places = slice(len(self._table.ids))
        if type(condition) is All and not condition.filters:
            return np.flatnonzero(self._table.alive[places])
        return np.flatnonzero(await self._evaluated(condition, places))

    async def _evaluated(self, condition: Filter, places: Places) -> Flags:
        """Return which of the places pass. The same filter of another search is waited for, so
        that each place is looked at once. `places`: without -1."""
        while True:
            known, alive = at(self._answered.of(condition), places), at(self._table.alive, places)
            unknown = known == UNKNOWN
            due = where(places, unknown)
            if not count(due):
                return _passed(alive, known)
            asked = self.asked([condition], due)
            expensive, key = asked.steps > INLINE_STEPS, self._answered.key(condition)
            if not expensive or (other := self._running.get(key)) is None:
                break
            await other.wait()
        version = self._table.version
        ended = asyncio.Event()
        if expensive:
            self._running[key] = ended
        try:
            (answers,) = await off_loop(asked.steps, asked.passing())
        finally:
            ended.set()
            if self._running.get(key) is ended:
                del self._running[key]
        known[unknown] = answers
        if self._table.version == version:
            self._answered.of(condition)[due] = answers
        return _passed(alive, known)

    def asked(self, conditions: Sequence[Filter], places: Places) -> AskedFilters:
        """Return filters with copies of the columns that they ask of some places, so that a thread
        can evaluate them while products are written."""
        return AskedFilters.of(conditions, count(places), partial(self._column, places))

    def _column(self, places: Places, name: str, asked: Sequence[Leaf]) -> AskedColumn:
        return self._table.column(name).asked(asked, places, self._lookups)


def _passed(alive: Flags, answers: Answers) -> Flags:
    passed: Flags = alive & (answers == PASSES)
    return passed


class _FilterKey:
    """A filter that tells values of different types apart. Its hash is computed once: hashing the
    filter takes longer than finding which products pass it."""

    __slots__ = ("_hash", "_value")

    def __init__(self, condition: Filter) -> None:
        self._value = (condition, *map(key_of, leaves(condition)))
        self._hash = hash(self._value)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _FilterKey) and self._value == other._value


class _AnsweredFilters:
    """Cache of which places of a table pass a filter. A written product is evaluated again."""

    def __init__(self, table: ProductTable) -> None:
        self._table = table
        self._version = table.version
        self._answers: OrderedDict[_FilterKey, Answers] = OrderedDict()
        self._keys: dict[int, tuple[Filter, _FilterKey]] = {}
        """By the id of the filter, which is kept here, so that no other one gets its id."""
        self._last: tuple[Filter, Answers] | None = None
        """The filter that was asked last."""

    def key(self, condition: Filter) -> _FilterKey:
        """Return the key of a filter."""
        held = self._keys.get(id(condition))
        if held is not None and held[0] is condition:
            return held[1]
        if len(self._keys) >= MOST_FILTERS:
            self._keys.clear()
        key = _FilterKey(condition)
        self._keys[id(condition)] = condition, key
        return key

    def of(self, condition: Filter) -> Answers:
        """Return what is known of each place, to be filled in while the table does not change."""
        if self._version != self._table.version:
            self._follow()
        elif self._last is not None and self._last[0] is condition:
            return self._last[1]
        key = self.key(condition)
        known = self._answers.get(key)
        if known is None:
            known = self._answers[key] = np.full(len(self._table.alive), UNKNOWN, np.int8)
            while len(self._answers) > MOST_FILTERS or self._bytes() > MOST_BYTES:
                self._answers.popitem(last=False)
        else:
            self._answers.move_to_end(key)
        self._last = condition, known
        return known

    def _follow(self) -> None:
        """Forget what is known of written products."""
        changed = self._table.changes.since(self._version)
        self._version = self._table.version
        if changed is None:
            self._answers.clear()
            return
        for key, known in self._answers.items():
            more = np.full(len(self._table.alive) - len(known), UNKNOWN, np.int8)
            grown = np.concatenate([known, more]) if len(more) else known
            grown[changed] = UNKNOWN
            self._answers[key] = grown

    def _bytes(self) -> int:
        return sum(answers.nbytes for answers in self._answers.values())

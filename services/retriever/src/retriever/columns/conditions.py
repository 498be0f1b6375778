"""Filters on a catalog's columns, evaluated once a request although several searches ask them."""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from retriever.columns.arrays import Flags, Ints, Places, at, count, where
from retriever.columns.table import ProductTable
from servicekit.tasks.off_loop import INLINE_STEPS, off_loop
from sightline_rules.evaluation.columns import AskedColumn
from sightline_rules.evaluation.conditions import AskedFilters, leaves
from sightline_rules.evaluation.judging import key_of
from sightline_rules.evaluation.texts import UNKNOWN, Lookups
from sightline_rules.filters import All, Filter, Leaf

MOST_FILTERS = 32
"""Filters whose answers are cached: those of the searches of some concurrent requests."""
MOST_BYTES = 8 * 2**20
"""Bytes of these answers, one a place and filter."""


class Conditions:
    """Evaluator of filters on one table. Caches answers about texts for later filters, and about
    places for the other searches of a request."""

    def __init__(self, table: ProductTable) -> None:
        self._table = table
        self._lookups = Lookups()
        self._answered = _AnsweredFilters(table)
        self._running: dict[Hashable, asyncio.Event] = {}
        """Filters that are evaluated now, where that takes more than a moment."""

    async def passing(self, condition: Filter, places: Ints) -> Flags:
        """Return which of some places pass a checked filter; -1 and removed products do not.

        Answers for the table as it is at the call. Raises DeadlineExceeded.
        """
        held = np.flatnonzero(places >= 0)
        found = np.zeros(len(places), np.bool_)
        found[held] = await self._evaluated(condition, places[held])
        return found

    async def every(self, condition: Filter) -> Ints:
        """Return the places of all products that pass a checked filter, ascending.

        See `passing`, which takes four times as long for all places of a large catalog.
        """
        return np.flatnonzero(await self._evaluated(condition, slice(len(self._table.ids))))

    async def _evaluated(self, condition: Filter, places: Places) -> Flags:
        """Return which of the places pass. The same filter of another search is waited for, so
        that each place is looked at once. `places`: without -1."""
        if condition == All():
            return at(self._table.alive, places)
        key = (condition, *map(key_of, leaves(condition)))
        while True:
            known, alive = self._answered.of(key), at(self._table.alive, places)
            due = where(places, known[places] == UNKNOWN)
            if not count(due):
                return _passed(alive, known[places])
            asked = self.asked([condition], due)
            expensive = asked.steps > INLINE_STEPS
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
        known[due] = answers
        self._answered.keep(key, version, known)
        return _passed(alive, known[places])

    def asked(self, conditions: Sequence[Filter], places: Places) -> AskedFilters:
        """Return filters with copies of the columns that they ask of some places, so that a thread
        can evaluate them while products are written."""
        return AskedFilters.of(conditions, count(places), partial(self._column, places))

    def _column(self, places: Places, name: str, asked: Sequence[Leaf]) -> AskedColumn:
        return self._table.column(name).asked(asked, places, self._lookups)


def _passed(alive: Flags, answers: npt.NDArray[np.int8]) -> Flags:
    passed: Flags = alive & (answers == 1)
    return passed


class _AnsweredFilters:
    """Cache of which places of a table pass a filter, until a product is written."""

    def __init__(self, table: ProductTable) -> None:
        self._table = table
        self._version = table.version
        self._answers: OrderedDict[Hashable, npt.NDArray[np.int8]] = OrderedDict()

    def of(self, key: Hashable) -> npt.NDArray[np.int8]:
        """Return a copy of what is known of each place: 1, 0 or UNKNOWN."""
        if self._version != self._table.version:
            self._answers.clear()
            self._version = self._table.version
        if (known := self._answers.get(key)) is not None:
            self._answers.move_to_end(key)
            return known.copy()
        return np.full(len(self._table.alive), UNKNOWN, np.int8)

    def keep(self, key: Hashable, version: int, answers: npt.NDArray[np.int8]) -> None:
        """Cache answers about the table's `version`, and drop the least recently used ones."""
        if version != self._table.version or self._version != version:
            return
        if (other := self._answers.pop(key, None)) is not None:
            answers = np.where(answers == UNKNOWN, other, answers)
        self._answers[key] = answers
        while len(self._answers) > MOST_FILTERS or self._bytes() > MOST_BYTES:
            self._answers.popitem(last=False)

    def _bytes(self) -> int:
        return sum(answers.nbytes for answers in self._answers.values())

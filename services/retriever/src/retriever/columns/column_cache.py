"""Cache of the columns of catalogs and of the vectors of small generations, in step with the
record."""

import asyncio
import time
from collections.abc import Callable, Container, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import starmap
from typing import Any, Self, TypeAlias

from prometheus_client import Gauge

from retriever.columns.conditions import Conditions
from retriever.columns.table import ProductTable
from retriever.columns.vectors import LEAST_DEAD, Vectors, loaded
from retriever.columns.word_index import WordIndex, indexed
from retriever.domain.column_rows import PhotoRow
from retriever.domain.generation import Generation
from retriever.domain.vectors import Floats
from retriever.record import Record
from servicekit.catalogs.known import CatalogChange
from servicekit.tasks.off_loop import in_parts

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

MOST_PRODUCTS = 1_000_000
"""Largest catalog, in products, whose columns are held: about 300 MB."""
EXACT_ROWS = 100_000
"""Rows of a generation up to which they are compared in memory."""
EXACT_BYTES = 512 * 2**20
"""Maximum bytes of a generation's vectors that are held."""
MOST_GENERATIONS = 4
"""Generations of a catalog whose vectors are held: one per space, one more during a roll-out."""
PATIENCE = 1.0
"""Seconds that a search waits for columns; then it is answered by the engine and the record."""
COUNT_SECONDS = 10.0
"""Seconds for which a catalog or generation counts as too large before it is counted again."""
EXPLORED_PAIRS = 500_000
"""Pairs of pictures that are compared between two runs of other tasks: 1 ms (one core, 2026-11)."""
READ_ROWS = 4_096
"""Vectors that are read at a time: 20 MB of 1,280 dimensions."""

PRODUCTS = Gauge("sightline_columns_products", "Products whose columns are in memory.")
BYTES = Gauge("sightline_columns_bytes", "Bytes of these columns, without ids, tags, attributes.")
ROWS = Gauge("sightline_columns_rows", "Vectors in memory that searches compare with.")


@dataclass(slots=True)
class View:
    """A catalog's columns, with conditions evaluated on them."""

    table: ProductTable
    conditions: Conditions

    @classmethod
    def of(cls, table: ProductTable) -> Self:
        """Return a view of a table, with no condition evaluated yet."""
        return cls(table, Conditions(table))


class Ended(Enum):
    """Outcome of waiting for work. Work on a catalog that is forgotten meanwhile ends as LATE."""

    NOW = "now"
    """The work began after the call, so it read all commits made before the call."""
    BEFORE = "before"
    """The work had begun before the call."""
    LATE = "late"
    """The work still runs: the wait timed out."""


@dataclass(slots=True)
class _Catalog:
    view: View
    version: int | None = None
    """The store's version before the last update of the columns."""
    vectors: dict[str, Vectors] = field(default_factory=dict)
    """By collection, the most recently searched one last."""
    words: WordIndex | None = None
    """`None` until a search has used words."""

    @property
    def head(self) -> int:
        """The newest commit that the columns include."""
        return self.view.table.commit

    def last_used(self, generation: Generation) -> Vectors | None:
        """Return a generation's vectors if they are held, and put them last."""
        held = self.vectors.pop(generation.collection, None)
        if held is not None:
            self.vectors[generation.collection] = held
        return held


class Columns:
    """The columns of one process. Not for several event loops."""

    def __init__(
        self,
        record: Record,
        *,
        most_products: int = MOST_PRODUCTS,
        exact_rows: int = EXACT_ROWS,
        exact_bytes: int = EXACT_BYTES,
        patience: float | None = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set the limits; nothing is read until the first call.

        `most_products`: largest catalog whose columns are held; 0 holds none, and every search
        reads the record. `exact_rows`, `exact_bytes`: largest generation whose vectors are held; 0
        holds none, and the engine answers every search. `patience`: seconds that a caller waits
        for columns being read; None waits until they are read.
        """
        self.exact_rows = exact_rows if most_products else 0
        self._record = record
        self._most = most_products
        self._bytes = exact_bytes
        self._clock = clock
        self._too_large: dict[tuple[str, int], float] = {}
        """By collection and bound, until when a generation counts as larger."""
        self._catalogs: dict[str, _Catalog] = {}
        self._patience = patience
        self._locks: dict[str, asyncio.Lock] = {}
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._too_many: dict[str, float] = {}
        """By catalog, until when it counts as too large."""
        self._measure()

    async def view(self, catalog_id: str) -> View | None:
        """Return the columns of all products at the record's newest commit.

        Return None if the catalog has too many products, or the columns are not read yet.
        """
        catalog = self._known(catalog_id)
        if catalog is None:
            catalog = await self._current(catalog_id, self._until())
        return None if catalog is None else catalog.view

    def held(self, catalog_id: str) -> View | None:
        """Return the columns of all products as they were last brought up to date, or None."""
        held = self._catalogs.get(catalog_id)
        return None if held is None else held.view

    def product_count(self, catalog_id: str) -> int:
        """Return the number of a catalog's products; 0 if its columns are not in memory."""
        held = self._catalogs.get(catalog_id)
        return 0 if held is None else len(held.view.table)

    async def of(self, catalog_id: str, product_ids: Sequence[str]) -> View:
        """Return columns that hold the existing ones of these products, and possibly others."""
        view = await self.view(catalog_id)
        if view is not None:
            return view
        asked = list(dict.fromkeys(product_ids))
        found = await self._record.product_rows(catalog_id, asked)
        return View.of(ProductTable(found.products, found.head, found.uid))

    async def vectors(
        self, generation: Generation, most: int | None = None, *, wait: bool = False
    ) -> tuple[View, Vectors] | None:
        """Return the columns and a generation's vectors at the record's newest commit.

        Return None if the generation has more than `most` rows (`None`: the usual limit), or they
        are not read yet. `wait`: wait without a time limit until they are read.
        """
        rows = self.bound(generation, most)
        known = self._known(generation.catalog_id)
        held = None if known is None else known.last_used(generation)
        if known is not None and held is not None and held.head >= known.head:
            return (known.view, held) if len(held) <= rows else None  # as in most searches
        until = None if wait else self._until()
        catalog = await self._current(generation.catalog_id, until) if rows else None
        if catalog is None or self._clock() < self._too_large.get((generation.collection, rows), 0):
            return None
        head, held = catalog.head, catalog.last_used(generation)
        if held is None or held.head < head:
            name = f"{generation.collection} {rows}"
            work = self._alone(
                generation.catalog_id, partial(self._hold, generation, catalog, rows)
            )
            if not await self._run_after_call(generation.catalog_id, name, work, until):
                return None
            held = catalog.vectors.get(generation.collection)
        if held is None or len(held) > rows or held.head < head:
            return None
        return catalog.view, held

    async def words(self, catalog_id: str, *, wait: bool = False) -> tuple[View, WordIndex] | None:
        """Return the columns and the words of all products at the record's newest commit.

        Return None if the catalog has more than `exact_rows` products, or they are not read yet.
        `wait`: wait without a time limit until they are read.
        """
        until = None if wait else self._until()
        catalog = await self._current(catalog_id, until) if self.exact_rows else None
        if catalog is None or len(catalog.view.table) > self.exact_rows:
            return None
        head = catalog.head
        if catalog.words is None or catalog.words.head < head:
            if catalog.words is None and until is not None:
                until = self._clock()  # the store answers while they are read for the first time
            work = partial(self._hold_words, catalog_id, catalog)
            if not await self._run_after_call(catalog_id, "words", work, until):
                return None
        words = catalog.words
        return None if words is None or words.head < head else (catalog.view, words)

    def bound(self, generation: Generation, most: int | None = None) -> int:
        """Return the limit of rows of a generation that is held. `most` replaces `exact_rows`."""
        rows = self.exact_rows if most is None else most
        return min(rows, self._bytes // (4 * generation.dimension))

    async def warm(self, catalog_id: str, generations: Sequence[Generation]) -> None:
        """Read what searches of a catalog by words and by these generations need, without a time
        limit."""
        for generation in generations:
            await self.vectors(generation, wait=True)
        await self.words(catalog_id, wait=True)

    async def keep_up(self, catalogs: Container[str]) -> None:
        """Bring what is in memory of these catalogs up to date, so that a search after an import
        finds little to read. Drop what is in memory of others, which calls under way may have read
        after `follow`."""
        for catalog_id, held in list(self._catalogs.items()):
            if catalog_id not in catalogs:
                self.forget(catalog_id)
            for vectors in list(held.vectors.values()):
                if catalog_id in self._catalogs:
                    await self.vectors(vectors.generation, wait=True)
                    await self._explore(catalog_id, vectors.generation)
            if held.words is not None and catalog_id in self._catalogs:
                await self.words(catalog_id, wait=True)

    async def _explore(self, catalog_id: str, generation: Generation) -> None:
        """Compare pictures before searches find their products."""
        while (held := self._catalogs.get(catalog_id)) is not None:
            vectors = held.vectors.get(generation.collection)
            if vectors is None or not vectors.unique(held.view.table).explore(EXPLORED_PAIRS):
                return
            await asyncio.sleep(0)

    async def _hold(self, generation: Generation, catalog: _Catalog, rows: int) -> None:
        """Bring a generation's vectors up to date with the record, unless they are too many."""
        held = catalog.vectors.pop(generation.collection, None)
        if held is None:
            if await self._record.row_count(generation, rows + 1) > rows:
                self._too_large[generation.collection, rows] = self._clock() + COUNT_SECONDS
                return
            held = await self._load(generation, catalog)
        elif held.head < catalog.head:
            await self._refresh(held, catalog)
            held = held.compacted()
        if len(held) <= max(rows, self.exact_rows):
            catalog.vectors[generation.collection] = held
        while len(catalog.vectors) > MOST_GENERATIONS:
            del catalog.vectors[next(iter(catalog.vectors))]

    async def _hold_words(self, catalog_id: str, catalog: _Catalog) -> None:
        """Bring the words of a catalog's products up to date with its columns.

        Searches by vectors, and updates of columns, go on meanwhile: a product that is removed has
        no place any more, and later writes are read by the next call.
        """
        head, table, held = catalog.head, catalog.view.table, catalog.words
        if held is None or held.worn:
            rows = await self._record.words(catalog_id, None)
            held = await asyncio.to_thread(indexed, table, rows)
            held.retain(table.alive)
            catalog.words = held
        elif held.head < head:
            rows = await self._record.words_since(catalog_id, held.head)
            places = ((table.place(product_id), words) for product_id, words in rows)
            await in_parts(starmap(held.put, (each for each in places if each[0] >= 0)))
        held.head = head

    def _until(self) -> float | None:
        return None if self._patience is None else self._clock() + self._patience

    def _known(self, catalog_id: str) -> _Catalog | None:
        """Return a catalog's columns if nothing was committed since they were brought up to
        date."""
        held = self._catalogs.get(catalog_id)
        if held is None or held.version is None or held.version != self._record.version():
            return None
        return held

    async def _current(self, catalog_id: str, until: float | None) -> _Catalog | None:
        """Return a catalog's columns, up to date; None if they are too many or not read yet."""
        ended = Ended.BEFORE
        while self._most:
            version, held = self._record.version(), self._catalogs.get(catalog_id)
            known = held is not None and version is not None and held.version == version
            if known or ended is Ended.NOW:
                return held
            if self._clock() < self._too_many.get(catalog_id, 0):
                return None
            work = self._alone(catalog_id, partial(self._bring_up, catalog_id))
            ended = await self._run(catalog_id, "", work, until)
            if ended is Ended.LATE:
                return None
        return None

    async def _run(self, catalog_id: str, name: str, work: Work, until: float | None) -> Ended:
        """Run work, one call at a time per name, and raise its errors. The work continues after its
        caller stops waiting at `until`, and serves the next caller.
        """
        task = self._running.get((catalog_id, name))
        began = task is None
        if task is None:
            # In a separate context, without the caller's deadline and request id.
            task = asyncio.create_task(work(), context=Context())
            self._running[catalog_id, name] = task
            task.add_done_callback(lambda done: self._end((catalog_id, name), done))
        seconds = None if until is None else max(0.0, until - self._clock())
        await asyncio.wait({task}, timeout=seconds)
        if not task.done() or task.cancelled():
            return Ended.LATE
        try:
            task.result()
        finally:
            del task  # an error's traceback has this frame: what was read would stay
        return Ended.NOW if began else Ended.BEFORE

    async def _run_after_call(
        self, catalog_id: str, name: str, work: Work, until: float | None
    ) -> bool:
        """Run work that begins after this call; return whether it ended before `until`."""
        ended = await self._run(catalog_id, name, work, until)
        if ended is Ended.BEFORE:
            ended = await self._run(catalog_id, name, work, until)
        return ended is not Ended.LATE

    def _alone(self, catalog_id: str, work: Work) -> Work:
        """Return work that holds the catalog's lock: the columns do not change meanwhile."""

        async def locked() -> None:
            async with self._locks.setdefault(catalog_id, asyncio.Lock()):
                await work()

        return locked

    def follow(self, change: CatalogChange) -> None:
        """Drop what is in memory of catalogs that are no longer in use, or were replaced."""
        for catalog_id in change.removed:
            self.forget(catalog_id)

    def forget(self, catalog_id: str) -> None:
        """Drop what is in memory of a catalog, and the work that would bring it back."""
        for held in (self._catalogs, self._too_many, self._locks):
            held.pop(catalog_id, None)
        for (name, _), task in self._running.items():
            if name == catalog_id:
                task.cancel()

    def _end(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # a waiting caller gets it; without one, the next search tries

    async def _bring_up(self, catalog_id: str) -> None:
        """Bring a catalog's columns up to date with the record, unless they are too many."""
        version = (
            self._record.version()
        )  # taken before reading, so that concurrent commits are read again
        held = self._catalogs.get(catalog_id)
        if held is not None and not await self._update(held, catalog_id):
            held = None
        if held is None or held.view.table.dead > max(LEAST_DEAD, len(held.view.table) // 4):
            held = await self._read(catalog_id)
        if held is None or len(held.view.table) > self._most:
            self._catalogs.pop(catalog_id, None)
            self._too_many[catalog_id] = self._clock() + COUNT_SECONDS
            return
        held.version = version
        self._catalogs[catalog_id] = held

    async def _read(self, catalog_id: str) -> _Catalog | None:
        if await self._record.product_count(catalog_id, self._most + 1) > self._most:
            return None
        changes = await self._record.written(catalog_id, None)
        table = await asyncio.to_thread(ProductTable, changes.products, changes.head, changes.uid)
        return _Catalog(View.of(table))

    async def _update(self, held: _Catalog, catalog_id: str) -> bool:
        """Apply later writes. Return False if they can't be brought up to date: they are those of
        an earlier catalog of the id, whose commits are others, or too many deletions ago."""
        changes = await self._record.written(catalog_id, held.head)
        table = held.view.table
        if changes.uid != table.uid or not changes.known_from <= table.commit <= changes.head:
            return False
        for product_id in changes.gone:
            place = table.place(product_id)
            if place >= 0:
                for vectors in held.vectors.values():
                    vectors.remove(place)
                if held.words is not None:
                    held.words.remove(place)
        table.remove(changes.gone)
        table.put(changes.products, changes.head)
        return True

    async def _load(self, generation: Generation, catalog: _Catalog) -> Vectors:
        head, table = catalog.head, catalog.view.table
        rows = await self._record.photo_rows(generation, None)
        fresh = await self._read_vectors(generation, [row.row_id for row in rows])
        vectors = await asyncio.to_thread(loaded, generation, table, rows, fresh)
        vectors.head = head
        return vectors

    async def _refresh(self, held: Vectors, catalog: _Catalog) -> None:
        """Apply later writes; products with unchanged vectors are not read again."""
        head, table = catalog.head, catalog.view.table
        changed, rows = await self._record.photo_rows_since(held.generation, held.head)
        by_place: dict[int, list[PhotoRow]] = {
            place: [] for name in changed if (place := table.place(name)) >= 0
        }
        for row in rows:
            by_place.setdefault(table.place(row.product_id), []).append(row)
        by_place.pop(-1, None)  # written since the columns were read: with the next commit
        new = [
            row.row_id
            for place, mine in by_place.items()
            for row in mine
            if held.held(place).get(row.row_id) != row.seq
        ]
        fresh = await self._read_vectors(held.generation, new)
        for place, mine in by_place.items():
            held.put(place, mine, fresh)
        held.head = head

    async def _read_vectors(
        self, generation: Generation, row_ids: Sequence[str]
    ) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        for start in range(0, len(row_ids), READ_ROWS):
            some = row_ids[start : start + READ_ROWS]
            rows = await self._record.vectors_of_rows(generation, some)
            found.update(zip((key[0] for key in rows.keys), rows.vectors, strict=True))
        return found

    def _measure(self) -> None:
        """Register the functions that compute the gauges."""
        PRODUCTS.set_function(lambda: sum(len(each.view.table) for each in self._catalogs.values()))
        BYTES.set_function(lambda: sum(each.view.table.nbytes for each in self._catalogs.values()))
        ROWS.set_function(
            lambda: sum(len(v) for each in self._catalogs.values() for v in each.vectors.values())
        )

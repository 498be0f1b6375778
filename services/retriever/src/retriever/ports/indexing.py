"""The record, as embedding and indexing use it."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from retriever.domain.category_mismatch import CategoryPath, Classification
from retriever.domain.embedding import EmbeddingSpace, Pending
from retriever.domain.fit_plan import Label
from retriever.domain.generation import Backlog, Generation, GenerationState, Verification
from retriever.domain.index_values import Change, Waiting
from retriever.domain.vectors import Floats, VectorWrite
from retriever.ports.generations import GenerationsRecord, RowsRecord
from retriever.ports.search import MatchRecord
from servicekit.errors import ServiceError


class WatchedRecord(Protocol):
    """A record whose changes can be waited for."""

    def commits(self) -> asyncio.Event | None:
        """Return an event that is set after each later commit; None: commits are not reported."""


class LagRecord(GenerationsRecord, WatchedRecord, Protocol):
    """The record, as measurements of the index's lag use it."""

    async def mismatch_counts(self, catalogs: Sequence[str]) -> Mapping[str, int]:
        """Return by catalog the number of products with a photo that contradicts their category;
        catalogs without any are left out."""


class QueueRecord(Protocol):
    """The record, as what makes the photos of a generation pending uses it."""

    async def enqueue_missing(
        self, generation: Generation, after: str, limit: int, *, backfill: bool = True
    ) -> str | None:
        """Enqueue those of the next `limit` photos or products that lack a vector. `backfill`: a
        backfill alone waits for them.

        Return the position to continue at; None at the end.
        """


class BackfillRecord(QueueRecord, GenerationsRecord, Protocol):
    """The record, as backfills and the removal of generations use it."""

    async def retry_failed(self, generation: Generation) -> None:
        """Enqueue items again that could not be embedded."""

    async def backlog(self, generation: Generation) -> Backlog:
        """Return the items that the backfill waits for."""

    async def photo_count(self, generation: Generation) -> int:
        """Return the number of photos of the catalog's products; of products, where their texts are
        embedded; of given vectors, where callers give them."""

    async def end_backfill(self, generation: Generation) -> None:
        """Mark the generation as ready; failed photos are retried like any other."""

    async def take_back(self, generation: Generation, limit: int) -> int:
        """Delete up to `limit` items that only the backfill waits for; return their number."""

    async def discard(self, generation: Generation, limit: int) -> int:
        """Delete up to `limit` vectors, or pending items, of a dropped generation's version.

        None while another live generation has the version.
        """


class VerificationRecord(MatchRecord, Protocol):
    """The record, as a verification uses it."""

    async def embedded_texts(
        self, generation: Generation, product_ids: Sequence[str]
    ) -> dict[str, tuple[str, Floats]]:
        """Return by product the embedded text and its vector; not of pending texts."""

    async def save_verification(self, generation: Generation, found: Verification) -> None:
        """Store the result of a verification."""


class IndexRecord(QueueRecord, RowsRecord, WatchedRecord, Protocol):
    """The record, as the worker uses it."""

    async def waiting(
        self, catalogs: Sequence[str], spaces: Sequence[str], kinds: Sequence[str]
    ) -> Waiting:
        """Return which work is pending: photos of these spaces, changes, jobs of these kinds."""

    async def save_offers(self, catalog_id: str, offered: Sequence[EmbeddingSpace]) -> None:
        """Store the spaces that the embedder serves now."""

    async def mark(
        self,
        generation: Generation,
        *,
        state: GenerationState | None = None,
        check_wanted: bool | None = None,
        collection: str | None = None,
    ) -> bool:
        """Change the given properties. Return False and change nothing if the generation was
        dropped, or is gone."""

    async def advance(self, generation: Generation, change: Change) -> Generation:
        """Note that the collection holds everything up to a change."""

    async def expected(
        self, generation: Generation, low: str, high: str
    ) -> dict[str, tuple[int, str]]:
        """Return row id → (seq, product id) of the expected rows with low ≤ id < high."""

    async def due(self, generation: Generation, limit: int) -> list[Pending]:
        """Return items to embed now, the longest waiting first."""

    async def tagged(
        self, catalog_id: str, image_ids: Sequence[str], tags: Collection[str]
    ) -> frozenset[str]:
        """Return the photos of products with one of the tags."""

    async def texts(self, generation: Generation, product_ids: Sequence[str]) -> dict[str, str]:
        """Return the texts of existing products; empty: the product has no text."""

    async def postpone(
        self, generation: Generation, item_ids: Sequence[str], seconds: float, reason: str
    ) -> None:
        """Count a failed attempt and schedule a retry."""

    async def give_up(self, generation: Generation, item_ids: Sequence[str], reason: str) -> None:
        """Mark items as not embeddable; they are not retried."""

    async def drop_blank(self, generation: Generation, product_ids: Sequence[str]) -> None:
        """Remove pending products without text, or deleted ones, and their vectors."""

    async def forget(self, generation: Generation, image_ids: Sequence[str]) -> None:
        """Remove photos that no product has any more."""

    async def save_vectors(
        self, generation: Generation, writes: Sequence[VectorWrite]
    ) -> tuple[list[ServiceError | None], int]:
        """Store vectors; the photos' products go into the outbox."""

    async def judge(
        self,
        generation: Generation,
        classifications: Mapping[str, Classification],
        known: Collection[CategoryPath],
    ) -> None:
        """Update which photos contradict their products' categories.

        `classifications`: by photo, by the generation's version. `known`: as in
        domain/category_mismatch.py.
        """


class LabelRecord(Protocol):
    """The record, as fits of a space read it."""

    async def labels(
        self, catalog_id: str, after: str, limit: int
    ) -> tuple[list[Label], str | None]:
        """Return the photos of the first `limit` products after `after`, and the last of these
        products; None if there were none."""


class Leader(Protocol):
    """Leadership of this process: a single process writes to the index."""

    def left(self) -> float:
        """Return the seconds for which no other process can lead; 0 once another one may."""

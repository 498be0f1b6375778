"""What those who make vectors and fill the index ask of the record."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from retriever.domain.category_mismatch import CategoryPath, Classification
from retriever.domain.embedding import EmbeddingSpace, Pending
from retriever.domain.fitting import Label
from retriever.domain.generation import Backlog, Generation, GenerationState, Verification
from retriever.domain.index_values import Change, Waiting
from retriever.domain.vectors import Floats, VectorWrite
from retriever.ports.generations import GenerationsRecord, RowsRecord
from retriever.ports.search import MatchRecord
from servicekit.errors import ServiceError


class LagRecord(GenerationsRecord, Protocol):
    """The record as it is read to measure how far the index is behind."""

    async def mismatch_counts(self, catalogs: Sequence[str]) -> Mapping[str, int]:
        """How many products have a photo that contradicts their category, by catalog; of those
        where any has."""


class BackfillRecord(GenerationsRecord, Protocol):
    """The record as backfills see it, and those who clear up after a generation."""

    async def enqueue_missing(self, generation: Generation, after: str, limit: int) -> str | None:
        """Make those pending of the next `limit` photos or products that lack a vector; where to go
        on, None = the end."""

    async def retry_failed(self, generation: Generation) -> None:
        """Make those pending again that could not be embedded."""

    async def backlog(self, generation: Generation) -> Backlog:
        """What the backfill waits for."""

    async def photo_count(self, generation: Generation) -> int:
        """Photos that the catalog's products have; products, where their texts are embedded;
        vectors that were given, where callers give them."""

    async def end_backfill(self, generation: Generation) -> None:
        """The generation is ready; photos that fail still are tried on as any other."""

    async def take_back(self, generation: Generation, limit: int) -> int:
        """Forget up to `limit` of what waits for the backfill alone; how much it was."""

    async def discard(self, generation: Generation, limit: int) -> int:
        """Forget up to `limit` vectors, or what waits for one, of a dropped generation's version.

        None of them while another live generation has the version.
        """


class VerificationRecord(MatchRecord, Protocol):
    """The record as a verification sees it."""

    async def embedded_texts(
        self, generation: Generation, product_ids: Sequence[str]
    ) -> dict[str, tuple[str, Floats]]:
        """By product, the text and the vector that was made of it; not of texts that wait."""

    async def save_verification(self, generation: Generation, found: Verification) -> None:
        """Keep what was found."""


class IndexRecord(RowsRecord, Protocol):
    """The record as the worker sees it."""

    def version(self) -> int | None:
        """Another number after every write, without waiting; None = it is not known."""

    async def waiting(
        self, catalogs: Sequence[str], spaces: Sequence[str], kinds: Sequence[str]
    ) -> Waiting:
        """Whether there is work: photos of these spaces, changes, jobs of these kinds."""

    async def save_offers(self, catalog_id: str, offered: Sequence[EmbeddingSpace]) -> None:
        """Keep what the embedder serves now."""

    async def mark(
        self,
        generation: Generation,
        *,
        state: GenerationState | None = None,
        check_wanted: bool | None = None,
        collection: str | None = None,
    ) -> None:
        """Change what is given."""

    async def advance(self, generation: Generation, change: Change) -> Generation:
        """Note that everything up to a change is in the collection."""

    async def expected(
        self, generation: Generation, low: str, high: str
    ) -> dict[str, tuple[int, str]]:
        """Row id → (seq, product id) of the rows it should hold with low ≤ id < high."""

    async def due(self, generation: Generation, limit: int) -> list[Pending]:
        """What to embed now, that first which waits longest."""

    async def tagged(
        self, catalog_id: str, image_ids: Sequence[str], tags: Collection[str]
    ) -> frozenset[str]:
        """Those of the photos that a product with one of the tags has."""

    async def texts(self, generation: Generation, product_ids: Sequence[str]) -> dict[str, str]:
        """The texts of those products that exist; empty = it has none."""

    async def postpone(
        self, generation: Generation, item_ids: Sequence[str], seconds: float, reason: str
    ) -> None:
        """Count a failed attempt and try again later."""

    async def give_up(self, generation: Generation, item_ids: Sequence[str], reason: str) -> None:
        """What can't be embedded; it is not tried again."""

    async def drop_blank(self, generation: Generation, product_ids: Sequence[str]) -> None:
        """Products that wait and have no text, or are gone; a vector that one had goes too."""

    async def forget(self, generation: Generation, image_ids: Sequence[str]) -> None:
        """Photos that no product has any more."""

    async def save_vectors(
        self, generation: Generation, writes: Sequence[VectorWrite]
    ) -> tuple[list[ServiceError | None], int]:
        """Store vectors; the products that have the photos go into the outbox."""

    async def judge(
        self,
        generation: Generation,
        classifications: Mapping[str, Classification],
        known: Collection[CategoryPath],
    ) -> None:
        """Note which photos contradict their products' categories, and which do not any more.

        `classifications`: by photo, by the generation's version. `known`: as in
        domain/category_mismatch.py.
        """


class LabelRecord(Protocol):
    """The record, as it is read to fit a space."""

    async def labels(
        self, catalog_id: str, after: str, limit: int
    ) -> tuple[list[Label], str | None]:
        """The photos of the first `limit` products behind `after`; and the last of these products,
        None = there were none."""


class Leader(Protocol):
    """Whether this process may write to the index: one at a time does."""

    def left(self) -> float:
        """Seconds for which no other process can lead; 0 from the moment one might."""

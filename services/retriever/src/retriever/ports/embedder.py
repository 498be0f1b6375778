"""What the use cases ask of the embedder."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Protocol

from retriever.domain.category_mismatch import CategoryPath
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.fitting import FitPhoto, FitPlan, FitProgress
from retriever.domain.vectors import GivenVector
from servicekit.errors import ServiceError


class SpaceTrainer(Protocol):
    """Fits spaces."""

    def fit(
        self, catalog_id: str, plan: FitPlan, total: int, photos: AsyncIterator[FitPhoto]
    ) -> AsyncIterator[FitProgress]:
        """Fit a space on `total` photos; yields how far it is, last what it became.

        Raises EmbedderUnavailable, and the embedder's own errors.
        """


class Embedder(SpaceTrainer, Protocol):
    """The embedder."""

    async def spaces(self, catalog_id: str) -> list[EmbeddingSpace]:
        """Every version of every space that it offers now. Raises EmbedderUnavailable."""

    async def categories(
        self, catalog_id: str, space: str, version: str
    ) -> frozenset[CategoryPath]:
        """The full paths that a version's head knows; none when it has none. Raises
        EmbedderUnavailable."""

    async def embed(
        self,
        catalog_id: str,
        space: str,
        version: str,
        items: Sequence[bytes | str],
        *,
        classify: bool = False,
        shoppers: Collection[int] = (),
    ) -> list[GivenVector | ServiceError]:
        """A vector or an error for each photo (bytes) or text. `classify`: with what each photo is
        of. `shoppers`: places of the photos that shoppers took; the others are the catalog's.

        Raises EmbedderUnavailable or another ServiceError. VersionMismatch for each when it does
        not serve the version.
        """

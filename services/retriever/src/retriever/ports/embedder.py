"""The embedder."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Protocol

from retriever.domain.category_mismatch import CategoryPath
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.fit_plan import FitPhoto, FitPlan, FitProgress
from retriever.domain.vectors import GivenVector
from servicekit.errors import ServiceError
from sightline_rules.photo_areas import PhotoArea


class Trainer(Protocol):
    """Fits spaces."""

    def fit(
        self, catalog_id: str, plan: FitPlan, total: int, photos: AsyncIterator[FitPhoto]
    ) -> AsyncIterator[FitProgress]:
        """Fit a space on `total` photos; yield its progress, last its result.

        Raises EmbedderUnavailable, and the embedder's own errors.
        """


class FaceFinder(Protocol):
    """Finds faces."""

    async def faces(self, catalog_id: str, photo: bytes) -> list[PhotoArea]:
        """Return the faces in a photo.

        Raises EmbedderUnavailable, and ImageRejected for a photo that can't be decoded.
        """


class LabelReader(Protocol):
    """Reads labels."""

    async def label_text(self, catalog_id: str, photo: bytes) -> str:
        """Return the lines of text in a photo of a product; empty: none.

        Raises EmbedderUnavailable, and ImageRejected for a photo that can't be decoded.
        """


class Embedder(Trainer, LabelReader, Protocol):
    """The embedder."""

    async def spaces(self, catalog_id: str) -> list[EmbeddingSpace]:
        """Return every version of every space that it serves now. Raises EmbedderUnavailable."""

    async def categories(
        self, catalog_id: str, space: str, version: str
    ) -> frozenset[CategoryPath]:
        """Return the full paths that a version's head knows; empty without a head.

        Raises EmbedderUnavailable.
        """

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
        """Return a vector or an error for each photo (bytes) or text. `classify`: with the photos'
        classifications. `shoppers`: places of the photos that shoppers took; others are the
        catalog's.

        Raises EmbedderUnavailable or another ServiceError. Each is VersionMismatch when the version
        is not served.
        """

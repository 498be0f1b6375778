"""The embedder and the store of files, as inspections use them."""

from collections.abc import Sequence
from typing import Protocol

from servicekit.telemetry import Stages
from vision.domain.inspection import GivenPhoto, PatchesSeen, Pixels, PreparedPhoto


class PatchFeatures(Protocol):
    """Computes features of patches. Every call raises EmbedderUnavailable, and the embedder's own
    errors."""

    async def prepare(self, catalog_id: str, photo: GivenPhoto, stages: Stages) -> PreparedPhoto:
        """Return a photo as the model sees it."""

    async def describe(
        self, catalog_id: str, photo: GivenPhoto, stages: Stages
    ) -> tuple[PreparedPhoto, PatchesSeen]:
        """Return a photo as the model sees it, and its features."""

    async def compute(
        self, catalog_id: str, photos: Sequence[Pixels], stages: Stages
    ) -> PatchesSeen:
        """Return the features of prepared photos."""


class StoredFiles(Protocol):
    """The photo store, as references use it."""

    async def put(self, catalog_id: str, image_id: str, data: bytes) -> object:
        """Store bytes durably. Raises PhotosUnavailable, PhotosFull."""

    async def get(self, catalog_id: str, image_id: str) -> bytes:
        """Return the bytes. Raises ImageNotFound, ImageDamaged, PhotosUnavailable."""

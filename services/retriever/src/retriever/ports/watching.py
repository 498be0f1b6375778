"""Ports of watches: the record, the embedder and the photo store."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from retriever.domain.generation import Generation, GenerationSnapshot
from retriever.domain.product import Product
from retriever.domain.vectors import Floats
from retriever.domain.watch_state import (
    FoundObjects,
    FrameFacts,
    RevisedState,
    WatchProgress,
    WatchState,
)
from retriever.domain.watches import (
    Alert,
    SilenceSource,
    SnapshotSource,
    StoredWatch,
    Watch,
    WatchBox,
    WatchPhoto,
)
from servicekit.outbound.fetch import FetchedFile
from sightline_rules.photos import PhotoInfo


class WatchRecord(Protocol):
    """The record, as watches use it."""

    async def watch(
        self, catalog_id: str, watch_id: str
    ) -> tuple[StoredWatch, RevisedState] | None:
        """Return a watch and what it knows; None: there is no such watch."""

    async def watches(self, catalog_id: str) -> list[tuple[StoredWatch, RevisedState]]:
        """Return the watches of a catalog by their ids, with what they know."""

    async def create_watch(
        self, catalog_id: str, watch: Watch, photos: Sequence[WatchPhoto]
    ) -> StoredWatch:
        """Store a watch; an equal one is returned. Raises WatchExists, WatchesFull."""

    async def update_watch(
        self,
        catalog_id: str,
        watch: Watch,
        photos: Sequence[WatchPhoto],
        *,
        etag: str,
        known: int,
        state: WatchState,
        alerts: Sequence[Alert],
    ) -> StoredWatch | None:
        """Replace a watch and what it knows, with alerts that this ends; an equal one is returned.
        None: frames were checked since revision `known`. Raises WatchNotFound, EtagMismatch."""

    async def delete_watch(self, catalog_id: str, watch_id: str) -> bool:
        """Delete a watch with its alerts. Return whether it existed."""

    async def save_checked(self, catalog_id: str, progress: WatchProgress) -> list[Alert] | None:
        """Store what a watch knows after frames, with their alerts, in one transaction. Return the
        alerts as stored; None: the watch was changed, or frames were checked since revision
        `known`. Raises WatchNotFound."""

    async def alerts(self, catalog_id: str, watch_id: str, before: int, limit: int) -> list[Alert]:
        """Return alerts before a sequence number, newest first. `watch_id`: empty: all."""

    async def alerts_after(
        self, catalog_id: str, watch_id: str, after: int, limit: int
    ) -> list[Alert]:
        """Return alerts after a sequence number, oldest first. `watch_id`: empty: all."""

    async def newest_alert(self, catalog_id: str) -> int:
        """Return the sequence number of the newest alert; 0: none."""

    async def watch_photo(self, catalog_id: str, image_id: str) -> WatchPhoto | None:
        """Return a photo of a watch; None: there is none."""

    async def generation_snapshot(
        self, catalog_id: str, space: str, name: str = ""
    ) -> GenerationSnapshot | None:
        """Return the active generation of a space; None: there is none."""

    async def product_vectors(self, generation: Generation, product_id: str) -> list[Floats]:
        """Return the vectors of a product's photos in the version of a generation."""


class SnapshotRecord(WatchRecord, Protocol):
    """The record, as frames from addresses use it."""

    async def snapshot_sources(self) -> list[SnapshotSource]:
        """Return the addresses from which watches of all catalogs take frames."""

    def commits(self) -> asyncio.Event | None:
        """Return an event that is set when the record has changed; None: not reported."""


class SilenceRecord(WatchRecord, Protocol):
    """The record, as the search for silent cameras uses it."""

    async def silence_sources(self) -> list[SilenceSource]:
        """Return the watches of all catalogs with a rule that tells when their camera stops."""

    def commits(self) -> asyncio.Event | None:
        """Return an event that is set when the record has changed; None: not reported."""


class FetchSnapshot(Protocol):
    """Fetches a picture from an address."""

    def __call__(self, uri: str) -> AbstractAsyncContextManager[FetchedFile]:
        """Provide the picture. Raises UriForbidden, UriUnreadable."""


class ProductReader(Protocol):
    """Reads products."""

    async def get(self, catalog_id: str, product_ids: Sequence[str]) -> dict[str, Product]:
        """Return the products that exist."""


class ExpiryRecord(Protocol):
    """The record, as the deletion of old alerts and photos uses it."""

    async def drop_expired_photos(
        self, catalog_id: str, before: int, limit: int
    ) -> tuple[int, list[str]]:
        """Drop photos of watches whose term had ended by a time (microseconds). Return the number
        of entries, and the photos that the catalog has for no other purpose."""

    async def drop_old_alerts(self, catalog_id: str, before: int, limit: int) -> int:
        """Delete alerts that were stored before a time. Return their number."""


class FrameEmbedder(Protocol):
    """Embeds parts of frames."""

    async def embed_parts(
        self, catalog_id: str, parts: Sequence[bytes], version: str
    ) -> tuple[str, list[Floats]]:
        """Return the version of the visual space, and the vector of unit length of each part (1 to
        64 photos). `version`: the wanted version; empty: the default one.

        Raises EmbedderUnavailable, VersionMismatch, ImageRejected.
        """

    async def find_objects(
        self, catalog_id: str, frame: bytes, version: str, *, vectors: bool
    ) -> FoundObjects | None:
        """Return the objects in a frame, at most MOST_FOUND; None: the model that finds them is not
        ready. `version`: as for `embed_parts`; `vectors`: whether the objects are embedded.

        Raises EmbedderUnavailable, VersionMismatch, ImageRejected.
        """


class FramePhotos(Protocol):
    """The photo store, as watches use it."""

    async def measure_frame(
        self, catalog_id: str, data: bytes, boxes: Sequence[WatchBox]
    ) -> tuple[FrameFacts, list[bytes]]:
        """Return the properties of a frame, and parts of it as photos, reduced in size.

        Raises ImageRejected, PhotosUnavailable.
        """

    async def as_stored(self, catalog_id: str, data: bytes) -> bytes:
        """Return a photo as it is stored: without metadata. Raises ImageRejected."""

    async def inspect(self, catalog_id: str, data: bytes) -> PhotoInfo:
        """Return a photo's properties. Raises ImageRejected, PhotosUnavailable."""

    async def put(self, catalog_id: str, image_id: str, data: bytes) -> object:
        """Store bytes durably. Raises PhotosUnavailable, PhotosFull."""

    async def get(self, catalog_id: str, image_id: str) -> bytes:
        """Return the bytes. Raises ImageNotFound, ImageDamaged, PhotosUnavailable."""


class PrivateFrames(Protocol):
    """Removes faces from frames."""

    async def without_faces(
        self, catalog_id: str, data: bytes, box: WatchBox | None = None
    ) -> bytes:
        """Return a photo with blurred faces; with a `box`: this part of it, a JPEG. Raises
        ImageRejected, PhotosUnavailable, EmbedderUnavailable."""

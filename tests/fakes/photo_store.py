"""A photo store in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import ClassVar

from retriever.domain import errors
from servicekit.errors import ServiceError
from servicekit.outbound.fetch import UriForbidden
from sightline_rules.photo_metadata import without_metadata
from sightline_rules.photos import (
    PhotoInfo,
    PhotoLimits,
    PhotoRejectedError,
    check_size,
    image_id,
    inspect,
)

LIMITS = PhotoLimits(max_bytes=200_000, max_pixels=1_000_000)


@dataclass
class FakePhotos:
    """Photo store in memory, with the real store's checks."""

    errors: ClassVar[ModuleType] = errors
    """The errors of the service that has it."""
    stored: dict[tuple[str, str], bytes] = field(default_factory=dict)
    failure: ServiceError | None = None
    unreadable: set[str] = field(default_factory=set)
    """Ids of photos on a bad part of the disk."""
    old: set[str] = field(default_factory=set)
    """Ids of photos whose bytes came long ago."""
    given: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of photos received."""
    web: dict[str, bytes | ServiceError] = field(default_factory=dict)
    """Content of addresses."""

    async def as_stored(self, catalog_id: str, data: bytes) -> bytes:
        try:
            check_size(data, LIMITS)
            return without_metadata(data)
        except PhotoRejectedError as error:
            raise self.errors.ImageRejected(str(error.reason), str(error)) from error

    async def inspect(self, catalog_id: str, data: bytes) -> PhotoInfo:
        try:
            return inspect(data, LIMITS)
        except PhotoRejectedError as error:
            raise self.errors.ImageRejected(str(error.reason), str(error)) from error

    @asynccontextmanager
    async def fetched(self, uri: str) -> AsyncIterator[bytes]:
        found = self.web.get(uri, UriForbidden("not allowed"))
        if isinstance(found, ServiceError):
            raise found
        yield found

    async def put(self, catalog_id: str, photo_id: str, data: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        assert photo_id == image_id(data)
        self.old.discard(photo_id)
        self.stored[catalog_id, photo_id] = data
        self.given[catalog_id, photo_id] += 1

    async def get(self, catalog_id: str, photo_id: str) -> bytes:
        if self.failure is not None:
            raise self.failure
        if photo_id in self.unreadable:
            raise self.errors.PhotosUnavailable
        try:
            return self.stored[catalog_id, photo_id]
        except KeyError:
            raise self.errors.ImageNotFound from None

    async def delete(self, catalog_id: str, photo_id: str) -> None:
        self.stored.pop((catalog_id, photo_id), None)

    async def names(self, catalog_id: str, shelf: int) -> list[str]:
        mine = [name for catalog, name in self.stored if catalog == catalog_id]
        return [name for name in mine if name.startswith(f"{shelf:02x}")]

    async def discard(self, catalog_id: str, photo_id: str, before: float) -> bool:
        if photo_id not in self.old:
            return False
        return self.stored.pop((catalog_id, photo_id), None) is not None

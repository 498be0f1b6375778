"""Deletion of photos of watches that were taken down (TakeDownPhoto of the retriever)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Protocol

from servicekit.tasks.supervision import confined
from vision.ports.watching import Takedowns
from vision.record import Record

TAKEN_DOWN: Final = "taken down"
"""Name for servicekit.tasks.supervision."""
BATCH: Final = 64
"""Photos that the retriever is asked about at once."""


class DeletedPhotos(Protocol):
    """The photo store, as far as photos are deleted."""

    async def delete(self, catalog_id: str, image_id: str) -> object:
        """Delete the bytes of a photo if there are any. Raises PhotosUnavailable."""


@dataclass(frozen=True, slots=True)
class TakenDownPhotos:
    """Deletes the bytes of photos that were taken down, also of those that a restore brought back.

    Their rows stay: those of alerts until their term ends, those of rules, which can't tell from
    then on, as long as their watch.
    """

    catalogs: Collection[str]
    record: Record
    photos: DeletedPhotos
    takedowns: Takedowns

    async def step(self) -> bool:
        """Look at all photos. Return False: nothing more is due at once."""
        for catalog_id in self.catalogs:
            with confined(TAKEN_DOWN, catalog=catalog_id):
                await self._delete(catalog_id)
        return False

    async def _delete(self, catalog_id: str) -> None:
        last = ""
        while names := await self.record.photo_names(catalog_id, last, BATCH):
            for name in await self.takedowns.taken_down(catalog_id, names):
                with confined(TAKEN_DOWN, catalog=catalog_id, photo=name):
                    await self.photos.delete(catalog_id, name)
            last = names[-1]

"""Watches: created, replaced, read and deleted."""

from collections.abc import Callable
from dataclasses import dataclass

from servicekit.outbound.fetch import UriForbidden
from sightline_rules.photos import image_id
from vision.domain.errors import (
    ImageNotFound,
    ImageRejected,
    ImageTakenDown,
    ProductNotFound,
    WatchContended,
    WatchNotFound,
)
from vision.domain.watch_state import WatchState
from vision.domain.watches import (
    MOST_RULES,
    StoredWatch,
    Watch,
    WatchDraft,
    WatchPhoto,
    check,
)
from vision.ports.watching import CatalogProducts, FramePhotos
from vision.record import Record
from vision.watching.checking import ended, without_ended
from vision.watching.faces import BlurredFrames

ATTEMPTS = 5
"""Attempts to replace a watch while frames are checked."""


@dataclass(frozen=True, slots=True)
class Watches:
    """The watches of catalogs."""

    record: Record
    photos: FramePhotos
    products: CatalogProducts
    private: BlurredFrames
    clock: Callable[[], int]
    """Microseconds since 1970 (UTC)."""
    check_address: Callable[[str], None]
    """Raises UriForbidden unless frames may be taken from an address."""

    async def create(self, catalog_id: str, draft: WatchDraft) -> tuple[StoredWatch, WatchState]:
        """Create a watch; an equal one is returned.

        Raises WatchInvalid, WatchExists, WatchesFull, ProductNotFound, ImageRejected,
        ImageTakenDown, UriForbidden, RetrieverUnavailable; with a photo, also
        EmbedderUnavailable.
        """
        check(draft)
        self._check_snapshot(draft.watch)
        await self._check_products(catalog_id, draft.watch)
        watch, photos = await self._with_photos(catalog_id, draft)
        stored = await self.record.create_watch(catalog_id, watch, photos)
        return await self.get(catalog_id, stored.watch.watch_id)

    async def update(self, catalog_id: str, draft: WatchDraft) -> tuple[StoredWatch, WatchState]:
        """Replace a watch. Raises WatchNotFound, EtagMismatch, WatchContended, and what `create`
        raises."""
        watch_id = draft.watch.watch_id
        for _ in range(ATTEMPTS):
            found = await self.record.watch(catalog_id, watch_id)
            if found is None:
                raise WatchNotFound
            before, known = found
            check(draft, before.watch)
            if draft.watch.snapshot_uri != before.watch.snapshot_uri:
                self._check_snapshot(draft.watch)
            await self._check_products(catalog_id, draft.watch)
            watch, photos = await self._with_photos(catalog_id, draft)
            alerts = ended(before.watch, watch, known.state, self.clock())
            stored = await self.record.update_watch(
                catalog_id,
                watch,
                photos,
                etag=draft.etag,
                known=known.revision,
                state=without_ended(known.state, watch),
                alerts=alerts,
            )
            if stored is not None:
                return await self.get(catalog_id, watch_id)
        raise WatchContended

    async def get(self, catalog_id: str, watch_id: str) -> tuple[StoredWatch, WatchState]:
        """Return a watch and what it knows. Raises WatchNotFound."""
        found = await self.record.watch(catalog_id, watch_id)
        if found is None:
            raise WatchNotFound
        return found[0], found[1].state

    async def every(self, catalog_id: str) -> list[tuple[StoredWatch, WatchState]]:
        """Return the watches of a catalog by their ids, with what they know."""
        return [(each, known.state) for each, known in await self.record.watches(catalog_id)]

    async def delete(self, catalog_id: str, watch_id: str) -> bool:
        """Delete a watch with its alerts and photos. Return whether it existed."""
        return await self.record.delete_watch(catalog_id, watch_id)

    async def photo(self, catalog_id: str, image_id: str) -> tuple[WatchPhoto, bytes]:
        """Return a photo of a watch, with its bytes. Raises ImageNotFound, also for one that was
        taken down, and RetrieverUnavailable."""
        found = await self.record.watch_photo(catalog_id, image_id)
        if found is None or await self.products.taken_down(catalog_id, [image_id]):
            raise ImageNotFound("image_id")
        return found, await self.photos.get(catalog_id, image_id)

    def _check_snapshot(self, watch: Watch) -> None:
        if watch.snapshot_uri:
            try:
                self.check_address(watch.snapshot_uri)
            except UriForbidden as error:
                raise error.at("watch.snapshot_uri") from None

    async def _check_products(self, catalog_id: str, watch: Watch) -> None:
        """Raise ProductNotFound if a rule looks for a product that the catalog lacks."""
        paths = {
            rule.target.product_id: f"watch.rules[{place}].{rule.condition.kind}.target.product_id"
            for place, rule in reversed(list(enumerate(watch.rules[:MOST_RULES])))
            if rule.target is not None and rule.target.product_id
        }
        lacking = await self.products.missing(catalog_id, list(paths)) if paths else ()
        missing = [path for product_id, path in paths.items() if product_id in lacking]
        if missing:
            raise ProductNotFound(*sorted(missing))

    async def _with_photos(
        self, catalog_id: str, draft: WatchDraft
    ) -> tuple[Watch, list[WatchPhoto]]:
        """Store the draft's photos without faces. Return its watch with their ids, and the
        photos."""
        places = {rule.rule_id: place for place, rule in enumerate(draft.watch.rules)}
        kinds = {rule.rule_id: rule.condition.kind for rule in draft.watch.rules}
        shown = dict[str, WatchPhoto]()
        for rule_id, data in draft.images.items():
            path = f"watch.rules[{places[rule_id]}].{kinds[rule_id]}.target.image"
            try:
                received = await self.photos.as_stored(catalog_id, data)
                kept = await self.private.without_faces(catalog_id, received)
                info = await self.photos.inspect(catalog_id, kept)
                names = [image_id(data), info.image_id]
                if await self.products.taken_down(catalog_id, names):
                    raise ImageTakenDown(path)
                await self.photos.put(catalog_id, info.image_id, kept)
            except ImageRejected as error:
                raise ImageRejected(error.reason, error.message, path) from error
            shown[rule_id] = WatchPhoto(info.image_id, info.media_type, info.width, info.height)
        watch = draft.with_images({rule_id: each.image_id for rule_id, each in shown.items()})
        return watch, list(shown.values())

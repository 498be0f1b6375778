"""The record: its calls, each bound to the function that implements it."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from servicekit.clock import Clock, now_micros
from servicekit.errors import ServiceError
from servicekit.sql.database import Database
from vision.domain.catalog_keys import KeyOf, catalog_of, same
from vision.domain.deliveries import Delivery, DeliveryStep, Lane, LaneState
from vision.domain.watches import SilenceSource, SnapshotSource
from vision.record import (
    audit_notes,
    deliveries,
    references,
    removal,
    snapshots,
    stored_files,
    watch_rows,
    webhooks,
)
from vision.record.tables import metadata

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", SnapshotSource, SilenceSource, Lane)

Call = Callable[Concatenate["Record", str, P], Coroutine[Any, Any, T]]
"""A call about a catalog, which it names by its id."""


def _reads(work: Callable[Concatenate[Connection, str, P], T]) -> Call[P, T]:
    """Return the method that runs `work` on one snapshot of the store, with the catalog's key."""

    async def call(store: "Record", catalog_id: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
        key = store.key_of(catalog_id)
        return await store._db.read(lambda connection: work(connection, key, *args, **kwargs))

    return call


def _writes(work: Callable[Concatenate[Connection, str, P], T]) -> Call[P, T]:
    """Return the method that runs `work` in a transaction, and returns after its commit."""

    async def call(store: "Record", catalog_id: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
        key = store.key_of(catalog_id)
        return await store._db.write(lambda connection: work(connection, key, *args, **kwargs))

    return call


def _writes_now(work: Callable[Concatenate[Connection, int, str, P], T]) -> Call[P, T]:
    """Return a method as `_writes` does, for work that needs the time."""

    async def call(store: "Record", catalog_id: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
        key = store.key_of(catalog_id)
        return await store._db.write(
            lambda connection: work(connection, store._clock(), key, *args, **kwargs)
        )

    return call


class Record:
    """The record's calls. The functions document them."""

    def __init__(self, db: Database, clock: Clock = now_micros, key_of: KeyOf = same) -> None:
        """Wrap a database. `clock`: microseconds since 1970 (UTC). `key_of`: returns the key of a
        catalog; by default all are declared."""
        self._db, self._clock, self.key_of = db, clock, key_of

    def commits(self) -> asyncio.Event | None:
        """See `Database.commits`."""
        return self._db.commits()

    # Watches
    watch = _reads(watch_rows.read_watch)
    watches = _reads(watch_rows.read_watches)
    create_watch = _writes_now(watch_rows.create_watch)
    update_watch = _writes_now(watch_rows.update_watch)
    delete_watch = _writes_now(watch_rows.delete_watch)
    save_checked = _writes_now(watch_rows.save_checked)
    alerts = _reads(watch_rows.read_alerts)
    alerts_after = _reads(watch_rows.read_alerts_after)
    newest_alert = _reads(watch_rows.read_newest_alert)
    watch_photo = _reads(watch_rows.read_watch_photo)
    photo_names = _reads(watch_rows.read_photo_names)
    unnamed_files = _reads(stored_files.read_unnamed_files)
    drop_expired_photos = _writes_now(watch_rows.drop_expired_photos)
    drop_old_alerts = _writes(watch_rows.drop_old_alerts)
    snapshot = _reads(snapshots.take_snapshot)
    restore_watch = _writes_now(watch_rows.restore_watch)
    restore_alerts = _writes_now(watch_rows.restore_alerts)

    async def snapshot_sources(self) -> list[SnapshotSource]:
        return self._known(await self._db.read(watch_rows.read_snapshot_sources))

    async def silence_sources(self) -> list[SilenceSource]:
        return self._known(await self._db.read(watch_rows.read_silence_sources))

    # Webhooks and deliveries
    create_webhook = _writes_now(webhooks.create_webhook)
    webhook_states = _reads(webhooks.read_webhooks)
    update_webhook = _writes_now(webhooks.update_webhook)
    rotate_webhook = _writes(webhooks.rotate_webhook)
    delete_webhook = _writes(webhooks.delete_webhook)
    dead_letters = _reads(deliveries.read_dead_letters)
    replay = _writes_now(deliveries.replay)

    async def due_lanes(
        self,
        now: int,
        latest: int,
        busy: Collection[Lane],
        limit: int,
        *,
        catalogs: Sequence[str],
    ) -> tuple[list[Lane], int]:
        used = {each: self.key_of(each) for each in catalogs}
        keys = list(used.values())
        held = {replace(lane, catalog_id=used.get(lane.catalog_id, "")) for lane in busy}
        found, later = await self._db.read(
            lambda c: deliveries.read_due(c, now, latest, held, limit, catalogs=keys)
        )
        return self._known(found), later

    async def next_delivery(self, lane: Lane) -> Delivery | None:
        mine = self._keyed(lane)
        found = await self._db.read(lambda c: deliveries.read_next(c, mine))
        return None if found is None else replace(found, lane=lane)

    async def settle_delivery(
        self, delivery: Delivery, step: DeliveryStep, state: LaneState
    ) -> None:
        mine = replace(delivery, lane=self._keyed(delivery.lane))
        await self._db.write(lambda c: deliveries.settle(c, self._clock(), mine, step, state))

    async def drop_dead_letters(self, before: int) -> int:
        return await self._db.write(lambda c: deliveries.drop_dead_letters(c, before))

    # References
    renew_photo = _writes_now(references.renew_photo)
    check_room = _reads(references.check_room)
    add_photo = _writes_now(references.add_photo)
    draft = _reads(references.read_draft)
    drop_photos = _writes(references.drop_photos)
    keep_version = _writes(references.keep_version)
    listed_references = _reads(references.read_references)
    promote = _writes_now(references.promote)
    delete_reference = _writes(references.delete_reference)
    find_version = _reads(references.find_version)
    expire_drafts = _writes_now(references.expire_drafts)

    # The audit log
    async def audit_notes(self, limit: int) -> list[Any]:
        return await self._db.read(lambda c: audit_notes.read_notes(c, limit))

    async def drop_audit_notes(self, ids: Sequence[str]) -> None:
        await self._db.write(lambda c: audit_notes.drop_notes(c, ids))

    # Removal, by keys
    async def keys(self) -> list[str]:
        return await self._db.read(removal.read_keys)

    async def remove_rows(self, key: str, limit: int) -> int:
        return await self._db.write(lambda c: removal.remove_catalog_rows(c, key, limit))

    async def erase_removed(self) -> None:
        """Remove the bytes of deleted rows from the store's files."""
        await self._db.erase_deleted([table.name for table in metadata.sorted_tables])

    def _keyed(self, lane: Lane) -> Lane:
        return replace(lane, catalog_id=self.key_of(lane.catalog_id))

    def _known(self, found: Iterable[S]) -> list[S]:
        """Return what was found of the catalogs that have their keys now, with their ids: not of
        former ones of an id."""
        named = ((catalog_of(each.catalog_id), each) for each in found)
        return [
            replace(each, catalog_id=catalog_id)
            for catalog_id, each in named
            if self._is_current(catalog_id, each.catalog_id)
        ]

    def _is_current(self, catalog_id: str, key: str) -> bool:
        try:
            return self.key_of(catalog_id) == key
        except ServiceError:
            return False

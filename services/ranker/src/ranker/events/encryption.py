"""Encryption at rest: data keys, their rotation, and texts and vectors of before.

`prepare` gives a store its first data key. The worker's loop makes a new one when the newest is old
enough, wraps all again when the wrapping key has changed, seals all texts and vectors with the
newest one, and then deletes the others. Each step can be repeated, and services go on meanwhile: a
text or vector names its data key.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from ranker.domain.errors import KeyUnusable
from ranker.domain.events import DAY_MICROS
from ranker.record.data_keys import DataKeyRecord, Place
from ranker.record.encrypted_columns import CURRENT_SECONDS, Sealer
from servicekit.keys.wrapping import UnwrapFailed
from servicekit.liveness import LIVENESS
from servicekit.telemetry import get_logger

ENCRYPTION = "encryption"
"""Name of the loop; see servicekit.liveness."""
BATCH = 500
SETTLED_MICROS = int(2 * CURRENT_SECONDS * 1e6)
"""After that time, all processes seal with a new data key."""
P = TypeVar("P")


async def prepare(record: DataKeyRecord, sealer: Sealer | None, now_micros: int) -> None:
    """Create the first data key of a store with encryption. Raise KeyUnusable if a store was
    encrypted and there is no wrapping key, or a data key can't be unwrapped."""
    keys = await record.all()
    if sealer is None:
        if keys:
            raise KeyUnusable(
                "the record is encrypted: set RANKER_ENCRYPTION_KEYS_FILE or"
                " RANKER_ENCRYPTION_COMMAND"
            )
        return
    try:
        if not keys:
            await record.add(sealer.wrapper, now_micros)
        await record.check(sealer.wrapper)
    except UnwrapFailed as error:
        raise KeyUnusable(str(error)) from None


@dataclass(eq=False)
class KeyRotation:
    """The worker's loop."""

    record: DataKeyRecord
    sealer: Sealer
    days: float
    """Days after which a new data key is made."""
    stop: asyncio.Event
    now_micros: Callable[[], int]

    async def look(self) -> None:
        """Do what is due. Raise UnwrapFailed."""
        wrapper, now = self.sealer.wrapper, self.now_micros()
        keys = await self.record.all()
        for one in keys:
            if one.wrapped_with != wrapper.current:
                await self.record.wrap_again(one.key_id, wrapper)
                get_logger().info("data key wrapped again", key_id=one.key_id)
        if not keys or now - keys[0].created_micros >= self.days * DAY_MICROS:
            key_id = await self.record.add(wrapper, now)
            get_logger().info("data key made", key_id=key_id)
        elif not keys[0].complete and now - keys[0].created_micros >= SETTLED_MICROS:
            await self._seal(keys[0].key_id)

    async def _seal(self, key_id: str) -> None:
        """Seal all texts and vectors with this data key, and delete the others."""
        done = await self._through(self.record.seal_queries, key_id, 0)
        first: Place = ()
        done += await self._through(self.record.seal_attributes, key_id, first)
        done += await self._through(self.record.seal_photos, key_id, first)
        if not self.stop.is_set():
            await self.record.finish(key_id)
            get_logger().info("texts sealed", key_id=key_id, count=done)

    async def _through(
        self, step: Callable[[str, P, int], Awaitable[tuple[P, int]]], key_id: str, start: P
    ) -> int:
        place, count = start, 0
        while not self.stop.is_set():
            LIVENESS.report(ENCRYPTION)
            place, done = await step(key_id, place, BATCH)
            count += done
            if done < BATCH:
                break
        return count

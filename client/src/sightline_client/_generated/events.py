"""Events of shoppers.

Made by generate_sync.py from
api/events.py: change that one and run it.
"""

from collections.abc import AsyncIterable, Iterable

from sightline_client._generated.base import SyncConnected
from sightline_client.transport import writing
from sightline_client.transport.looping import SyncBatches
from sightline_client.values.events import Event, EventBatch, EventReport


class SyncEventCalls(SyncConnected):
    """Events of shoppers."""

    def write_events(
        self,
        events: Iterable[Event] | AsyncIterable[Event],
        *,
        batch_size: int = writing.MAX_EVENTS,
        in_flight: int = 1,
    ) -> SyncBatches[EventBatch, EventReport]:
        """Write events, in batches of up to ``batch_size`` (1 to 1,000), ``in_flight`` of them at
        once; idempotent by ``event_id``.

        A collection is sent when this is called; ItemsRejected when some of it was rejected.

        ``report()`` gives a report; ``for`` gives each batch as soon as it is durable.
        """
        return SyncBatches(
            self._loop,
            lambda: self._client.write_events(events, batch_size=batch_size, in_flight=in_flight),
            events,
            raises=True,
        )

    def merge_shopper(
        self, visitor: str, user: str, *, proof: str = "", timeout: float | None = None
    ) -> int:
        """Merge a visitor into a user after login: the visitor's events, present and future, are
        the user's. Return the number of events moved. ``proof`` came with the visitor's id;
        PermissionDenied (VISITOR_PROOF_INVALID) when it belongs to another, or is "" and the suite
        requires one."""
        return self._loop.run(
            self._client.merge_shopper(visitor, user, proof=proof, timeout=timeout)
        )

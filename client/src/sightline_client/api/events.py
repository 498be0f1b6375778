"""Events of shoppers."""

from collections.abc import AsyncIterable, Iterable

from sightline.gateway.v1 import user_event_service_pb2 as user_event
from sightline_client.api.base import Connected
from sightline_client.convert import to_wire
from sightline_client.transport import writing
from sightline_client.transport.write_batches import Batches
from sightline_client.values.events import Event, EventBatch, EventReport


class EventCalls(Connected):
    """Calls about events of shoppers."""

    def write_events(
        self,
        events: Iterable[Event] | AsyncIterable[Event],
        *,
        batch_size: int = writing.MAX_EVENTS,
        in_flight: int = 1,
    ) -> Batches[EventBatch, EventReport]:
        """Write events, in batches of up to ``batch_size`` (1 to 1,000), ``in_flight`` of them at
        once; idempotent by ``event_id``.

        ``await`` it for a report, or ``async for`` it for each batch as soon as it is durable.
        """
        return self._writer().events(events, batch_size, in_flight)

    async def merge_shopper(
        self, visitor: str, user: str, *, proof: str = "", timeout: float | None = None
    ) -> int:
        """Merge a visitor into a user after login: the visitor's events, present and future, are
        the user's. Return the number of events moved. ``proof`` came with the visitor's id;
        PermissionDenied (VISITOR_PROOF_INVALID) when it belongs to another, or is "" and the suite
        requires one."""
        with to_wire.sendable("request"):
            request = user_event.MergeShopperRequest(
                catalog_id=self.catalog, to=to_wire.shopper(user, None), visitor_proof=proof
            )
            # `from` is a keyword of Python.
            getattr(request, "from").visitor_id = visitor
        return (await self._call(self.calls.events.MergeShopper, request, timeout)).moved_count

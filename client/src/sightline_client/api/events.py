"""Events of shoppers."""

from collections.abc import AsyncIterable, Iterable
from datetime import datetime

from sightline.gateway.v1 import admin_service_pb2
from sightline.gateway.v1 import user_event_service_pb2 as user_event
from sightline.ranker.v1 import event_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.transport import writing
from sightline_client.transport.write_batches import Batches
from sightline_client.values.events import Event, EventBatch, EventReport, EventType, Visitor
from sightline_client.values.operations import EventPurge, Job
from sightline_client.values.suggestions import TopSearches


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

    async def create_visitor(self, *, timeout: float | None = None) -> Visitor:
        """Create an id for a visitor who has none yet, with the proof that ``merge_shopper``
        takes."""
        request = user_event.CreateVisitorRequest(catalog_id=self.catalog)
        return from_wire.visitor(
            await self._call(self.calls.events.CreateVisitor, request, timeout)
        )

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

    async def purge_events(
        self,
        *,
        before: datetime | None = None,
        types: Iterable[EventType] = (),
        product_id: str = "",
        user: str | None = None,
        visitor: str | None = None,
        force: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> EventPurge:
        """Count the events that match every condition given, of which at least one is required;
        with ``force``, start a job that deletes them.

        Args:
            before: Events before this time.
            types: Events of these types.
            product_id: Events with this product.
            user: Events of this user.
            visitor: Events of this visitor.
            force: Delete.
            request_id: The same id returns the same job.
        """
        with to_wire.sendable("request"):
            request = user_event.PurgeEventsRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                before_time=None if before is None else to_wire.timestamp(before),
                types=[to_wire.event_type(kind) for kind in types],
                product_id=product_id,
                shopper=to_wire.shopper(user, visitor),
                force=force,
            )
        return from_wire.event_purge(
            await self._call(self.calls.events.PurgeEvents, request, timeout)
        )

    async def export_events(
        self,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
        types: Iterable[EventType] = (),
        order_ids: bool = False,
        queries: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that writes matching events to Parquet files in a folder of the ranker, which
        the job's result names; follow it with ``watch_job``.

        Args:
            since: Events from this time on; None = all.
            before: Events before this time; None = all.
            types: Events of these types; none = of all.
            order_ids: Write orders in plain text instead of hashed.
            queries: Include search terms.
            request_id: The same id returns the same job.
        """
        with to_wire.sendable("request"):
            request = event_service_pb2.ExportEventsRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                from_time=None if since is None else to_wire.timestamp(since),
                before_time=None if before is None else to_wire.timestamp(before),
                types=[to_wire.event_type(kind) for kind in types],
                include_order_ids=order_ids,
                include_queries=queries,
            )
        return from_wire.job(await self._call(self.calls.admin.ExportEvents, request, timeout))

    async def top_searches(
        self, *, top: int = 0, nothing_found: bool = False, timeout: float | None = None
    ) -> TopSearches:
        """Return what most shoppers searched for, and how many products have the words.

        Args:
            top: Maximum number of texts, 1 to 200; 0: 50.
            nothing_found: If true, only those of them that find no product by their words.
            timeout: Timeout of the call in seconds; None: the client's default.
        """
        request = admin_service_pb2.ListTopSearchesRequest(
            catalog_id=self.catalog, page_size=top, nothing_found=nothing_found
        )
        method = self.calls.admin.ListTopSearches
        return from_wire.top_searches(await self._call(method, request, timeout))

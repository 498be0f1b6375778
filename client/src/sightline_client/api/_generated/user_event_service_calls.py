"""Calls of UserEventService.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from collections.abc import Iterable
from datetime import datetime

from sightline.gateway.v1 import user_event_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.values.events import EventType, Visitor
from sightline_client.values.operations import EventPurge


class UserEventServiceCalls(Connected):
    """Calls of UserEventService."""

    async def create_visitor(self, *, timeout: float | None = None) -> Visitor:
        """Return a new visitor id and a proof that the gateway issued it, which ``merge_shopper``
        requires. Stores nothing."""
        return from_wire.visitor(
            await self._ask(
                self.calls.events.CreateVisitor,
                user_event_service_pb2.CreateVisitorRequest,
                timeout,
            )
        )

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
        """Count the events that meet the conditions. With ``force``, starts a job that deletes
        them.

        Args:
            before: Latest time of the events, exclusive (UTC). If unset, no upper bound.
            types: Types of the events. If empty, all types.
            product_id: Product of the events. If empty, all products.
            user: Id of a known customer; excludes ``visitor``.
            visitor: Id of a visitor who is not logged in.
            force: If true, deletes them. Default: only counts them.
            request_id: The same id returns the same job.
        """
        return from_wire.event_purge(
            await self._ask(
                self.calls.events.PurgeEvents,
                user_event_service_pb2.PurgeEventsRequest,
                timeout,
                before_time=before,
                types=types,
                product_id=product_id,
                shopper=to_wire.shopper(user, visitor),
                force=force,
                request_id=requests.own_id(request_id),
            )
        )

"""Calls of UserEventService.

Made by generate_sync.py from
api/_generated/user_event_service_calls.py: change that one and run it.
"""

from collections.abc import Iterable
from datetime import datetime

from sightline_client._generated.base import SyncConnected
from sightline_client.values.events import EventType, Visitor
from sightline_client.values.operations import EventPurge


class SyncUserEventServiceCalls(SyncConnected):
    """Calls of UserEventService."""

    def create_visitor(self, *, timeout: float | None = None) -> Visitor:
        """Return a new visitor id and a proof that the gateway issued it, which ``merge_shopper``
        requires. Stores nothing."""
        return self._loop.run(self._client.create_visitor(timeout=timeout))

    def purge_events(
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
        return self._loop.run(
            self._client.purge_events(
                before=before,
                types=types,
                product_id=product_id,
                user=user,
                visitor=visitor,
                force=force,
                request_id=request_id,
                timeout=timeout,
            )
        )

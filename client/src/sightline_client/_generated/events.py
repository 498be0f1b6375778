"""Events of shoppers.

Made from api/events.py by generate_sync.py: change that one and run it.
"""

from collections.abc import AsyncIterable, Iterable
from datetime import datetime

from sightline_client._generated.base import SyncConnected
from sightline_client.transport import writing
from sightline_client.transport.looping import SyncBatches
from sightline_client.values.events import Event, EventBatch, EventReport, EventType, Visitor
from sightline_client.values.operations import EventPurge, Job
from sightline_client.values.suggestions import TopSearches


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

    def create_visitor(self, *, timeout: float | None = None) -> Visitor:
        """Create an id for a visitor who has none yet, with the proof that ``merge_shopper``
        takes."""
        return self._loop.run(self._client.create_visitor(timeout=timeout))

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

    def export_events(
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
        return self._loop.run(
            self._client.export_events(
                since=since,
                before=before,
                types=types,
                order_ids=order_ids,
                queries=queries,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def top_searches(
        self, *, top: int = 0, nothing_found: bool = False, timeout: float | None = None
    ) -> TopSearches:
        """Return what most shoppers searched for, and how many products have the words.

        Args:
            top: Maximum number of texts, 1 to 200; 0: 50.
            nothing_found: If true, only those of them that find no product by their words.
            timeout: Timeout of the call in seconds; None: the client's default.
        """
        return self._loop.run(
            self._client.top_searches(top=top, nothing_found=nothing_found, timeout=timeout)
        )

"""The data of one shopper: a copy, its erasure, and consent to its use."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sightline.ranker.v1 import privacy_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.values.events import EventType
from sightline_client.values.operations import Job
from sightline_client.values.privacy import Consents, Erasure, PrivacyBudget, Purpose


class PrivacyCalls(Connected):
    """Calls about the data of one shopper."""

    async def export_user(
        self, *, user: str | None = None, visitor: str | None = None, timeout: float | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """Return everything that is stored on ``user`` or ``visitor``: records by store. NotFound
        (SHOPPER_NOT_FOUND) if nothing is. ``timeout`` is that of one page."""
        with to_wire.sendable("request"):
            request = privacy_service_pb2.ExportUserRequest(
                catalog_id=self.catalog, shopper=to_wire.shopper(user, visitor)
            )
        found: dict[str, list[dict[str, Any]]] = {}
        async for page in self._pages(self.calls.admin.ExportUser, request, timeout):
            for record in page.records:
                found.setdefault(record.store, []).append(json.loads(record.json))
        return found

    async def erase_user(
        self,
        *,
        user: str | None = None,
        visitor: str | None = None,
        force: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that erases ``user`` or ``visitor`` from all stores; follow it with
        ``watch_job``. NotFound (SHOPPER_NOT_FOUND) if the record has nothing on them.

        Args:
            user: The customer, with all visitors merged into them.
            visitor: The visitor.
            force: Search models and exports although the record has nothing.
            request_id: Id of the request in logs.
        """
        with to_wire.sendable("request"):
            request = privacy_service_pb2.EraseUserRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                shopper=to_wire.shopper(user, visitor),
                force=force,
            )
        return from_wire.job(await self._call(self.calls.admin.EraseUser, request, timeout))

    async def get_erasure(
        self, *, user: str | None = None, visitor: str | None = None, timeout: float | None = None
    ) -> Erasure:
        """Return the receipt of the newest erasure of ``user`` or ``visitor``. NotFound
        (ERASURE_NOT_FOUND) if there was none."""
        with to_wire.sendable("request"):
            request = privacy_service_pb2.GetErasureRequest(
                catalog_id=self.catalog, shopper=to_wire.shopper(user, visitor)
            )
        return from_wire.erasure(await self._call(self.calls.admin.GetErasure, request, timeout))

    async def set_consent(
        self,
        *,
        user: str | None = None,
        visitor: str | None = None,
        as_default: bool = False,
        given: Iterable[Purpose] = (),
        withdrawn: Iterable[Purpose] = (),
        source: str,
        timeout: float | None = None,
    ) -> Consents:
        """Store what ``user`` or ``visitor`` consents to, and return what applies then. It applies
        from the next call on; what no consent covers is deleted within minutes.

        Args:
            user: The customer.
            visitor: The visitor.
            as_default: Store the default of the catalog instead, for shoppers who have not decided.
            given: Purposes that are consented to.
            withdrawn: Purposes whose consent is withdrawn.
            source: Where the decision was made, such as "cookie banner 3", up to 128 bytes.
        """
        with to_wire.sendable("request"):
            request = privacy_service_pb2.SetConsentRequest(
                catalog_id=self.catalog,
                shopper=None if as_default else to_wire.shopper(user, visitor),
                as_default=as_default,
                given=map(to_wire.purpose, given),
                withdrawn=map(to_wire.purpose, withdrawn),
                source=source,
            )
        return from_wire.consents(await self._call(self.calls.admin.SetConsent, request, timeout))

    async def get_consent(
        self,
        *,
        user: str | None = None,
        visitor: str | None = None,
        as_default: bool = False,
        timeout: float | None = None,
    ) -> Consents:
        """Return what ``user`` or ``visitor`` consents to, or ``as_default`` the catalog's default,
        with all decisions."""
        with to_wire.sendable("request"):
            request = privacy_service_pb2.GetConsentRequest(
                catalog_id=self.catalog,
                shopper=None if as_default else to_wire.shopper(user, visitor),
                as_default=as_default,
            )
        return from_wire.consents(await self._call(self.calls.admin.GetConsent, request, timeout))

    async def export_counts(
        self,
        *,
        epsilon: float,
        types: Iterable[EventType] = (),
        since: datetime | None = None,
        before: datetime | None = None,
        attribute: str = "",
        most_products: int = 0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that counts the shoppers of each product with differential privacy and writes
        the counts to a file, which the job's result names; follow it with ``watch_job``.
        FailedPrecondition (PRIVACY_BUDGET_SPENT) if the catalog's budget does not suffice.

        Args:
            epsilon: Share of the budget to spend, above 0, at most 10; smaller values need more
                noise.
            types: Events of these types; none = PURCHASE.
            since: Events from this time on; None = all.
            before: Events before this time; None = all.
            attribute: Count by the values of this attribute of shoppers.
            most_products: Maximum number of products in which one shopper is counted, 1 to 100;
                0 = 8.
            request_id: The same id returns the same job, and spends the budget once, as long as
                the job is known.
        """
        with to_wire.sendable("request"):
            request = privacy_service_pb2.ExportCountsRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                epsilon=epsilon,
                types=[to_wire.event_type(kind) for kind in types],
                from_time=None if since is None else to_wire.timestamp(since),
                before_time=None if before is None else to_wire.timestamp(before),
                attribute=attribute,
                most_products=most_products,
            )
        return from_wire.job(await self._call(self.calls.admin.ExportCounts, request, timeout))

    async def get_privacy_budget(self, *, timeout: float | None = None) -> PrivacyBudget:
        """Return what is left of the catalog's budget for counts, and what spent it."""
        request = privacy_service_pb2.GetPrivacyBudgetRequest(catalog_id=self.catalog)
        answer = await self._call(self.calls.admin.GetPrivacyBudget, request, timeout)
        return from_wire.privacy_budget(answer)

"""The data of one shopper: a copy, its erasure, and consent to its use."""

import json
from collections.abc import Iterable
from typing import Any

from sightline.ranker.v1 import privacy_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, to_wire
from sightline_client.values.privacy import Consents, Purpose


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

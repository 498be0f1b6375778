"""The data of one shopper: a copy, and its erasure."""

import json
from typing import Any

from sightline.ranker.v1 import privacy_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.values.operations import Job
from sightline_client.values.privacy import Erasure


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

"""The data of one shopper: a copy, its erasure, and consent to its use."""

import json
from typing import Any

from sightline.ranker.v1 import privacy_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import to_wire


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

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
        method, kind = self.calls.admin.ExportUser, privacy_service_pb2.ExportUserRequest
        found: dict[str, list[dict[str, Any]]] = {}
        shopper = to_wire.shopper(user, visitor)
        async for page in self._ask_pages(method, kind, timeout, shopper=shopper):
            for record in page.records:
                found.setdefault(record.store, []).append(json.loads(record.json))
        return found

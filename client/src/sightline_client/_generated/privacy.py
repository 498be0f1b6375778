"""The data of one shopper: a copy, its erasure, and consent to its use.

Made by client/generator from
api/privacy.py: change that and run ``make proto``.
"""

from typing import Any

from sightline_client._generated.base import SyncConnected


class SyncPrivacyCalls(SyncConnected):
    """The data of one shopper: a copy, its erasure, and consent to its use."""

    def export_user(
        self, *, user: str | None = None, visitor: str | None = None, timeout: float | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """Return everything that is stored on ``user`` or ``visitor``: records by store. NotFound
        (SHOPPER_NOT_FOUND) if nothing is. ``timeout`` is that of one page."""
        return self._loop.run(self._client.export_user(user=user, visitor=visitor, timeout=timeout))

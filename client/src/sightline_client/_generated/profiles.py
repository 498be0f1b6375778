"""Profiles of shoppers and products, and segments.

Made by generate_sync.py from
api/profiles.py: change that one and run it.
"""

from collections.abc import Mapping

from sightline_client._generated.base import SyncConnected


class SyncProfileCalls(SyncConnected):
    """Profiles of shoppers and products, and segments."""

    def set_shopper_attributes(
        self,
        attributes: Mapping[str, str],
        *,
        consent: bool,
        user: str | None = None,
        visitor: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """Replace the attributes that ``user`` or ``visitor`` shared. Return how many are stored.
        FailedPrecondition (CONSENT_REQUIRED) without ``consent`` to their use. No attributes and no
        consent withdraw it."""
        return self._loop.run(
            self._client.set_shopper_attributes(
                attributes, consent=consent, user=user, visitor=visitor, timeout=timeout
            )
        )

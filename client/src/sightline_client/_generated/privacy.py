"""The data of one shopper: a copy, its erasure, and consent to its use.

Made by generate_sync.py from
api/privacy.py: change that one and run it.
"""

from collections.abc import Iterable
from typing import Any

from sightline_client._generated.base import SyncConnected
from sightline_client.values.privacy import Consents, Purpose


class SyncPrivacyCalls(SyncConnected):
    """The data of one shopper: a copy, its erasure, and consent to its use."""

    def export_user(
        self, *, user: str | None = None, visitor: str | None = None, timeout: float | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """Return everything that is stored on ``user`` or ``visitor``: records by store. NotFound
        (SHOPPER_NOT_FOUND) if nothing is. ``timeout`` is that of one page."""
        return self._loop.run(self._client.export_user(user=user, visitor=visitor, timeout=timeout))

    def set_consent(
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
        return self._loop.run(
            self._client.set_consent(
                user=user,
                visitor=visitor,
                as_default=as_default,
                given=given,
                withdrawn=withdrawn,
                source=source,
                timeout=timeout,
            )
        )

    def get_consent(
        self,
        *,
        user: str | None = None,
        visitor: str | None = None,
        as_default: bool = False,
        timeout: float | None = None,
    ) -> Consents:
        """Return what ``user`` or ``visitor`` consents to, or ``as_default`` the catalog's default,
        with all decisions."""
        return self._loop.run(
            self._client.get_consent(
                user=user, visitor=visitor, as_default=as_default, timeout=timeout
            )
        )

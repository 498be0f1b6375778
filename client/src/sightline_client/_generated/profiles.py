"""Profiles of shoppers and products, and segments.

Made from api/profiles.py by generate_sync.py: change that one and run it.
"""

from collections.abc import Mapping

from sightline_client._generated.base import SyncConnected
from sightline_client.values.profiles import ProductProfile, Segments, ShopperProfile


class SyncProfileCalls(SyncConnected):
    """Profiles of shoppers and products, and segments."""

    def shopper_profile(
        self,
        *,
        user: str | None = None,
        visitor: str | None = None,
        language: str = "",
        timeout: float | None = None,
    ) -> ShopperProfile:
        """Return what is known of ``user`` or ``visitor``, and what it was inferred from; texts in
        ``language`` ("en", "zh"). The profile of a shopper without events is empty."""
        return self._loop.run(
            self._client.shopper_profile(
                user=user, visitor=visitor, language=language, timeout=timeout
            )
        )

    def product_profile(
        self, product_id: str, *, language: str = "", timeout: float | None = None
    ) -> ProductProfile:
        """Return what the serving model knows of a product; texts in ``language`` ("en", "zh").
        NotFound (PRODUCT_NOT_FOUND)."""
        return self._loop.run(
            self._client.product_profile(product_id, language=language, timeout=timeout)
        )

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

    def list_segments(self, *, language: str = "", timeout: float | None = None) -> Segments:
        """Return the groups of shoppers with similar interests that the serving model knows; texts
        in ``language`` ("en", "zh")."""
        return self._loop.run(self._client.list_segments(language=language, timeout=timeout))

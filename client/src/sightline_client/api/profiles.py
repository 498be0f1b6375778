"""Profiles of shoppers and products, and segments."""

from collections.abc import Mapping

from sightline.ranker.v1 import profile_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, to_wire
from sightline_client.values.profiles import ProductProfile, Segments, ShopperProfile


class ProfileCalls(Connected):
    """Calls about profiles of shoppers and products, and segments."""

    async def shopper_profile(
        self,
        *,
        user: str | None = None,
        visitor: str | None = None,
        language: str = "",
        timeout: float | None = None,
    ) -> ShopperProfile:
        """Return what is known of ``user`` or ``visitor``, and what it was inferred from; texts in
        ``language`` ("en", "zh"). The profile of a shopper without events is empty."""
        with to_wire.sendable("request"):
            request = profile_service_pb2.GetShopperProfileRequest(
                catalog_id=self.catalog,
                shopper=to_wire.shopper(user, visitor),
                language_code=language,
            )
        found = await self._call(self.calls.admin.GetShopperProfile, request, timeout)
        return from_wire.shopper_profile(found)

    async def product_profile(
        self, product_id: str, *, language: str = "", timeout: float | None = None
    ) -> ProductProfile:
        """Return what the serving model knows of a product; texts in ``language`` ("en", "zh").
        NotFound (PRODUCT_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = profile_service_pb2.GetProductProfileRequest(
                catalog_id=self.catalog, product_id=product_id, language_code=language
            )
        found = await self._call(self.calls.admin.GetProductProfile, request, timeout)
        return from_wire.product_profile(found)

    async def set_shopper_attributes(
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
        with to_wire.sendable("request"):
            request = profile_service_pb2.SetShopperAttributesRequest(
                catalog_id=self.catalog,
                shopper=to_wire.shopper(user, visitor),
                attributes=[
                    profile_service_pb2.ShopperAttribute(key=key, text=text)
                    for key, text in attributes.items()
                ],
                consent=consent,
            )
        answer = await self._call(self.calls.admin.SetShopperAttributes, request, timeout)
        return answer.former_count

    async def list_segments(self, *, language: str = "", timeout: float | None = None) -> Segments:
        """Return the groups of shoppers with similar interests that the serving model knows; texts
        in ``language`` ("en", "zh")."""
        request = profile_service_pb2.ListSegmentsRequest(
            catalog_id=self.catalog, language_code=language
        )
        return from_wire.segments(await self._call(self.calls.admin.ListSegments, request, timeout))

"""Profiles of shoppers and products, and segments."""

from collections.abc import Mapping

from sightline.ranker.v1 import profile_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import to_wire


class ProfileCalls(Connected):
    """Calls about profiles of shoppers and products, and segments."""

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

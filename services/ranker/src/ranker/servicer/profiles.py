"""ProfileService on the wire."""

import asyncio
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.signals import Signals
from ranker.ports import HistoryReader, Models
from ranker.record.shoppers import ShopperRecord
from ranker.servicer.requests import actor, check_product_id, refuse
from ranker.serving.profiles import profiles
from ranker.serving.profiles.texts import ProfileWords
from servicekit.clock import now_micros
from servicekit.rpc.requests import enter
from servicekit.rpc.server import Context
from sightline.ranker.v1 import profile_service_pb2 as pb
from sightline_rules.texts import composed

MOST_ATTRIBUTES = 20
KEY = re.compile(r"[a-z0-9_.-]{1,64}")
MOST_TEXT_BYTES = 128


@dataclass(eq=False)
class ProfileServicer:
    catalogs: Collection[str]
    pseudonyms: Pseudonyms
    reader: HistoryReader
    models: Models
    shoppers: ShopperRecord
    signals: Signals

    async def GetShopperProfile(
        self, request: pb.GetShopperProfileRequest, context: Context
    ) -> pb.ShopperProfile:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        who = actor(request.shopper, catalog_id, self.pseudonyms, required=True) or ""
        model = self.models.serving(catalog_id)
        history = await profiles.read(catalog_id, who, self.reader, self.signals)
        words = ProfileWords(request.language_code)
        # In a thread: thousands of events take tens of milliseconds and would block the event loop.
        return await asyncio.to_thread(
            profiles.of_shopper, history, model, self.signals, words, now_micros()
        )

    async def GetProductProfile(
        self, request: pb.GetProductProfileRequest, context: Context
    ) -> pb.ProductProfile:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_product_id(request.product_id)
        model = self.models.serving(catalog_id)
        (share,) = await self.reader.popularity(catalog_id, (request.product_id,))
        words = ProfileWords(request.language_code)
        # In a thread: the product is compared with the styles of all products.
        return await asyncio.to_thread(
            profiles.of_product, request.product_id, model, float(share), words
        )

    async def SetShopperAttributes(
        self, request: pb.SetShopperAttributesRequest, context: Context
    ) -> pb.SetShopperAttributesResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        who = actor(request.shopper, catalog_id, self.pseudonyms, required=True) or ""
        given = _given(request.attributes)
        former = await self.shoppers.set_attributes(
            *(catalog_id, who, given),
            consent=request.consent,
            key_id=self.pseudonyms.key_id,
            now_micros=now_micros(),
        )
        return pb.SetShopperAttributesResponse(kept_count=len(given), former_count=former)

    async def ListSegments(
        self, request: pb.ListSegmentsRequest, context: Context
    ) -> pb.ListSegmentsResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        model = self.models.serving(catalog_id)
        if model is None:
            return pb.ListSegmentsResponse()
        return pb.ListSegmentsResponse(
            segments=profiles.segments_of(model, ProfileWords(request.language_code)),
            silhouette=model.segments.silhouette if model.segments else 0.0,
            model_version=model.version,
        )


def _given(messages: Sequence[pb.ShopperAttribute]) -> dict[str, str]:
    """Return the attributes by key. Raise RequestInvalid, without the attributes' texts."""
    problems = []
    if len(messages) > MOST_ATTRIBUTES:
        problems.append(("attributes", f"has more than {MOST_ATTRIBUTES} entries"))
    found: dict[str, str] = {}
    for place, message in enumerate(messages):
        path = f"attributes[{place}]"
        if not KEY.fullmatch(message.key):
            problem = "is not 1 to 64 characters of [a-z0-9_.-]"
            problems.append((f"{path}.key", problem))
        elif message.key in found:
            problems.append((f"{path}.key", "is repeated"))
        length = len(message.text.encode())
        if not 0 < length <= MOST_TEXT_BYTES or not message.text.isprintable():
            problem = f"is not 1 to {MOST_TEXT_BYTES} bytes without control characters"
            problems.append((f"{path}.text", problem))
        found[message.key] = composed(message.text)
    refuse(problems)
    return found

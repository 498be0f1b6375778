"""ProfileService on the wire."""

# ruff: noqa: N802, ARG002 (gRPC names the methods and hands them a context)

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence

from google.type import money_pb2

from ranker.features import price_range
from ranker.model import ConsentRequired, HistoryReader, Models, Money
from ranker.profiles import profiles
from ranker.profiles.texts import Kind, Words
from ranker.pseudonyms import Pseudonyms
from ranker.record.attributes import AttributeRecord
from ranker.servicer.requests import Context, actor, timestamp
from ranker.signals import Signals
from servicekit.errors import FieldViolation
from servicekit.requests import RequestInvalid, enter
from sightline.ranker.v1 import profile_service_pb2 as pb
from sightline.ranker.v1 import profile_service_pb2_grpc
from sightline_rules.ids import IdInvalidError, check_id

MOST_ATTRIBUTES = 20
KEY = re.compile(r"[a-z0-9_.-]{1,64}")
MOST_TEXT_BYTES = 128

KINDS: Mapping[Kind, pb.Affinity.Kind.ValueType] = {
    kind: pb.Affinity.Kind.Value(f"KIND_{kind.value}") for kind in Kind
}


class ProfileServicer(profile_service_pb2_grpc.ProfileServiceServicer):
    """Tells what is known of shoppers and products."""

    def __init__(
        self,
        catalogs: Sequence[str],
        pseudonyms: Pseudonyms,
        reader: HistoryReader,
        models: Models,
        *,
        attributes: AttributeRecord,
        signals: Signals,
        now_micros: Callable[[], int],
    ) -> None:
        self._catalogs = catalogs
        self._pseudonyms = pseudonyms
        self._reader = reader
        self._models = models
        self._attributes = attributes
        self._signals = signals
        self._now = now_micros

    async def GetShopperProfile(
        self, request: pb.GetShopperProfileRequest, context: Context
    ) -> pb.ShopperProfile:
        """What is known of a shopper."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        who = actor(request.shopper, catalog_id, self._pseudonyms, required=True) or ""
        model = self._models.serving(catalog_id)
        history = await profiles.read(catalog_id, who, self._reader, self._signals)
        words = Words(request.language_code)
        # In a thread: thousands of events take tens of milliseconds, which others would wait for.
        found = await asyncio.to_thread(
            profiles.of_shopper, history, model, self._signals, words, self._now()
        )
        return pb.ShopperProfile(
            attributes=map(_attribute, found.attributes),
            affinities=map(_affinity, found.affinities),
            disliked_product_ids=found.disliked,
            activity=None if found.activity is None else _activity(found.activity),
            segment=None if found.segment is None else _segment(found.segment),
            robot=found.robot,
            model_version="" if model is None else model.version,
            event_count=found.event_count,
        )

    async def GetProductProfile(
        self, request: pb.GetProductProfileRequest, context: Context
    ) -> pb.ProductProfile:
        """What is known of a product."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        try:
            check_id(request.product_id)
        except IdInvalidError as error:
            raise RequestInvalid(FieldViolation("product_id", str(error))) from error
        model = self._models.serving(catalog_id)
        (share,) = await self._reader.popularity(catalog_id, (request.product_id,))
        words = Words(request.language_code)
        # In a thread: it is compared with the styles of all products.
        found = await asyncio.to_thread(
            profiles.of_product, request.product_id, model, float(share), words
        )
        return pb.ProductProfile(
            product_id=found.product_id,
            category_path=found.category,
            brand=found.brand,
            price_band=_price_band(found.price_band) if found.price_band else None,
            tags=found.tags,
            attributes=map(_attribute, found.attributes),
            popularity=found.popularity,
            trend=found.trend,
            style=found.style,
            style_space_version=model.style_space if model and found.style else "",
            similar_style_product_ids=found.similar,
            texts=found.texts,
            model_version=model.version if model else "",
        )

    async def SetShopperAttributes(
        self, request: pb.SetShopperAttributesRequest, context: Context
    ) -> pb.SetShopperAttributesResponse:
        """Keep what a shopper told, or delete it."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        who = actor(request.shopper, catalog_id, self._pseudonyms, required=True) or ""
        given = _given(request.attributes)
        if given and not request.consent:
            raise ConsentRequired
        former = await self._attributes.replace(
            catalog_id, who, given, key_id=self._pseudonyms.key_id, now_micros=self._now()
        )
        return pb.SetShopperAttributesResponse(kept_count=len(given), former_count=former)

    async def ListSegments(
        self, request: pb.ListSegmentsRequest, context: Context
    ) -> pb.ListSegmentsResponse:
        """The groups of shoppers that the serving model knows."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        model = self._models.serving(catalog_id)
        if model is None:
            return pb.ListSegmentsResponse()
        found = profiles.segments_of(model, Words(request.language_code))
        return pb.ListSegmentsResponse(
            segments=map(_segment, found),
            silhouette=model.segments.silhouette if model.segments else 0.0,
            model_version=model.version,
        )


def _given(messages: Sequence[pb.ShopperAttribute]) -> dict[str, str]:
    """The attributes by key; RequestInvalid, which never repeats a text."""
    problems = []
    if len(messages) > MOST_ATTRIBUTES:
        problems.append(FieldViolation("attributes", f"has more than {MOST_ATTRIBUTES} entries"))
    found: dict[str, str] = {}
    for place, message in enumerate(messages):
        path = f"attributes[{place}]"
        if not KEY.fullmatch(message.key):
            problem = "is not 1 to 64 characters of [a-z0-9_.-]"
            problems.append(FieldViolation(f"{path}.key", problem))
        elif message.key in found:
            problems.append(FieldViolation(f"{path}.key", "is there twice"))
        length = len(message.text.encode())
        if not 0 < length <= MOST_TEXT_BYTES or not message.text.isprintable():
            problem = f"is not 1 to {MOST_TEXT_BYTES} bytes without control characters"
            problems.append(FieldViolation(f"{path}.text", problem))
        found[message.key] = message.text
    if problems:
        raise RequestInvalid(*problems)
    return found


def _attribute(pair: tuple[str, str]) -> pb.ShopperAttribute:
    return pb.ShopperAttribute(key=pair[0], text=pair[1])


def _affinity(one: profiles.Affinity) -> pb.Affinity:
    return pb.Affinity(
        kind=KINDS[one.kind],
        key=one.key,
        value=one.value,
        strength=one.strength,
        share=one.share,
        usual_share=one.usual_share,
        event_count=one.event_count,
        product_ids=one.product_ids,
        text=one.text,
    )


def _activity(one: profiles.Activity) -> pb.Activity:
    return pb.Activity(
        first_event_time=timestamp(one.first_micros),
        last_event_time=timestamp(one.last_micros),
        days_since_last_event=one.days_since_last,
        visit_count=one.visit_count,
        visits_a_week=one.visits_a_week,
        purchase_count=one.purchase_count,
        text=one.text,
    )


def _segment(one: profiles.Segment) -> pb.Segment:
    return pb.Segment(
        segment_id=one.number,
        affinities=map(_affinity, one.affinities),
        share=one.share,
        text=one.text,
    )


def _price_band(band: str) -> pb.PriceBand:
    least, below = price_range(band)
    return pb.PriceBand(least=_money(least), below=_money(below))


def _money(money: Money) -> money_pb2.Money:
    units, micros = divmod(money.micros, 1_000_000)
    return money_pb2.Money(currency_code=money.currency, units=units, nanos=micros * 1000)

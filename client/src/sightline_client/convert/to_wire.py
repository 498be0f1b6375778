"""Convert plain values to the contract's messages. The server rejects invalid values; values that
no message can represent are rejected here with the same error.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money as MoneyMessage

from sightline.common.v1 import (
    event_pb2,
    facet_pb2,
    filter_pb2,
    import_pb2,
    photo_pb2,
    product_pb2,
)
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline.gateway.v1 import control_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline.ranker.v1 import recipe_pb2
from sightline.retriever.v1 import (
    catalog_registry_service_pb2,
    index_service_pb2,
    synonym_service_pb2,
)
from sightline.vision.v1 import watch_pb2
from sightline_client.convert.writing import field_converter, ids, register, writer
from sightline_client.errors import invalid
from sightline_client.values import catalog, filters, products, watches
from sightline_client.values.controls import Control
from sightline_client.values.events import Event, EventType
from sightline_client.values.money import Money
from sightline_client.values.operations import IndexParameters
from sightline_client.values.parts import FacetQuery, Unlike
from sightline_client.values.photos import Uri
from sightline_client.values.signals import Box
from sightline_client.values.synonyms import SynonymRule
from sightline_client.values.trainings import ItemItem, TrainingLoss, TrainingRecipe
from sightline_client.values.updates import ProductUpdate

Q = TypeVar("Q")

_NANOS = Decimal(1_000_000_000)
_INT64_MAX = 2**63 - 1


_UNITS_DIGITS = 19
"""Digits of the largest int64."""


@contextmanager
def sendable(field: str) -> Iterator[None]:
    """Raise InvalidRequest for a value that no message can hold: an unpaired surrogate, a number
    out of its field's range."""
    try:
        yield
    except UnicodeError:
        raise invalid(field, "has an unpaired surrogate, which is not valid UTF-8") from None
    except ValueError as error:
        raise invalid(field, str(error)) from None


def signals(
    images: Iterable[bytes | Uri],
    text: str | None,
    products: Iterable[str],
    *,
    unlike: Unlike | None = None,
    box: Box | None = None,
) -> list[rec.QuerySignal]:
    """Return a signal of weight 1 for each positive input, then those of the negative inputs.
    ``box`` applies to every positive photo."""
    photos = [rec.QuerySignal(**photo(image)) for image in images]
    if box is not None:
        if not photos:
            raise invalid("box", "is valid for photos only")
        for each in photos:
            each.box.CopyFrom(box_(box))
    texts = [] if text is None else [rec.QuerySignal(text=text)]
    return [*photos, *texts, *_products(products), *(_unlike(unlike) if unlike else ())]


def photo(image: bytes | Uri) -> dict[str, Any]:
    """Return the field of a message that holds a photo, by its name."""
    return {"image_uri" if isinstance(image, str) else "image": image}


def _products(products: Iterable[str]) -> list[rec.QuerySignal]:
    return [rec.QuerySignal(product_id=product) for product in products]


def _unlike(value: Unlike) -> list[rec.QuerySignal]:
    texts = [rec.QuerySignal(text=text) for text in ids(value.texts)]
    photos = [rec.QuerySignal(**photo(cast("bytes | Uri", image))) for image in value.images]
    found = [*photos, *texts, *_products(ids(value.products))]
    for signal in found:
        signal.negative, signal.weight = True, value.weight
    return found


def shopper(user: str | None, visitor: str | None) -> event_pb2.Shopper | None:
    """Return the shopper; None = no user and no visitor. InvalidRequest for both at once."""
    if user and visitor:
        raise invalid("shopper", "give a user or a visitor, not both")
    with sendable("shopper"):
        if user:
            return event_pb2.Shopper(user_id=user)
        return event_pb2.Shopper(visitor_id=visitor) if visitor else None


def money(value: Money) -> MoneyMessage:
    """Convert an amount to units and nanos of one sign, exactly. InvalidRequest when they can't
    hold it."""
    if value.amount.is_finite() and value.amount.adjusted() >= _UNITS_DIGITS:
        # Before it is expanded to digits.
        raise invalid("price", f"{value.amount} is not an amount of money")
    units = int(value.amount) if value.amount.is_finite() else 0
    nanos = (value.amount - units) * _NANOS if value.amount.is_finite() else Decimal("NaN")
    if not nanos.is_finite() or nanos != int(nanos) or abs(units) > _INT64_MAX:
        raise invalid("price", f"{value.amount} is not an amount of money")
    return MoneyMessage(currency_code=value.currency, units=units, nanos=int(nanos))


def timestamp(value: datetime) -> Timestamp:
    """Convert a time. InvalidRequest without a zone, as its instant is not known, and beyond the
    years 1 to 9999."""
    if value.tzinfo is None:
        raise invalid("time", f"{value.isoformat()} has no time zone")
    message = Timestamp()
    try:
        message.FromDatetime(value.astimezone(UTC))
    except OverflowError:
        raise invalid("time", f"{value.isoformat()} is not within the years 1 to 9999") from None
    return message


def duration(value: timedelta) -> Duration:
    """Convert a duration."""
    message = Duration()
    message.FromTimedelta(value)
    return message


def filter_(value: filters.Filter | None) -> filter_pb2.Filter | None:
    """Convert a filter; None = every product passes."""
    if value is None:
        return None
    if isinstance(value, filters.Comparison):
        return filter_pb2.Filter(
            comparison=filter_pb2.Comparison(
                field=value.field,
                operator=filter_pb2.Comparison.Operator.Value(f"OPERATOR_{value.operator}"),
                value=_literal(value.value),
            )
        )
    if isinstance(value, filters.Membership):
        literals = [_literal(item) for item in value.values]
        return filter_pb2.Filter(
            membership=filter_pb2.Membership(field=value.field, values=literals)
        )
    if isinstance(value, filters.Existence):
        return filter_pb2.Filter(existence=filter_pb2.Existence(field=value.field))
    if isinstance(value, filters.All):
        return filter_pb2.Filter(all=_filters(value.filters))
    if isinstance(value, filters.Any):
        return filter_pb2.Filter(any=_filters(value.filters))
    if isinstance(value, filters.Not):
        message = filter_pb2.Filter()
        getattr(message, "not").MergeFrom(filter_(value.filter))
        getattr(message, "not").SetInParent()  # also if its filter is empty
        return message
    raise TypeError(f"not a filter: {value!r}; build one from F, e.g. F.category == 'Red'")


def _filters(values: Iterable[filters.Filter]) -> filter_pb2.FilterList:
    parts = [part for part in map(filter_, values) if part is not None]
    return filter_pb2.FilterList(filters=parts)


def update(value: ProductUpdate) -> catalog_pb2.ProductUpdate:
    """Convert a change of one product."""
    return catalog_pb2.ProductUpdate(
        product=product(value.product), update_mask=FieldMask(paths=value.fields)
    )


def import_mode(value: catalog.ImportMode) -> import_pb2.ImportMode.ValueType:
    """Convert a mode of imports."""
    return import_pb2.ImportMode.Value(f"IMPORT_MODE_{value}")


def event_type(value: EventType) -> event_pb2.EventType.ValueType:
    """Convert a type of events."""
    return event_pb2.EventType.Value(f"EVENT_TYPE_{value}")


def catalog_labels(
    labels: Mapping[str, str],
) -> list[catalog_registry_service_pb2.CatalogLabel]:
    """Convert labels of a catalog, by name."""
    kind = catalog_registry_service_pb2.CatalogLabel
    return [kind(name=name, value=value) for name, value in sorted(labels.items())]


def _literal(value: filters.Value) -> filter_pb2.FilterValue:
    if isinstance(value, catalog.Availability):  # before str: it is one
        return filter_pb2.FilterValue(
            availability=product_pb2.Availability.Value(f"AVAILABILITY_{value}")
        )
    if isinstance(value, Money):
        return filter_pb2.FilterValue(money=money(value))
    if isinstance(value, datetime):
        return filter_pb2.FilterValue(time=timestamp(value))
    if isinstance(value, str):
        return filter_pb2.FilterValue(text=value)
    if isinstance(value, bool):  # before numbers: it is one
        return filter_pb2.FilterValue(flag=value)
    if isinstance(value, int | float):
        return filter_pb2.FilterValue(number=_number(value))
    raise TypeError(
        "a filter compares with text, a number, a flag, money(…), Availability or a time, not "
        f"{value!r}"
    )


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise invalid("filter", "has a number that is too large") from None


def _open(value: TrainingLoss | ItemItem) -> str:
    """Return the name of the wire's member: UNSPECIFIED for UNKNOWN."""
    return "UNSPECIFIED" if value == "UNKNOWN" else value


def _attribute(value: catalog.Attribute) -> product_pb2.Attribute:
    if isinstance(value.value, bool):  # before numbers: it is one
        return product_pb2.Attribute(key=value.key, flag=value.value)
    if isinstance(value.value, str):
        return product_pb2.Attribute(key=value.key, text=value.value)
    return product_pb2.Attribute(key=value.key, number=value.value)


register(MoneyMessage, money)
register(event_pb2.Shopper, lambda value: value)
register(Timestamp, timestamp)
register(filter_pb2.Filter, filter_)
register(product_pb2.Attribute, _attribute)

box_ = writer(Box, photo_pb2.Box)
writer(catalog.ProductImage, product_pb2.ProductImage, media_type=None, width=None, height=None)
writer(catalog.MarketValues, product_pb2.MarketValues, language="language_code")
product = writer(
    products.Product,
    product_pb2.Product,
    **{field.attribute: field.wire if field.written else None for field in products.FIELDS},
    category_doubt=None,
)
offer = writer(catalog.Offer, catalog_pb2.Offer)
event = writer(
    Event,
    event_pb2.Event,
    shopper=lambda value: shopper(value.user, value.visitor),
    user=None,
    visitor=None,
    session="session_id",
    time="event_time",
)
_facet = writer(
    FacetQuery,
    facet_pb2.FacetRequest,
    top="top_k",
    below="category_path",
    bounds=None,
    price_bounds=lambda value: [money(b) for b in value.bounds if isinstance(b, Money)],
    number_bounds=lambda value: [b for b in value.bounds if not isinstance(b, Money)],
)
register(Duration, duration)
for _kind, _message in (
    (watches.WatchRegion, watch_pb2.WatchRegion),
    (watches.WatchTarget, watch_pb2.WatchTarget),
    (watches.PresenceCondition, watch_pb2.PresenceCondition),
    (watches.CountCondition, watch_pb2.CountCondition),
    (watches.DetectedCondition, watch_pb2.DetectedCondition),
    (watches.UnusualCondition, watch_pb2.UnusualCondition),
    (watches.FaultCondition, watch_pb2.FaultCondition),
    (watches.WatchRule, watch_pb2.WatchRule),
):
    writer(_kind, _message)
writer(
    watches.Watch,
    watch_pb2.Watch,
    create_time=None,
    update_time=None,
    counts=None,
    snapshot=None,
)
writer(watches.WatchFrame, watch_pb2.WatchFrame)
writer(SynonymRule, synonym_service_pb2.SynonymRule)
writer(IndexParameters, index_service_pb2.IndexParameters)
control = writer(Control, control_pb2.Control, products="product_ids")
_LOSSES, _ITEM_ITEMS = recipe_pb2.Recipe.Loss, recipe_pb2.Recipe.ItemItem
writer(
    TrainingRecipe,
    recipe_pb2.Recipe,
    loss=lambda value: _LOSSES.Value(f"LOSS_{_open(value.loss)}"),
    item_item=lambda value: _ITEM_ITEMS.Value(f"ITEM_ITEM_{_open(value.item_item)}"),
)


def facet(value: FacetQuery | str) -> facet_pb2.FacetRequest:
    """Convert a field, or a facet query, to the contract's message."""
    return _facet(FacetQuery(value) if isinstance(value, str) else value)


register(facet_pb2.FacetRequest, facet)


def request(kind: type[Q], catalog: str, given: Mapping[str, object]) -> Q:
    """Return a request with plain values in its fields; None leaves a field unset. InvalidRequest
    names the field that can't hold its value. A call about a catalog that is named must name it:
    it is not about the client's own because a variable is empty."""
    if not given.get("catalog_id", True):
        raise invalid("catalog_id", "must not be empty")
    message: Any = kind
    made = message(catalog_id=catalog)
    for name, value in given.items():
        with sendable(name):
            made.MergeFrom(message(**{name: field_converter(message, name)(value)}))
    result: Q = made
    return result

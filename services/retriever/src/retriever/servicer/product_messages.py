"""Products, photos and imports: protos to values and back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from google.type import money_pb2

from retriever.catalog.partial_updates import UpdateDraft
from retriever.domain.category_mismatch import CategoryMismatch
from retriever.domain.imports import ImportMode, ImportProgress
from retriever.domain.product import (
    Amount,
    Image,
    ImageDraft,
    MarketDraft,
    OfferDraft,
    Product,
    ProductContent,
    ProductDraft,
    ProductFlaw,
    ProductOrder,
    Stored,
)
from retriever.servicer import messages
from retriever.servicer.column_messages import attribute
from retriever.servicer.facet_messages import money_message
from servicekit.errors import ServiceError
from servicekit.rpc.messages import message_of
from servicekit.rpc.requests import RequestInvalid, timestamp
from sightline.common.v1 import candidate_pb2, import_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.retriever.v1 import product_service_pb2
from sightline_rules import kinds
from sightline_rules.fields import FIELDS, WRITTEN, Field, check_columns
from sightline_rules.kinds import FieldKind
from sightline_rules.markets import MarketValues
from sightline_rules.texts import composed

_MARKET_TEXTS = ("market_id", "title", "description", "language_code", "uri")
_ORDER = messages.values_by_number(
    product_service_pb2.ListProductsRequest.Order.DESCRIPTOR,
    ProductOrder,
    ProductOrder.PRODUCT_ID,
)
_IMPORT_MODE = messages.values_by_number(
    import_pb2.ImportMode.DESCRIPTOR, ImportMode, ImportMode.INCREMENTAL
)
_VIEWS = frozenset(product_service_pb2.ProductView.values())

check_columns(
    FIELDS,
    product=product_pb2.Product.DESCRIPTOR.fields_by_name.keys(),
    candidate=candidate_pb2.CandidateColumns.DESCRIPTOR.fields_by_name.keys(),
)


# Products in


def draft(product: product_pb2.Product) -> ProductDraft:
    """Return a product as received, unchecked."""
    given = {}
    for field, value in product.ListFields():
        if known := _READERS.get(field):
            name, read = known
            given[name] = read(value)
    return ProductDraft(**given)


def _reader(kind: FieldKind) -> Callable[[Any], Any]:
    """Return the function that converts a field's value in a message to its value in a draft."""
    match kind:
        case kinds.CategoryKind() | kinds.TextsKind():
            return lambda items: tuple(map(composed, items))
        case kinds.AttributesKind():
            return lambda items: tuple([(item.key, _attribute(item)) for item in items])
        case kinds.MarketsKind():
            return lambda items: tuple(map(_market_draft, items))
        case kinds.ChoiceKind():
            return messages.AVAILABILITY.get
        case kinds.MoneyKind():
            return _amount
        case kinds.StepsKind():
            return kind.plain
        case _:
            return composed


def _images(photos: Iterable[product_pb2.ProductImage]) -> tuple[ImageDraft, ...]:
    return tuple([ImageDraft(photo.content, photo.image_id, photo.uri) for photo in photos])


def update(message: gateway_pb.ProductUpdate) -> UpdateDraft:
    """Return a change as received, unchecked."""
    return UpdateDraft(
        product=draft(message.product),
        mask=tuple(message.update_mask.paths),
        given=tuple(field.name for field, _ in message.product.ListFields()),
    )


def offer(message: gateway_pb.Offer, market_id: str) -> OfferDraft:
    """Return an offer in a market as received, unchecked."""
    return OfferDraft(product_id=message.product_id, market_id=market_id, **_offered(message))


def _market_draft(message: product_pb2.MarketValues) -> MarketDraft:
    texts: dict[str, Any] = {name: composed(getattr(message, name)) for name in _MARKET_TEXTS}
    return MarketDraft(**texts, **_offered(message))


def _offered(message: gateway_pb.Offer | product_pb2.MarketValues) -> dict[str, Any]:
    """Return price and availability; None: not given."""
    stays = message.availability == product_pb2.AVAILABILITY_UNSPECIFIED
    availability = messages.AVAILABILITY.get(message.availability)
    return {
        "price": _amount(message.price) if message.HasField("price") else None,
        "availability": availability,
        "availability_known": stays or availability is not None,
    }


def import_mode(number: int) -> ImportMode:
    """Return an import's mode. Raise RequestInvalid if it is unknown."""
    return messages.member_of(_IMPORT_MODE, number, "mode")


def _amount(money: money_pb2.Money) -> Amount:
    return Amount(money.currency_code, money.units, money.nanos)


def _attribute(item: product_pb2.Attribute) -> str | float | bool | None:
    kind = item.WhichOneof("value")
    if kind is None:
        return None
    value: str | float | bool = getattr(item, kind)
    return composed(value) if isinstance(value, str) else value


_GIVEN: Mapping[str, Callable[[Any], Any]] = {
    **{field.wire: _reader(field.kind) for field in WRITTEN},
    "product_id": str,
    "images": _images,
    "etag": str,
}
"""Readers of the fields that callers give. An absent field has ProductDraft's default."""
_READERS = {
    product_pb2.Product.DESCRIPTOR.fields_by_name[name]: (name, read)
    for name, read in _GIVEN.items()
}


# Products out


def row(product: Product, mismatch: CategoryMismatch | None = None) -> product_pb2.Product:
    """Return a whole product. `mismatch`: the photo that contradicts its category, if any."""
    message = product_pb2.Product(
        images=[image_message(image) for image in product.images],
        create_time=timestamp(product.create_time),
        update_time=timestamp(product.update_time),
        etag=product.etag,
        **_shown(product.content),
    )
    if mismatch is not None:
        message.category_doubt.CopyFrom(_doubt(mismatch))
    return message


_doubt = messages.message_of.writer(product_pb2.CategoryDoubt, CategoryMismatch)


def _encoder(kind: FieldKind) -> Callable[[Any], Any] | None:
    """Return the function from a field's value to its message; None: the value is its message."""
    match kind:
        case kinds.AttributesKind():
            return lambda value: [attribute(item.key, item.value) for item in value]
        case kinds.MarketsKind():
            return lambda values: [*map(market_message, values)]
        case kinds.ChoiceKind():
            return messages.AVAILABILITY_NUMBER.__getitem__
        case kinds.MoneyKind():
            return money_message
        case kinds.NumberKind(decimals=0):
            return int
        case _:
            return None


def market_message(value: MarketValues) -> product_pb2.MarketValues:
    """Return the message of a product's values in a market."""
    texts = {name: getattr(value, name) for name in _MARKET_TEXTS}
    message = product_pb2.MarketValues(**texts)
    if value.price is not None:
        message.price.CopyFrom(money_message(value.price))
    if value.availability is not None:
        message.availability = messages.AVAILABILITY_NUMBER[value.availability]
    return message


def _writer(fields: Sequence[Field]) -> Callable[[ProductContent], dict[str, Any]]:
    """Return the function from a product's content to its id and messages of its fields; None: not
    set."""
    names = ("product_id", *(field.wire for field in fields))
    encoders = [(field.wire, encode) for field in fields if (encode := _encoder(field.kind))]
    take = attrgetter(*names)

    def write(content: ProductContent) -> dict[str, Any]:
        found = dict(zip(names, take(content), strict=True))
        for name, encode in encoders:
            if (value := found[name]) is not None:
                found[name] = encode(value)
        return found

    return write


_shown = _writer([field for field in WRITTEN if field.shown])
_unshown = _writer([field for field in WRITTEN if not field.shown])


def with_unshown(message: product_pb2.Product, product: Product) -> product_pb2.Product:
    """Return a copy of a product's message that also has the fields that only operators read."""
    made = product_pb2.Product(**_unshown(product.content))
    made.MergeFrom(message)
    return made


def image_message(image: Image, content: bytes = b"") -> product_pb2.ProductImage:
    """Return a photo, with or without its bytes."""
    values = dict(zip(_OF_IMAGE, _image_values(image), strict=True))
    return product_pb2.ProductImage(**values, content=content)


_OF_IMAGE = tuple(
    Image.__dataclass_fields__.keys() & product_pb2.ProductImage.DESCRIPTOR.fields_by_name.keys()
)
_image_values = attrgetter(*_OF_IMAGE)


def outcome(given_id: str, result: Stored | ServiceError) -> gateway_pb.UpsertResult:
    """Return the result of writing one product."""
    made = gateway_pb.UpsertResult(status=messages.status(result), product_id=given_id)
    if isinstance(result, Stored):
        made.etag = result.etag
        made.image_ids.extend(result.image_ids)
    return made


def import_state(progress: ImportProgress) -> import_pb2.ImportState:
    """Return the state of an import."""
    return message_of(import_pb2.ImportState, progress)


def order(number: int) -> ProductOrder:
    """Return a list's order. Raise RequestInvalid if it is unknown."""
    return messages.member_of(_ORDER, number, "order")


def flaws(request: product_service_pb2.ListProductsRequest) -> list[ProductFlaw]:
    """Return the flaws that the products of a list have."""
    asked = (
        (ProductFlaw.DOUBTED, request.doubted_only),
        (ProductFlaw.WITHOUT_PHOTO, request.without_photo_only),
    )
    return [flaw for flaw, wanted in asked if wanted]


def as_columns(view: int) -> bool:
    """Return whether the view is of columns. Raise RequestInvalid if it is unknown."""
    if view not in _VIEWS:
        raise RequestInvalid.at("view", "is not one of the known values")
    return view == product_service_pb2.PRODUCT_VIEW_COLUMNS

"""Values become the contract's messages; values that a message can't hold are rejected."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from sightline.common.v1 import event_pb2, filter_pb2, product_pb2
from sightline.retriever.v1 import catalog_registry_service_pb2 as registry_pb
from sightline_client import (
    Attribute,
    Availability,
    Event,
    EventType,
    F,
    InvalidRequest,
    Money,
    Product,
    ProductImage,
    all_of,
    money,
)
from sightline_client.convert import from_wire, to_wire


@pytest.mark.parametrize("text", ["0", "12.50", "0.000001", "-0.5", "-3.25", "9223372036854775807"])
def test_money_survives_the_wire_exactly(text: str) -> None:
    value = money(text, "EUR")
    assert from_wire.money(to_wire.money(value)) == value


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1E-10", "9223372036854775808"])
def test_what_money_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="not an amount"):
        to_wire.money(Money(Decimal(text), "EUR"))


def test_every_kind_of_literal_keeps_its_type() -> None:
    moment = datetime(2026, 1, 2, 4, tzinfo=timezone(timedelta(hours=1)))
    message = to_wire.filter_(
        all_of(
            F.category == "Wine > Red",
            F.price <= money("9.99", "EUR"),
            F.availability != Availability.OUT_OF_STOCK,
            F.create_time > moment,
            F.brand.in_("O'Neill", 'a"b\\'),
        )
    )
    assert message is not None
    parts = message.all.filters
    kinds = [part.comparison.value.WhichOneof("kind") for part in parts[:4]]
    assert kinds == ["text", "money", "availability", "time"]
    assert parts[1].comparison.operator == filter_pb2.Comparison.OPERATOR_LESS_OR_EQUAL
    assert parts[3].comparison.value.time.ToDatetime(UTC) == datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert [value.text for value in parts[4].membership.values] == ["O'Neill", 'a"b\\']


def test_every_way_to_join_filters_is_in_the_contract() -> None:
    brand, vintage = F.brand.contains("a"), F.attribute("vintage") >= 2015
    message = to_wire.filter_(brand | ~(vintage & F.price.exists()) | ~all_of())
    assert message is not None
    first, second, third = message.any.filters
    assert first.comparison.operator == filter_pb2.Comparison.OPERATOR_CONTAINS
    inner = getattr(second, "not").all.filters
    assert (inner[0].comparison.field, inner[0].comparison.value.number) == (
        "attributes.vintage",
        2015,
    )
    assert inner[1].existence.field == "price"
    assert getattr(third, "not").WhichOneof("expression") == "all"


def test_a_flag_is_no_number_and_no_number_is_too_large() -> None:
    message = to_wire.filter_(F.attribute("a").in_(True, 1, "1"))
    assert message is not None
    kinds = [value.WhichOneof("kind") for value in message.membership.values]
    assert kinds == ["flag", "number", "text"]
    with pytest.raises(InvalidRequest, match="too large"):
        to_wire.filter_(F.attribute("a") == 10**400)


def test_no_filter_is_no_message() -> None:
    assert to_wire.filter_(None) is None


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no time zone"):
        to_wire.timestamp(datetime(2026, 1, 2))  # noqa: DTZ001


def test_a_user_and_a_visitor_at_once_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="not both"):
        to_wire.shopper("a", "b")
    assert to_wire.shopper(None, None) is None
    assert to_wire.shopper("a", None) == event_pb2.Shopper(user_id="a")
    assert to_wire.shopper(None, "b") == event_pb2.Shopper(visitor_id="b")


def test_a_product_comes_back_from_the_wire_as_it_went() -> None:
    product = Product(
        product_id="w/1",
        title="長城",
        parent_id="w",
        description="text",
        category_path=("Wine", "Red"),
        brand="b",
        price=money("1.5", "EUR"),
        availability=Availability.PREORDER,
        tags=("x",),
        attributes=(Attribute("a", "t"), Attribute("b", 1.5), Attribute("c", True)),
        images=(ProductImage(content=b"jpeg"), ProductImage(image_id="f" * 64)),
        language="zh-Hans",
        uri="https://shop.example/1",
        etag="e",
    )
    assert from_wire.product(to_wire.product(product)) == product


def test_what_the_service_sets_is_not_sent() -> None:
    stored = from_wire.product(
        product_pb2.Product(
            images=[product_pb2.ProductImage(image_id="f", media_type="image/png", width=9)]
        )
    )
    assert to_wire.product(stored).images[0] == product_pb2.ProductImage(image_id="f")


def test_an_event_keeps_every_field() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    message = to_wire.event(
        Event(
            event_id="e",
            type=EventType.PURCHASE,
            product_id="p",
            user="u",
            session="s",
            time=moment,
            value=0.0,
            quantity=2,
            unit_price=money(3, "EUR"),
            order_id="o",
            position=4,
            scene="home",
            attribution_token="t",
            query="q",
            visitor_proof="v",
        )
    )
    assert message.type == event_pb2.EVENT_TYPE_PURCHASE
    assert message.event_time.ToDatetime(UTC) == moment
    assert message.HasField("value")
    assert {field.name for field, _ in message.ListFields()} == {
        field.name for field in event_pb2.Event.DESCRIPTOR.fields
    } - {"receive_time", "answer_id", "arm", "unproven", "new_visitor"}


def test_an_event_without_time_or_value_leaves_both_to_the_service() -> None:
    message = to_wire.event(Event("e", EventType.VIEW, "p", visitor="v"))
    assert not message.HasField("event_time")
    assert not message.HasField("value")


@pytest.mark.parametrize("kind", list(EventType))
def test_every_type_of_event_is_in_the_contract(kind: EventType) -> None:
    assert to_wire.event(Event("e", kind)).type != event_pb2.EVENT_TYPE_UNSPECIFIED


@pytest.mark.parametrize("amount", ["9e999999999", "1e19", "-1e19"])
def test_an_amount_beyond_all_money_is_refused_at_once(amount: str) -> None:
    with pytest.raises(InvalidRequest):
        to_wire.money(money(amount, "EUR"))


@pytest.mark.parametrize("empty", ["", None])
def test_a_call_about_a_named_catalog_is_never_about_the_client_s_own(empty: str | None) -> None:
    with pytest.raises(InvalidRequest, match="catalog_id"):
        to_wire.request(registry_pb.DeleteCatalogRequest, "shop", {"catalog_id": empty})
    made = to_wire.request(registry_pb.DeleteCatalogRequest, "shop", {"catalog_id": "other"})
    assert made.catalog_id == "other"

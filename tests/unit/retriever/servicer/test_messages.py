"""Protos to values and back."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type import money_pb2

from retriever.columns.table import ProductTable
from retriever.domain.errors import FilterInvalid
from retriever.domain.generation import Freshness
from retriever.domain.product import (
    Amount,
    Attribute,
    Image,
    ImageDraft,
    Product,
    ProductContent,
    ProductOrder,
    Stored,
)
from retriever.search.freshness import read_index_token
from retriever.servicer import (
    column_messages,
    facet_messages,
    filter_messages,
    product_messages,
    vector_messages,
)
from retriever.servicer import messages as wire
from servicekit.errors import Internal
from servicekit.rpc.requests import RequestInvalid
from servicekit.telemetry import Stage
from sightline.common.v1 import facet_pb2, filter_pb2, product_pb2
from sightline.common.v1.candidate_pb2 import CandidateColumns
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline_client.convert import to_wire
from sightline_client.convert.filter_text import parse_filter
from sightline_rules.facts import Facts, by_key, passes
from sightline_rules.filters import (
    All,
    Any,
    Availability,
    Comparison,
    Existence,
    Membership,
    Money,
    Not,
    Operator,
    Time,
)
from tests.unit.retriever.rows import row

Value = filter_pb2.FilterValue
MORE = '[["grape", "a"], ["abv", 12.0], ["bio", true]]'
EQUAL = filter_pb2.Comparison.OPERATOR_EQUAL


def comparison(field: str, value: Value, operator: int = EQUAL) -> filter_pb2.Filter:
    return filter_pb2.Filter(
        comparison=filter_pb2.Comparison(field=field, operator=operator, value=value)  # type: ignore[arg-type]
    )


def negation(inner: filter_pb2.Filter) -> filter_pb2.Filter:
    message = filter_pb2.Filter()
    getattr(message, "not").CopyFrom(inner)
    return message


def any_of(*parts: filter_pb2.Filter) -> filter_pb2.Filter:
    return filter_pb2.Filter(any=filter_pb2.FilterList(filters=parts))


def exists(field: str) -> filter_pb2.Filter:
    return filter_pb2.Filter(existence=filter_pb2.Existence(field=field))


def test_a_photo_comes_as_bytes_as_an_id_or_as_an_address() -> None:
    sent = product_pb2.Product()
    sent.images.add(content=b"x")
    sent.images.add(image_id="a" * 64)
    sent.images.add(uri="https://photos.test/a.jpg")
    assert product_messages.draft(sent).images == (
        ImageDraft(b"x", ""),
        ImageDraft(b"", "a" * 64),
        ImageDraft(b"", "", "https://photos.test/a.jpg"),
    )


def test_a_product_that_was_stored_reads_as_it_was_sent() -> None:
    sent = product_pb2.Product(
        product_id="a",
        parent_id="b",
        title="红",
        description="d",
        category_path=["Wine", "Red"],
        brand="Estate",
        price=money_pb2.Money(currency_code="EUR", units=12, nanos=340_000_000),
        availability=product_pb2.AVAILABILITY_PREORDER,
        tags=["x"],
        attributes=[
            product_pb2.Attribute(key="grape", text="a"),
            product_pb2.Attribute(key="abv", number=0.0),
            product_pb2.Attribute(key="bio", flag=False),
        ],
        language_code="en",
        uri="https://shop.example",
    )
    draft = product_messages.draft(sent)
    assert draft.price == Amount("EUR", 12, 340_000_000)
    assert draft.attributes == (("grape", "a"), ("abv", 0.0), ("bio", False))
    assert draft.availability is Availability.PREORDER
    held = Product(
        ProductContent(
            product_id=draft.product_id,
            title=draft.title,
            parent_id=draft.parent_id,
            description=draft.description,
            category_path=draft.category_path,
            brand=draft.brand,
            price=Money("EUR", 12_340_000),
            availability=draft.availability,
            tags=draft.tags,
            attributes=tuple(Attribute(k, v) for k, v in draft.attributes if v is not None),
            language_code=draft.language_code,
            uri=draft.uri,
        ),
        (),
        create_time=0,
        update_time=0,
        etag="",
        seq=1,
    )
    read = product_messages.row(held)
    read.ClearField("create_time")
    read.ClearField("update_time")
    assert read == sent


def test_what_is_not_said_becomes_its_default_and_nonsense_none() -> None:
    assert product_messages.draft(product_pb2.Product()).availability is Availability.IN_STOCK
    strange = product_pb2.Product(availability=99)  # type: ignore[arg-type]
    assert product_messages.draft(strange).availability is None
    assert product_messages.draft(product_pb2.Product()).price is None
    keyless = product_pb2.Product(attributes=[product_pb2.Attribute(key="k")])
    assert product_messages.draft(keyless).attributes == (("k", None),)


async def test_every_column_is_as_long_as_the_others_or_left_out() -> None:
    table = ProductTable(
        [
            row(
                "a",
                parent_id="p",
                title="A",
                price_micros=5,
                currency="EUR",
                create_time=7,
                update_time=8,
            ),
            row("-", title="-", price_micros=1, currency="USD", image_hash=1),
            row(
                "b",
                title="B",
                category="x > y",
                tags='["x"]',
                attributes=MORE,
                create_time=9,
                image_hash=3,
            ),
        ]
    )
    columns = CandidateColumns()
    await column_messages.fill(columns, table, table.places(["a", "b"]).tolist())
    lengths = {
        name: len(value)
        for field in columns.DESCRIPTOR.fields
        if (name := field.name)
        for value in [getattr(columns, name)]
    }
    unsaid = {
        lengths.pop(name)
        for name in (
            "brands",
            "rating_tenths",
            "rating_counts",
            "stocks",
            "cost_micros",
            "cost_currencies",
        )
    }
    assert unsaid == {0}, "no product has one"
    assert set(lengths.values()) == {2}, lengths
    assert list(columns.parent_ids) == ["p", ""]
    assert list(columns.category_paths) == ["", "x > y"]
    assert list(columns.price_micros) == [5, -1]
    assert list(columns.currencies) == ["EUR", ""]
    assert list(columns.create_time_micros) == [7, 9]
    assert list(columns.product_ids) == ["a", "b"]
    assert list(columns.image_hashes) == [0, 3]
    assert [list(each.values) for each in columns.tags] == [[], ["x"]]
    reported = [(it.key, it.WhichOneof("value")) for it in columns.attributes[1].values]
    assert reported == [("grape", "text"), ("abv", "number"), ("bio", "flag")]


async def test_other_tasks_run_while_large_columns_are_filled() -> None:
    tags = [f'["{number}"]' for number in range(1_000)]
    table = ProductTable([row(f"p{number}", tags=each) for number, each in enumerate(tags)])
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    columns = CandidateColumns()
    await column_messages.fill(columns, table, range(1_000))
    beside.cancel()
    assert turns > 1_000 / column_messages.PART_ROWS
    assert [list(each.values) for each in columns.tags] == [[str(n)] for n in range(1_000)]


def test_a_photo_shows_its_shape_and_bytes() -> None:
    message = product_messages.image_message(Image("f" * 64, "image/png", 3, 2, 1), b"abc")
    assert (message.content, message.media_type, message.width) == (b"abc", "image/png", 2)


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        (filter_pb2.Filter(), All()),
        (comparison("brand", Value(text='"x\\')), Comparison("brand", Operator.EQUAL, '"x\\')),
        (
            comparison("price", Value(money=money_pb2.Money(currency_code="EUR", nanos=1_000))),
            Comparison("price", Operator.EQUAL, Money("EUR", 1)),
        ),
        (
            comparison("availability", Value(availability=product_pb2.AVAILABILITY_BACKORDER)),
            Comparison("availability", Operator.EQUAL, Availability.BACKORDER),
        ),
        (
            comparison("create_time", Value(time=Timestamp(seconds=-1, nanos=999_999_999))),
            Comparison("create_time", Operator.EQUAL, Time(-1)),
        ),
        (
            filter_pb2.Filter(
                membership=filter_pb2.Membership(field="tags", values=[Value(text="x")])
            ),
            Membership("tags", ("x",)),
        ),
        (
            filter_pb2.Filter(all=filter_pb2.FilterList(filters=[filter_pb2.Filter()])),
            All((All(),)),
        ),
        (any_of(), Any()),
        (any_of(exists("price"), filter_pb2.Filter()), Any((Existence("price"), All()))),
        (negation(filter_pb2.Filter()), Not(All())),
        (negation(any_of(exists("attributes.a"))), Not(Any((Existence("attributes.a"),)))),
        (
            comparison("title", Value(text="a"), filter_pb2.Comparison.OPERATOR_CONTAINS),
            Comparison("title", Operator.CONTAINS, "a"),
        ),
        (
            comparison("attributes.abv", Value(number=13.5), 6),
            Comparison("attributes.abv", Operator.GREATER_OR_EQUAL, 13.5),
        ),
        (
            comparison("attributes.organic", Value(flag=False)),
            Comparison("attributes.organic", Operator.EQUAL, False),
        ),
    ],
)
def test_a_filter_keeps_its_meaning(message: filter_pb2.Filter, meaning: object) -> None:
    assert filter_messages.condition(message) == meaning


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (comparison("colour", Value(text="x")), "comparison.field"),
        (comparison("colour", Value()), "comparison.field"),
        (comparison("brand", Value()), "comparison.value"),
        (comparison("brand", Value(text="x"), 0), "comparison.operator"),
        (comparison("brand", Value(text="x"), 99), "comparison.operator"),
        (comparison("brand", Value(text="x"), 3), "comparison.operator"),
        (comparison("brand", Value(text="x" * 1_025)), "comparison.value"),
        (comparison("price", Value(text="12")), "comparison.value"),
        (
            comparison("price", Value(money=money_pb2.Money(currency_code="EUR", nanos=1))),
            "comparison.value.money.nanos",
        ),
        (
            comparison("price", Value(money=money_pb2.Money(currency_code="EUR", units=-1))),
            "comparison.value",
        ),
        (
            comparison("price", Value(money=money_pb2.Money(currency_code="EUR", units=2**62))),
            "comparison.value",
        ),
        (comparison("price", Value(money=money_pb2.Money())), "comparison.value"),
        (comparison("availability", Value(availability=0)), "comparison.value.availability"),
        (
            comparison("create_time", Value(time=Timestamp(seconds=2**60))),
            "comparison.value.time",
        ),
        (
            filter_pb2.Filter(membership=filter_pb2.Membership(field="colour")),
            "membership.field",
        ),
        (
            filter_pb2.Filter(membership=filter_pb2.Membership(field="tags", values=[Value()])),
            "membership.values[0]",
        ),
        (
            any_of(filter_pb2.Filter(), negation(comparison("colour", Value(text="x")))),
            "any.filters[1].not.comparison.field",
        ),
        (negation(negation(exists("colour"))), "not.not.existence.field"),
        (comparison("attributes.a", Value(number=float("inf"))), "comparison.value"),
        (comparison("attributes.a", Value(text="x"), 3), "comparison.operator"),
        (comparison("attributes.A", Value(text="x")), "comparison.field"),
        (comparison("brand", Value(flag=True)), "comparison.value"),
        (comparison("title", Value(text=""), 7), "comparison.value"),
    ],
)
def test_a_filter_without_meaning_is_refused_by_its_path(
    message: filter_pb2.Filter, path: str
) -> None:
    with pytest.raises(FilterInvalid) as caught:
        filter_messages.condition(message)
    assert [v.field for v in caught.value.violations] == [f"filter.{path}"]


def test_a_filter_nested_too_deep_is_refused() -> None:
    alls, nots = filter_pb2.Filter(), filter_pb2.Filter()
    for _ in range(40):
        alls = filter_pb2.Filter(all=filter_pb2.FilterList(filters=[alls]))
        nots = negation(nots)
    for message in (alls, nots):
        with pytest.raises(FilterInvalid):
            filter_messages.condition(message)


SOLD = {
    "old": Facts(
        category="Wine > Red",
        brand="Aurora",
        title="Grande Réserve",
        tags=frozenset({"Beef"}),
        attributes=by_key([("vintage", 1999.0), ("grape", "Merlot"), ("grape", "Syrah")]),
    ),
    "cheap": Facts(category="Wine > White", price=Money("EUR", 5_000_000)),
    "bare": Facts(attributes=by_key([("vintage", "1999"), ("organic", True)])),
}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "old cheap bare"),
        ("brand = Aurora OR price < 9 EUR", "old cheap"),
        ("NOT brand = Aurora", "cheap bare"),
        ("brand != Aurora", ""),
        ("attributes.vintage < 2000", "old"),
        ('attributes.vintage = "1999" OR tags:Beef', "old bare"),
        ("attributes.vintage:* AND NOT attributes.grape:*", "bare"),
        ("attributes.organic = true", "bare"),
        ("attributes.grape:MER AND title:réserve", "old"),
        ("category:wine AND -price:*", "old"),
        ("NOT (tags:Beef OR attributes.grape = Merlot OR attributes.organic = true)", "cheap"),
    ],
)
def test_what_a_person_writes_means_the_same_to_the_service(text: str, names: str) -> None:
    message = to_wire.filter_(parse_filter(text))
    assert message is not None
    asked = filter_messages.condition(message)
    assert [name for name, facts in SOLD.items() if passes(asked, facts)] == names.split()


def test_orders_and_views_of_the_future_are_refused() -> None:
    assert product_messages.order(0) is ProductOrder.PRODUCT_ID
    assert product_messages.order(2) is ProductOrder.NEWEST
    with pytest.raises(RequestInvalid):
        product_messages.order(99)
    assert not product_messages.as_columns(0)
    assert product_messages.as_columns(products_pb.PRODUCT_VIEW_COLUMNS)
    with pytest.raises(RequestInvalid):
        product_messages.as_columns(99)


def test_an_outcome_shows_either_an_etag_or_a_reason() -> None:
    stored = product_messages.outcome("a", Stored("a", "e", ("i",)))
    assert (stored.status.code, stored.etag, list(stored.image_ids)) == (0, "e", ["i"])
    failed = product_messages.outcome("b", Internal("no", reason="INTERNAL"))
    assert (failed.status.code, failed.product_id, failed.etag) == (13, "b", "")
    assert wire.status(None).code == 0


def test_lag_is_the_age_of_the_oldest_open_write() -> None:
    now = 10_000_000
    behind = vector_messages.freshness("shop", Freshness(1, 2, 3, 8_000_000, 4), now)
    assert behind.index_lag == timedelta(seconds=2)
    assert read_index_token(behind.index_token, "shop") == 1
    assert (behind.index_time_micros, behind.pending) == (3, 4)
    level = vector_messages.freshness("shop", Freshness(2, 2, 3, 0, 0), now)
    assert level.index_lag == timedelta()
    ahead = vector_messages.freshness("shop", Freshness(1, 2, 3, now + 1, 0), now)
    assert ahead.index_lag == timedelta()


def test_rounds_of_one_stage_are_added_up() -> None:
    found = wire.timings(
        [Stage("index", 0.0, 1.0), Stage("hydrate", 1.0, 1.0), Stage("index", 2.0, 0.5)]
    )
    assert [(each["stage"], each["total"]) for each in found] == [
        ("index", {"seconds": 1, "nanos": 500_000_000}),
        ("hydrate", {"seconds": 1, "nanos": 0}),
    ]


IDS = {"product_id", "parent_id", "market_id", "etag", "image_id", "currency_code", "key", "uri"}
"""Fields that are compared byte by byte; ids in another form are rejected."""


def filled(message: Message, text: str) -> int:
    """Set each text of a message, and of those in it; return how many there are."""
    count = 0
    for field in message.DESCRIPTOR.fields:
        many = field.is_repeated
        if field.message_type is not None and field.message_type.full_name.startswith("sightline."):
            inner = getattr(message, field.name)
            count += filled(inner.add() if many else inner, text)
        elif field.type == field.TYPE_STRING and field.name not in IDS:
            if many:
                getattr(message, field.name).append(text)
            else:
                setattr(message, field.name, text)
            count += 1
    return count


def test_every_text_of_a_product_is_stored_composed() -> None:
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"
    one, other = product_pb2.Product(), product_pb2.Product()
    assert filled(one, composed) == filled(other, decomposed) >= 9
    assert product_messages.draft(other) == product_messages.draft(one)
    assert decomposed not in repr(product_messages.draft(other))


@pytest.mark.parametrize("field", ["brand", "tags", "category", "attributes.colour", "title"])
def test_a_filter_means_the_same_in_both_forms(field: str) -> None:
    operator = filter_pb2.Comparison.OPERATOR_CONTAINS if field == "title" else EQUAL
    one, other = (
        filter_messages.condition(comparison(field, Value(text=text), operator))
        for text in ("Caf\u00e9", "Cafe\u0301")
    )
    assert one == other
    both = [
        filter_pb2.Filter(membership=filter_pb2.Membership(field=field, values=[Value(text=text)]))
        for text in ("Caf\u00e9", "Cafe\u0301")
    ]
    if field != "title":
        first, second = map(filter_messages.condition, both)
        assert first == second


def test_a_facet_below_a_category_means_the_same_in_both_forms() -> None:
    one, other = (
        facet_messages.asked([facet_pb2.FacetRequest(field="category", category_path=[text])])
        for text in ("Caf\u00e9", "Cafe\u0301")
    )
    assert one == other

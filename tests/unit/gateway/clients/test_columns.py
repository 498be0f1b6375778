"""Columns as messages: the ranker gets the correct values of each product."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clients.columns import (
    columns,
    columns_message,
    columns_of,
    order_message,
    order_of,
)
from servicekit.errors import Internal
from sightline.common.v1 import candidate_pb2, product_pb2
from sightline.ranker.v1 import answer_service_pb2
from sightline_core.answer import AnswerOrder
from sightline_core.columns import ProductColumns, gathered

NAMES = [field.name for field in candidate_pb2.CandidateColumns.DESCRIPTOR.fields]
UNKNOWN = {"price_micros": -1, "cost_micros": -1, "rating_tenths": -1}
UNKNOWN |= {"rating_counts": -1, "stocks": -1}
TEXTS = ("parent_ids", "category_paths", "brands", "currencies", "cost_currencies", "titles")
NUMBERS = (*UNKNOWN, "image_hashes", "create_time_micros", "availabilities")


def said(message, name, row):
    """Return the values that columns have for the product in a row."""
    column = getattr(message, name)
    if len(column):
        return str(column[row])
    if name in NUMBERS:
        return str(UNKNOWN.get(name, 0))
    return ""


@st.composite
def messages(draw, prefix="p"):
    """Draw columns, some of them unknown."""
    count = draw(st.integers(1, 6))
    message = candidate_pb2.CandidateColumns(product_ids=[f"{prefix}{row}" for row in range(count)])
    for name in NAMES[1:]:
        if not draw(st.booleans()):
            continue
        for row in range(count):
            match name:
                case "tags":
                    message.tags.add(values=[f"tag {row}"] * draw(st.integers(0, 2)))
                case "attributes":
                    message.attributes.add().values.add(key="k", number=row)
                case name if name in TEXTS:
                    getattr(message, name).append(f"{name} {prefix}{row}")
                case "availabilities":
                    message.availabilities.append(row % 4)
                case _:
                    getattr(message, name).append(row + 1)
    return message


@st.composite
def picks(draw):
    """Draw several columns, and ascending rows of each."""
    parts = []
    for number in range(draw(st.integers(1, 3))):
        message = draw(messages(prefix=f"{number}-"))
        rows = sorted(draw(st.sets(st.integers(0, len(message.product_ids) - 1))))
        parts.append((message, rows))
    return parts


@given(picks(), st.data())
def test_rows_of_several_columns_say_what_was_said_of_each_product(parts, data):
    joined = gathered([(columns(message), rows) for message, rows in parts])
    wanted = [(message, row) for message, rows in parts for row in rows]
    again = sorted(data.draw(st.sets(st.integers(0, max(len(wanted) - 1, 0)), max_size=4)))
    for held, expected in (
        (joined, wanted),
        (gathered([(joined, again)]), [wanted[row] for row in again if row < len(wanted)]),
    ):
        if not expected:
            continue
        sent = columns_message(held)
        assert list(held.product_ids) == [message.product_ids[row] for message, row in expected]
        for name in NAMES:
            values = [said(sent, name, row) for row in range(len(expected))]
            assert values == [said(message, name, row) for message, row in expected], name


def test_columns_that_stay_whole_go_on_as_they_came():
    message = candidate_pb2.CandidateColumns(product_ids=["a", "b"])
    held = columns(message)
    assert columns_message(gathered([(held, (0, 1))])) is message
    assert columns_message(ProductColumns()) == candidate_pb2.CandidateColumns()


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(Internal):
        columns(candidate_pb2.CandidateColumns(product_ids=["a", "b"], brands=["x"]))


def test_whole_products_as_columns():
    product = product_pb2.Product(
        product_id="a",
        parent_id="p",
        category_path=["Wine", "Red"],
        brand="Aurora",
        availability=product_pb2.AVAILABILITY_PREORDER,
        tags=["Beef"],
        attributes=[product_pb2.Attribute(key="abv", number=13.5)],
    )
    product.price.currency_code, product.price.units, product.price.nanos = "EUR", 12, 500_000_000
    product.create_time.FromMicroseconds(1_600_000_000_000_001)
    plain = product_pb2.Product(product_id="b")

    message = columns_of([product, plain])

    assert list(message.parent_ids) == ["p", ""]
    assert list(message.category_paths) == ["Wine > Red", ""]
    assert list(message.price_micros) == [12_500_000, -1]
    assert list(message.currencies) == ["EUR", ""]
    assert list(message.availabilities) == [product_pb2.AVAILABILITY_PREORDER, 0]
    assert [list(each.values) for each in message.tags] == [["Beef"], []]
    assert message.attributes[0].values[0].number == 13.5
    assert list(message.create_time_micros) == [1_600_000_000_000_001, 0]


def test_an_order_comes_back_as_it_was_packed():
    order = AnswerOrder(
        product_ids=["a", "b"],
        raw_scores=[0.1, 1e-300],
        parts=[("fusion", [0.1, 1e-300])],
        image_ids=["x", ""],
        branches=[1, 64],
        collapsed=[["c", "d"], []],
        score_ranks=[1, 4],
        moves=[],
        chances=[],
        total=2,
    )
    assert order_of(order_message(order), 0, 2) == order


def test_branches_are_known_by_their_names():
    """Check a release that has other branches, in another order."""
    message = answer_service_pb2.AnsweredColumns(
        product_ids=["a"],
        raw_scores=b"\0" * 8,
        branch_names=["new", "later", "visual"],
        branches=[7],
    )
    assert order_of(message, 5, 9).product(5).branches == ("visual", "new")

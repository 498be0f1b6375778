import pytest

from ranker.domain.columns import products_of
from ranker.domain.features import Money, Product
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1 import candidate_pb2
from tests.fakes.ranker import columns, product


def test_columns_come_back_as_the_products_they_were_made_of() -> None:
    given = (
        product("p1", "Wine > Red", brand="A", tags=("x",), attributes=(("country", "Italy"),)),
        Product("p2", title="Valle Secreto"),
    )
    assert tuple(products_of(columns(given), "candidates")) == given


def test_absent_columns_are_unknown_values() -> None:
    message = candidate_pb2.CandidateColumns(product_ids=["p1", "p2"])
    assert tuple(products_of(message, "candidates")) == (Product("p1"), Product("p2"))


def test_a_price_without_a_currency_is_unknown_and_one_of_nothing_is_free() -> None:
    message = candidate_pb2.CandidateColumns(
        product_ids=["a", "b"], price_micros=[5, 0], currencies=["", "EUR"]
    )
    assert [one.price for one in products_of(message, "c")] == [None, Money(0, "EUR")]


def test_only_texts_are_taken_from_attributes() -> None:
    message = candidate_pb2.CandidateColumns(product_ids=["a"])
    values = message.attributes.add().values
    values.add(key="abv", number=13.0)
    values.add(key="bio", flag=True)
    values.add(key="empty")
    values.add(key="country", text="Italy")
    assert products_of(message, "c")[0].attributes == (("country", "Italy"),)


def test_a_column_of_another_length_is_named() -> None:
    message = candidate_pb2.CandidateColumns(
        product_ids=["a", "b"], brands=["x"], price_micros=[1, 2, 3]
    )
    with pytest.raises(RequestInvalid) as caught:
        products_of(message, "candidates")
    fields = [violation.field for violation in caught.value.violations]
    assert fields == ["candidates.brands", "candidates.price_micros"]


def test_products_are_a_sequence_with_an_end_and_slices() -> None:
    found = products_of(columns([product(f"p{n}") for n in range(4)]), "c")
    assert len(found) == 4
    assert found[-1].product_id == "p3"
    assert [one.product_id for one in found[1:3]] == ["p1", "p2"]
    with pytest.raises(IndexError):
        found[4]

"""The table of fields: errors in it are raised at start, and name the field."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sightline.common.v1 import candidate_pb2, product_pb2
from sightline.gateway.v1 import recommendation_service_pb2
from sightline_rules import fields
from sightline_rules.facts import Facts
from sightline_rules.fields import (
    FIELDS,
    NAMED,
    ORDERS,
    Field,
    FieldOrder,
    FieldTableError,
    check,
    check_columns,
    check_orders,
)
from sightline_rules.kinds import (
    MOST_NUMBER,
    AttributesKind,
    CategoryKind,
    FlagKind,
    MoneyKind,
    NumberKind,
    TextKind,
    TextsKind,
)

BY = (FieldOrder("COLOUR"),)
BESIDE = {"product_id", "images", "etag", "category_doubt"}
"""Parts of a product that are no fields."""
PRODUCT = product_pb2.Product.DESCRIPTOR.fields_by_name.keys()
CANDIDATE = candidate_pb2.CandidateColumns.DESCRIPTOR.fields_by_name.keys()
STORED = {name for field in FIELDS for name in field.stored}


def a_field(**values: object) -> Field:
    return Field(**{"name": "colour", "kind": TextKind(9), "summary": "Its colour.", **values})


def test_the_table_has_every_field_of_a_product() -> None:
    assert {field.wire for field in FIELDS} | BESIDE == set(PRODUCT)


def test_the_table_has_every_column_that_ranking_reads() -> None:
    named = {name for field in FIELDS for name in field.candidate}
    assert named | {"product_ids", "image_hashes"} == set(CANDIDATE)


def test_every_column_of_the_table_is_known() -> None:
    check_columns(FIELDS, product=PRODUCT, candidate=CANDIDATE)


@pytest.mark.parametrize(
    "which", [{"message": "hue"}, {"candidate": ("hue",)}, {"columns": ("hue",)}]
)
def test_an_unknown_column_is_refused_with_the_name_of_its_field(which: dict[str, object]) -> None:
    fitting = {"message": "brand", "candidate": ("brands",), "columns": ("brand",)}
    with pytest.raises(FieldTableError, match="field colour: unknown column hue"):
        check_columns(
            (a_field(**{**fitting, **which}),),
            product=PRODUCT,
            candidate=CANDIDATE,
            stored=STORED,
        )


@pytest.mark.parametrize(
    ("fault", "description"),
    [
        ({"name": "brand", "message": "hue", "columns": ("hue",)}, "name brand is given twice"),
        ({"message": "brand"}, "wire brand is given twice"),
        ({"columns": ("brand",)}, "column brand is given twice"),
        ({"kind": AttributesKind(), "sorted": BY}, "attributes cannot be sorted"),
        ({"kind": TextsKind(9, 9), "sorted": BY}, "a texts cannot be sorted"),
        ({"kind": FlagKind(), "sorted": BY}, "a flag cannot be sorted"),
        ({"kind": CategoryKind(), "sorted": BY}, "a category path cannot be sorted"),
        ({"sorted": BY}, "ranking does not read it"),
        ({"sorted": (FieldOrder("BRAND"),)}, "order BRAND is given twice"),
        ({"faceted": True}, "cannot be counted"),
        ({"kind": NumberKind(5), "searched": "names"}, "a number has no words"),
        ({"kind": MoneyKind(), "embedded": 9}, "a money has no words"),
        ({"searched": "elsewhere"}, "unknown weight elsewhere"),
        ({"shown": False, "filtered": True}, "is not shown"),
        ({"kind": MoneyKind(), "columns": ("colour_micros",)}, "a money has 2 columns"),
        ({"kind": NumberKind(MOST_NUMBER, decimals=1)}, "at most"),
    ],
)
def test_a_fault_in_the_table_is_refused_with_the_name_of_its_field(
    fault: dict[str, object], description: str
) -> None:
    with pytest.raises(FieldTableError, match=f"^field .*{description}"):
        check((*FIELDS, a_field(**fault)))


def test_an_order_that_the_contract_lacks_is_refused_with_the_name_of_its_field() -> None:
    with pytest.raises(FieldTableError, match="field colour: unknown order COLOUR"):
        check_orders((*FIELDS, a_field(sorted=BY)), ORDERS.keys())


def test_the_contract_has_the_orders_of_the_table_and_no_other() -> None:
    names = {name.removeprefix("SORT_") for name, _ in recommendation_service_pb2.Sort.items()}
    check_orders(FIELDS, names)
    assert names == {"UNSPECIFIED", "NEAREST", "POPULARITY", "RELEVANCE", *ORDERS}


def test_facts_of_no_field_are_refused() -> None:
    with pytest.raises(TypeError, match="colour, size"):
        Facts(colour="red", size=1)


def test_facts_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="brand"):
        Facts().brand = "Aurora"


def test_a_field_that_no_filter_may_name_is_no_fact() -> None:
    hidden = replace(NAMED["brand"], name="hidden", filtered=False)
    assert hidden.name not in fields.BY_FILTER
    with pytest.raises(TypeError, match="description"):
        Facts(description="long")

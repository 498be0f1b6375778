"""Requests as values: no field of a caller is lost."""

import pytest

from gateway.model.query import ValueGrouping
from gateway.servicer.queries import recommend_query, search_query, shelf_queries, values_query
from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import control_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb


def filled(kind):
    """Return a message with something in each field that holds texts, numbers or flags."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.message_type is not None:
            continue
        value = "é" if field.type == field.TYPE_STRING else 1
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    return message


@pytest.mark.parametrize(
    ("kind", "read"), [(pb.RecommendRequest, recommend_query), (pb.SearchRequest, search_query)]
)
def test_every_field_of_a_request_is_read(kind, read):
    request = filled(kind)
    query, renamed = read(request), {"anchor_product_ids": "anchors"}
    for field in kind.DESCRIPTOR.fields:
        if field.message_type is None:
            given = getattr(request, field.name)
            given = tuple(given) if field.is_repeated else given
            given = pb.Sort.Name(given).removeprefix("SORT_") if field.name == "sort" else given
            assert getattr(query, renamed.get(field.name, field.name)) == given, field.name


def test_a_request_without_a_catalog_is_about_the_default_one():
    assert recommend_query(pb.RecommendRequest()).catalog_id == "default"
    assert search_query(pb.SearchRequest()).catalog_id == "default"


def shared(**fields):
    return pb.RecommendShelvesRequest(
        catalog_id="other",
        request_id="r",
        language_code="zh",
        shopper=event_pb2.Shopper(user_id="ann"),
        session_id="visit",
        priority=2,
        **fields,
    )


def test_shelves_have_what_the_request_has_for_all_of_them():
    request = shared(
        shelves=[
            pb.Shelf(shelf_id="a", recommend=pb.RecommendRequest(scene="home", page_size=3)),
            pb.Shelf(shelf_id="b", search=pb.SearchRequest(page_size=4)),
            pb.Shelf(shelf_id="c", list=pb.ListRequest(text="merlot", sort=pb.SORT_NEWEST)),
        ]
    )
    whole, (own, near, listed) = shelf_queries(request)
    assert (whole.catalog_id, whole.shopper.id, whole.priority) == ("other", "ann", 2)
    assert [each.shelf_id for each in (own, near, listed)] == ["a", "b", "c"]
    assert [each.kind for each in (own, near, listed)] == ["recommend", "search", "list"]
    assert (own.query.scene, own.query.page_size) == ("home", 3)
    assert (listed.query.text, listed.query.sort, listed.query.listed) == ("merlot", "NEWEST", True)
    for each in (own, near, listed):
        assert (each.query.catalog_id, each.query.request_id) == ("other", "r")
        assert each.query.language_code == "zh"
    for each in (own, listed):
        assert (each.query.shopper, each.query.session_id) == (whole.shopper, "visit")
        assert each.query.priority == 2
    assert near.query.shopper is None


def test_the_query_of_a_shelf_is_that_of_its_own_call():
    """Its page token, which holds the digest of the query, is valid there."""
    request = shared(shelves=[pb.Shelf(shelf_id="a", recommend=pb.RecommendRequest(page_size=3))])
    _, (shelf,) = shelf_queries(request)
    same = pb.RecommendRequest(page_size=3)
    for field in ("catalog_id", "request_id", "language_code", "session_id", "priority"):
        setattr(same, field, getattr(request, field))
    same.shopper.CopyFrom(request.shopper)
    assert shelf.query == recommend_query(same)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (
            {"recommend": pb.RecommendRequest(catalog_id="c", page_token="t")},
            ("catalog_id", "page_token"),
        ),
        ({"recommend": pb.RecommendRequest(shopper=event_pb2.Shopper())}, ("shopper",)),
        (
            {"list": pb.ListRequest(not_personal=True, if_none_match="7.0")},
            ("not_personal", "if_none_match"),
        ),
        ({"search": pb.SearchRequest(request_id="r")}, ("request_id",)),
        (
            {"recommend": pb.RecommendRequest(controls=[control_pb2.Control()])},
            ("controls[0].kind",),
        ),
        ({}, ("query",)),
    ],
)
def test_a_shelf_that_says_what_is_not_its_own_has_an_error(query, fields):
    request = shared(shelves=[pb.Shelf(shelf_id="a", **query), pb.Shelf(shelf_id="b", list={})])
    _, (wrong, right) = shelf_queries(request)
    assert tuple(each.field for each in wrong.error.violations) == fields
    assert right.error is None


def test_a_request_for_values_has_a_query_and_a_grouping():
    request = pb.RecommendValuesRequest(
        request=pb.RecommendRequest(page_size=7),
        field="category",
        category_path=["Wine", "Red"],
        products_per_value=3,
    )
    query, grouping = values_query(request)
    assert query == recommend_query(request.request)
    assert grouping == ValueGrouping("category", ("Wine", "Red"), 3)

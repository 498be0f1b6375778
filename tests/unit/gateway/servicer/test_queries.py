"""Requests as values: no field of a caller is lost."""

import pytest

from gateway.servicer.queries import recommend_query, search_query
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

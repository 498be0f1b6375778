"""Etags, keys of idempotency and waits, in headers and messages."""

import pytest

from gateway.http import conditions
from gateway.http.errors import HeaderInvalid
from servicekit.errors import Aborted, ServiceError
from servicekit.status import to_status
from sightline.common.v1.product_pb2 import Product
from sightline.gateway.v1 import catalog_service_pb2 as pb
from sightline.gateway.v1.recommendation_service_pb2 import ListResponse, RecommendedProduct


@pytest.mark.parametrize(
    ("request_", "read"),
    [
        (pb.UpsertProductsRequest(products=[Product()]), lambda r: r.products[0].etag),
        (
            pb.UpdateProductsRequest(updates=[pb.ProductUpdate()]),
            lambda r: r.updates[0].product.etag,
        ),
        (pb.ImportProductsRequest(rows=[pb.ImportRow()]), lambda r: r.rows[0].product.etag),
    ],
)
def test_a_condition_is_set_where_the_request_has_an_etag(request_, read) -> None:
    conditions.require_etag(request_, '"abc"')
    assert read(request_) == "abc"


def test_a_condition_that_differs_from_the_request_is_refused() -> None:
    request = pb.UpsertProductsRequest(products=[Product(etag="a")])
    with pytest.raises(ServiceError, match="differs from If-Match"):
        conditions.require_etag(request, '"b"')


def test_the_etag_of_an_answer_is_its_own_or_that_of_its_only_result() -> None:
    assert conditions.etag_of(Product(etag="a")) == "a"
    one = pb.UpsertResult(etag="b")
    assert conditions.etag_of(pb.UpsertProductsResponse(results=[one])) == "b"
    assert conditions.etag_of(pb.UpsertProductsResponse(results=[one, one])) == ""
    assert conditions.etag_of(pb.ListProductsResponse()) == ""


@pytest.mark.parametrize("results", [0, 1, 2])
def test_a_listing_has_its_etag_with_any_number_of_products(results: int) -> None:
    products = [RecommendedProduct()] * results
    assert conditions.etag_of(ListResponse(etag="a", results=products)) == "a"


def test_a_condition_that_failed_is_the_error_of_the_item() -> None:
    status = to_status(Aborted("changed", reason="ETAG_MISMATCH"))
    answer = pb.UpsertProductsResponse(results=[pb.UpsertResult(status=status)])
    error = conditions.rejected(answer)
    assert error is not None
    assert error.reason == "ETAG_MISMATCH"
    assert conditions.rejected(pb.UpsertProductsResponse(results=[pb.UpsertResult()])) is None


@pytest.mark.parametrize(
    ("header", "etag", "found"),
    [
        ('"a"', "a", True),
        ('"b", W/"a"', "a", True),
        ("*", "a", True),
        ('"b"', "a", False),
        ("*", "", False),
    ],
)
def test_none_match_compares_weakly(header: str, etag: str, found: bool) -> None:
    assert conditions.matches(header, etag) is found


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=5", 5.0),
        ("respond-async, wait=100", 100.0),
        ("wait=99999", 600.0),
        ("", 0.0),
        ("await=3", 0.0),
    ],
)
def test_a_wait_is_bounded(header: str, seconds: float) -> None:
    assert conditions.wait_seconds({"prefer": header}, 600.0) == seconds


def test_a_key_of_idempotency_needs_a_call_that_takes_it() -> None:
    with pytest.raises(HeaderInvalid):
        conditions.take_key(Product(), {"idempotency-key": "a"})

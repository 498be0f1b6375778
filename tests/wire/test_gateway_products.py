"""Products and events through the gateway, over real gRPC."""

from servicekit.errors import Code
from servicekit.status import from_status
from sightline.common.v1 import event_pb2, product_pb2
from sightline.gateway.v1 import (
    catalog_service_pb2,
    recommendation_service_pb2,
    user_event_service_pb2,
)
from sightline.retriever.v1 import product_service_pb2
from tests.wire.gateway_calls import ANN, UNKNOWN_FIELD, refused, suite

__all__ = ["suite"]  # fixtures


async def test_products_are_written_with_a_status_each(suite):
    answer = await suite.catalog.UpsertProducts(
        catalog_service_pb2.UpsertProductsRequest(
            products=[product_pb2.Product(product_id=i, title="红酒") for i in ("a", "b")]
        )
    )

    assert answer.index_token == "t2"
    assert (answer.results[0].etag, list(answer.results[0].image_ids)) == ("e1", ["i1"])
    assert from_status(answer.results[1].status).reason == "PRODUCT_INVALID"
    (sent,) = suite.retriever.script.requests("UpsertProducts")
    assert sent.catalog_id == "default"
    assert [item.title for item in sent.products] == ["红酒", "红酒"]


async def test_products_are_read_listed_and_deleted(suite):
    request = catalog_service_pb2
    product = await suite.catalog.GetProduct(request.GetProductRequest(product_id="p1"))
    listed = await suite.catalog.ListProducts(
        request.ListProductsRequest(
            order=request.ListProductsRequest.ORDER_NEWEST, filter=UNKNOWN_FIELD, page_size=3
        )
    )
    deleted = await suite.catalog.DeleteProducts(request.DeleteProductsRequest(product_ids=["p1"]))
    image = await suite.catalog.GetImage(request.GetImageRequest(image_id="0" * 64))

    assert product.title == "Title p1"
    assert len(listed.products) == 5
    (sent,) = suite.retriever.script.requests("ListProducts")
    assert sent.order == product_service_pb2.ListProductsRequest.ORDER_NEWEST
    assert (sent.filter, sent.page_size) == (UNKNOWN_FIELD, 3)
    assert (deleted.deleted_count, deleted.index_token) == (1, "t3")
    assert image.content == b"bytes"


async def test_an_unknown_product_is_not_found(suite):
    error = await refused(
        suite.catalog.GetProduct(catalog_service_pb2.GetProductRequest(product_id="nope"))
    )

    assert (error.code, error.reason) == (Code.NOT_FOUND, "PRODUCT_NOT_FOUND")


async def test_events_are_written_with_a_status_each(suite):
    answer = await suite.events.WriteEvents(
        user_event_service_pb2.WriteEventsRequest(
            events=[event_pb2.Event(event_id=i, shopper=ANN) for i in ("e1", "e2")]
        )
    )

    assert [status.code for status in answer.statuses] == [0, 3]
    assert from_status(answer.statuses[1]).reason == "EVENT_TIME_INVALID"
    assert answer.written_count == 1


async def test_a_write_to_a_lost_peer_says_which_and_when_to_try_again(suite):
    await suite.ranker.down()
    error = await refused(
        suite.events.WriteEvents(
            user_event_service_pb2.WriteEventsRequest(events=[event_pb2.Event(event_id="e1")])
        )
    )

    assert (error.code, error.reason) == (Code.UNAVAILABLE, "RANKER_UNAVAILABLE")
    assert error.retry_after is not None


async def test_suggestions_are_those_of_both_peers(suite):
    request = recommendation_service_pb2.SuggestRequest(prefix="re", page_size=5)
    answer = await suite.recommendation.Suggest(request)

    kinds = recommendation_service_pb2.Suggestion
    past, value = answer.suggestions
    assert (past.kind, past.text) == (kinds.KIND_PAST_SEARCH, "red wine")
    assert [(one.start, one.end) for one in past.highlights] == [(0, 2)]
    assert (value.kind, value.text, value.field) == (kinds.KIND_FACET_VALUE, "Red", "brand")
    assert answer.request_id
    (sent,) = suite.retriever.script.requests("SuggestTexts")
    asked = (sent.catalog_id, sent.prefix, sent.page_size, sent.language_code)
    assert asked == ("default", "re", 5, "en")


async def test_suggestions_out_of_range_are_refused(suite):
    for field, wrong in (("prefix", "x" * 257), ("page_size", 21)):
        request = recommendation_service_pb2.SuggestRequest(**{field: wrong})
        error = await refused(suite.recommendation.Suggest(request))
        assert [each.field for each in error.violations] == [field]
    assert not suite.retriever.script.seen

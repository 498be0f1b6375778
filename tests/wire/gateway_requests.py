"""A gateway whose peers answer every call, and a request that each of its calls accepts."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from sightline.common.v1 import event_pb2, product_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.fakes.gateway_wire import Suite, running
from tests.wire.gateway_calls import ANN, PHOTO, photo

VALUES: Mapping[str, Any] = {
    "product_id": "p1",
    "product_ids": "p1",
    "image": PHOTO,
    "image_id": "image-p1",
    "job_id": "ranker/1",
    "shopper": ANN,
    "signals": pb.QuerySignal(image=PHOTO),
    "events": event_pb2.Event(
        event_id="e1",
        type=event_pb2.EVENT_TYPE_VIEW,
        product_id="p1",
        shopper=ANN,
        event_time=Timestamp(seconds=1_700_000_000),
    ),
    "products": product_pb2.Product(product_id="p1", title="Wine"),
    "offers": {"product_id": "p1"},
    "prefix": "re",
    "store": "ranker",
}
"""Values of fields, by name; a repeated one has a single entry."""
ROWS: Mapping[str, Mapping[str, Any]] = {
    "RecommendationService/RecommendValues": {"request": photo(), "field": "brand"},
    "RecommendationService/ExplainRecommendation": {"request": photo()},
    "RecommendationService/RecommendShelves": {
        "shelves": [pb.Shelf(shelf_id="near", recommend=photo())]
    },
    "UserEventService/MergeShopper": {
        "from": event_pb2.Shopper(visitor_id="v" * 36),
        "to": ANN,
    },
}
"""Further fields of a call."""


@pytest.fixture
async def whole() -> AsyncIterator[Suite]:
    """Yield a gateway whose peers answer every call."""
    async with running(whole=True) as found:
        yield found


async def rows(suite: Suite) -> Mapping[str, Mapping[str, Any]]:
    """Return ROWS, and those that an answer is needed for."""
    answer = await suite.recommendation.Recommend(photo(page_size=2))
    token = {"attribution_token": answer.attribution_token}
    return {**ROWS, "RecommendationService/ReplayRecommendation": token}

"""Callers that may name one shopper, or none."""

import pytest
from google.protobuf.message import Message

from servicekit.admission import shoppers
from servicekit.admission.access import ShopperForbidden
from sightline.common.v1.event_pb2 import Event, Shopper
from sightline.gateway.v1 import admin_service_pb2, recommendation_service_pb2
from sightline.gateway.v1 import user_event_service_pb2 as events
from sightline.gateway.v1.recommendation_service_pb2 import (
    ExplainRecommendationRequest,
    RecommendRequest,
)
from sightline.ranker.v1.profile_service_pb2 import (
    GetShopperProfileRequest,
    SetShopperAttributesRequest,
)

OWN, OTHER = Shopper(user_id="u7"), Shopper(user_id="u8")
VISITOR = Shopper(visitor_id="v1")


def merge(proof: str) -> Message:
    return events.MergeShopperRequest(**{"from": VISITOR}, to=OWN, visitor_proof=proof)


NAMING = [
    (RecommendRequest(shopper=OTHER), "shopper"),
    (RecommendRequest(shopper=VISITOR), "shopper"),
    (ExplainRecommendationRequest(request=RecommendRequest(shopper=OTHER)), "request.shopper"),
    (events.WriteEventsRequest(events=[Event(shopper=OWN), Event(shopper=OTHER)]), "events[1]"),
    (events.MergeShopperRequest(**{"from": OTHER}, to=OWN, visitor_proof="p"), "from"),
    (events.MergeShopperRequest(**{"from": VISITOR}, to=OTHER, visitor_proof="p"), "to"),
    (merge(""), "from"),
    (GetShopperProfileRequest(shopper=OTHER), "shopper"),
    (SetShopperAttributesRequest(shopper=OTHER), "shopper"),
]


@pytest.mark.parametrize(("request_", "path"), NAMING)
def test_another_shopper_is_rejected_with_its_field(request_: Message, path: str) -> None:
    with pytest.raises(ShopperForbidden) as raised:
        shoppers.check(request_, "u7")
    assert raised.value.violations[0].field.startswith(path)
    with pytest.raises(ShopperForbidden):
        shoppers.check(request_, "")


@pytest.mark.parametrize(
    "request_",
    [
        RecommendRequest(),
        RecommendRequest(shopper=OWN),
        ExplainRecommendationRequest(request=RecommendRequest(shopper=OWN)),
        events.WriteEventsRequest(events=[Event(shopper=OWN)]),
        merge("proof"),
    ],
)
def test_the_caller_s_own_shopper_is_accepted(request_: Message) -> None:
    shoppers.check(request_, "u7")


def test_a_caller_of_no_shopper_sends_anonymous_requests_alone() -> None:
    shoppers.check(RecommendRequest(), "")
    for request in (RecommendRequest(shopper=OWN), merge("proof")):
        with pytest.raises(ShopperForbidden):
            shoppers.check(request, "")


def test_the_field_of_every_shopper_in_a_public_request_is_found() -> None:
    """Search the descriptor's text, so that a field which the check misses fails here."""
    modules = (admin_service_pb2, recommendation_service_pb2, events)
    for service in (item for m in modules for item in m.DESCRIPTOR.services_by_name.values()):
        for method in service.methods:
            direct = [f for f in method.input_type.fields if f.message_type is not None]
            named = {f.name for f in direct if f.message_type.full_name == shoppers.SHOPPER}
            assert named <= {field.name for field in shoppers._holding(method.input_type)}

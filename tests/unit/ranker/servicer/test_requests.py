import pytest

from ranker.domain.events import Identity, Shopper
from ranker.servicer import requests
from servicekit.rpc.requests import RequestInvalid, timestamp
from sightline.common.v1 import event_pb2
from tests.fakes.ranker import KEY


def test_a_shopper_is_a_user_or_a_visitor_or_nobody() -> None:
    assert requests.shopper(event_pb2.Shopper(user_id="a")) == Shopper(Identity.USER, "a")
    assert requests.shopper(event_pb2.Shopper(visitor_id="a")) == Shopper(Identity.VISITOR, "a")
    assert requests.shopper(event_pb2.Shopper()) is None


@pytest.mark.parametrize("user_id", ["", "x" * 129, "é" * 65])
def test_an_id_that_is_empty_or_too_long_is_refused_by_its_path(user_id: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        requests.actor(event_pb2.Shopper(user_id=user_id), "default", KEY)
    assert caught.value.violations[0].field == "shopper.user_id"


def test_where_a_shopper_is_needed_nobody_is_refused() -> None:
    assert requests.actor(event_pb2.Shopper(), "default", KEY) is None
    with pytest.raises(RequestInvalid):
        requests.actor(event_pb2.Shopper(), "default", KEY, required=True)


@pytest.mark.parametrize("micros", [0, -1, -62_135_596_800_000_000, 1_790_000_000_123_456])
def test_times_before_and_after_1970_are_kept_to_the_microsecond(micros: int) -> None:
    found = timestamp(micros)
    assert found.seconds * 1_000_000 + found.nanos // 1000 == micros
    assert 0 <= found.nanos < 10**9

"""Common fields of every request on the wire."""

import pytest

from gateway.servicer.requests import admit
from servicekit import telemetry
from servicekit.rpc.requests import CatalogNotFound, RequestInvalid, take_request_id
from sightline.gateway.v1 import catalog_service_pb2 as pb


@pytest.fixture(autouse=True)
def from_transport():
    token = telemetry.request_id.set("from-the-transport")
    yield
    telemetry.request_id.reset(token)


def test_the_messages_own_request_id_goes_before_the_transports():
    assert take_request_id("req-1") == "req-1"
    assert telemetry.request_id.get() == "req-1"


@pytest.mark.parametrize("given", ["", "two words", "forged\nline", "é", "x" * 129])
def test_an_id_that_no_log_can_carry_leaves_the_transports(given):
    assert take_request_id(given) == "from-the-transport"


def test_an_empty_catalog_is_the_default_and_an_undeclared_one_is_refused():
    assert admit(pb.GetProductRequest(), ["default"]) == "default"
    assert admit(pb.GetProductRequest(catalog_id="shop"), ["default", "shop"]) == "shop"
    with pytest.raises(CatalogNotFound):
        admit(pb.GetProductRequest(catalog_id="nope"), ["default"])


def test_a_request_id_over_its_limit_is_refused():
    with pytest.raises(RequestInvalid):
        admit(pb.GetProductRequest(request_id="x" * 129), ["default"])

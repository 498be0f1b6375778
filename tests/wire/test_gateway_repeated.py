"""Each public call that is declared idempotent asks the gateway's peers for the same once more when
it is made again, and answers the same.

The gateway keeps nothing itself: what its peers are asked for is all that a call changes. That they
take it once is what test_ranker_repeated and test_retriever_repeated show.
"""

import pytest
from google.protobuf.descriptor_pb2 import MethodOptions

from tests.fakes.gateway_script import Seen
from tests.fakes.gateway_wire import Suite
from tests.wire.cancelled_calls import Offered, filled
from tests.wire.gateway_requests import VALUES, rows, whole
from tests.wire.repeated_calls import methods

pytestmark = pytest.mark.full

__all__ = ["whole"]

REQUEST = "once-and-again"
PEERS = ("embedder", "retriever", "ranker", "vision", "common")
CHANGES = {**methods("gateway"), **methods("common")}
DECLARED = {
    name.partition("/")[2]
    for level in (MethodOptions.IDEMPOTENT, MethodOptions.NO_SIDE_EFFECTS)
    for name in methods(*PEERS, level=level)
}
SERVED = "JobService/CancelJob"
"""The one call of a common service that the gateway serves."""


def offered(suite: Suite) -> Offered:
    return Offered(suite.gateway.bindings, suite.settings, catalogs=suite.gateway.catalogs)


def sent(suite: Suite) -> list[Seen]:
    """Return what the peers were asked for, and forget it."""
    found = list[Seen]()
    for peer in (suite.embedder, suite.retriever, suite.ranker, suite.vision):
        found += peer.script.seen
        peer.script.seen.clear()
    return found


def is_made_once(asked: Seen) -> bool:
    """Return whether a peer takes a request once: its method is declared so, or it has the id that
    the caller gave."""
    return asked.method in DECLARED or asked.request.request_id == REQUEST


async def test_a_call_that_is_made_again_asks_for_the_same(whole: Suite) -> None:
    calls, given = offered(whole), await rows(whole)
    wanted = {name for name in calls.methods if name in CHANGES}
    assert wanted == methods("gateway").keys() | {SERVED}
    for name in sorted(wanted):
        fields = {**given.get(name, {}), "request_id": REQUEST}
        request = filled(calls.methods[name], VALUES, fields)
        sent(whole)
        first, asked = await calls.answer(name, request), sent(whole)
        again, repeated = await calls.answer(name, request), sent(whole)
        assert again == first, name
        assert [(e.method, e.request) for e in repeated] == [(e.method, e.request) for e in asked]
        assert asked, name
        assert [each.method for each in asked if not is_made_once(each)] == [], name

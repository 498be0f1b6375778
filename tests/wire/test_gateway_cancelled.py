"""Each public call of the gateway, cancelled at each await and made again."""

import pytest

from tests.fakes.gateway_wire import Suite
from tests.wire.cancelled_calls import Offered, cancel_all
from tests.wire.gateway_requests import VALUES, rows, whole

pytestmark = pytest.mark.full

__all__ = ["whole"]

IN_MEMORY = {
    "AdminService/GetScene",
    "AdminService/ListScenes",
    "UserEventService/CreateVisitor",
}
"""Calls that have no await of their own, as the gateway answers them itself."""


async def test_a_call_that_is_cancelled_at_any_await_leaves_nothing(whole: Suite) -> None:
    gateway = whole.gateway
    offered = Offered(
        gateway.bindings, whole.settings, audit=gateway.audit, catalogs=gateway.catalogs
    )
    awaits = await cancel_all(
        offered, VALUES, await rows(whole), endless={"WatchService/WatchAlerts"}
    )
    assert {name for name, count in awaits.items() if not count} <= IN_MEMORY

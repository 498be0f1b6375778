"""Each public call of the gateway, cancelled at each await and made again."""

from tests.fakes.gateway_wire import Suite
from tests.wire.cancelled_calls import Offered, cancel_all
from tests.wire.gateway_requests import VALUES, rows, whole

__all__ = ["whole"]


async def test_a_call_that_is_cancelled_at_any_await_leaves_nothing(whole: Suite) -> None:
    gateway = whole.gateway
    offered = Offered(
        gateway.bindings, whole.settings, audit=gateway.audit, catalogs=gateway.catalogs
    )
    import os
    if os.environ.get("LOOK"):
        from tests.wire.cancelled_calls import filled
        R = await rows(whole)
        for name, method in offered.methods.items():
            if name.endswith("WatchAlerts"): continue
            print(name, "->", (await offered.answer(name, filled(method, VALUES, R.get(name, {}))))[:130].replace("\n"," "), flush=True)
        return
    awaits = await cancel_all(
        offered, VALUES, await rows(whole), endless={"WatchService/WatchAlerts"}
    )
    print(awaits)

"""Traces of services in one process; apart/test_traces.py has those of services apart."""

from local_suite.programs import ALL
from local_suite.suite import Suite
from tests.collector import Collector
from tests.live.traced import Traced, check_whole

TRACE = "7bf92f3577b34da6a3ce929d0e0e4737"


async def test_a_photo_is_one_trace_from_the_gateway_to_the_model_in_one_process(
    suite: Suite, gateway: str, shop_is_open: None, collector: Collector
) -> None:
    await check_whole(Traced(suite, collector, TRACE, process=ALL), gateway)

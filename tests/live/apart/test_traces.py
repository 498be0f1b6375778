"""One request by photo is one trace through all services and Triton, without personal data."""

import time

import pytest

from local_suite.suite import Suite
from tests.collector import Collector, Span
from tests.live.traced import METHODS, PARENT, Traced, asked, check_whole
from tests.waiting import until

pytestmark = pytest.mark.full

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_photo_is_one_trace_from_the_gateway_to_triton(
    suite: Suite, gateway: str, shop_is_open: None, collector: Collector
) -> None:
    await check_whole(Traced(suite, collector, TRACE), gateway)


async def test_each_services_line_has_the_callers_trace_also_where_nobody_records_it(
    suite: Suite, gateway: str, shop_is_open: None, collector: Collector
) -> None:
    unrecorded = f"{time.time_ns():032x}"
    await asked(gateway, f"00-{unrecorded}-{PARENT}-00")
    traced = Traced(suite, collector, unrecorded)
    await until(lambda: traced.logged() == set(METHODS.values()))
    assert collector.of(unrecorded) == {}


async def test_a_training_is_a_trace_of_its_own_through_worker_and_process(
    suite: Suite, shop_is_open: None, collector: Collector
) -> None:
    def trainings() -> list[tuple[Span, Span]]:
        """Return the worker's span and its process's span of each training: others may run
        meanwhile."""
        jobs = [span for span in list(collector.spans) if span.name == "job train"]
        by_id = {span.span_id: span for span in jobs if span.service == "ranker-worker"}
        processes = [span for span in jobs if span.service == "ranker-train"]
        return [(by_id[it.parent_id], it) for it in processes if it.parent_id in by_id]

    await until(lambda: trainings() != [])
    worker, process = trainings()[0]
    assert (worker.parent_id, process.trace_id) == ("", worker.trace_id)
    asked = [span for span in collector.of(worker.trace_id).values() if span.service == "retriever"]
    assert asked  # for the products
    assert collector.of(worker.trace_id).keys() >= {span.parent_id for span in asked}

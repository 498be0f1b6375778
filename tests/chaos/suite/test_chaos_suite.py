"""The chaos run detects broken promises: each of these is one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from local_suite.programs import ALL, PORTS, SERVICES
from sightline_client import Recommendations, SightlineClient
from sightline_client.errors import Failure, SightlineError, make
from tests.chaos.model import NotMeasured, Report
from tests.chaos.stage import target
from tests.chaos.suite import database, processes, replicas, restarts, shop
from tests.chaos.suite.processes import LEFT, Loss, fault
from tests.chaos.suite.shop import Got, Ledger, Load, got
from tests.postgres import PostgreSQL
from tests.waiting import SECONDS

LOST, BACK = 100.0, 160.0


def loss(process: str, well: float = BACK) -> Loss:
    return Loss(process, "stopped", LOST, BACK, well)


def given(kind: str, branch: str, *causes: str, after: float = 10.0, ranked: bool = True) -> Got:
    """Return an answer to a request sent `after` seconds after the loss."""
    began = LOST + after
    return Got(kind, began, began + 0.1, "", frozenset(causes), frozenset({branch}), ranked)


def failed(kind: str, reason: str, after: float = 10.0) -> Got:
    """Return a call of a camera that failed, sent `after` seconds after the loss."""
    return Got(kind, LOST + after, LOST + after + 0.1, reason)


@pytest.mark.parametrize(
    ("process", "answer", "broken"),
    [
        ("triton", given("photo", "visual"), ""),
        ("triton", given("photo", "popular", "EMBEDDER_UNAVAILABLE"), ""),
        ("triton", given("photo", "popular"), "photo by popular, not flagged"),
        (
            "triton",
            given("photo", "visual", ranked=False),
            "photo by visual, not ranked, not flagged",
        ),
        (
            "triton",
            given("text", "popular", "EMBEDDER_UNAVAILABLE"),
            "text not of the best branch that is left",
        ),
        (
            "triton",
            given("photo", "popular", "EMBEDDER_UNAVAILABLE", ranked=False),
            "photo not of the best branch that is left",
        ),
        ("milvus", given("product", "visual", "INDEX_UNAVAILABLE"), ""),
        (
            "milvus",
            given("product", "popular", "INDEX_UNAVAILABLE"),
            "product not of the best branch that is left",
        ),
        (
            "milvus",
            given("photo", "popular", "RANKER_UNAVAILABLE"),
            "photo flagged RANKER_UNAVAILABLE",
        ),
        ("ranker", given("user", "new", "RANKER_UNAVAILABLE", after=1.0, ranked=False), ""),
        (
            "ranker",
            given("user", "new", "RANKER_UNAVAILABLE"),
            "user degraded without need",
        ),
        ("ranker", given("user", "new", "RANKER_UNAVAILABLE", after=61.0), ""),
        (
            "triton",
            given("photo", "popular", "EMBEDDER_UNAVAILABLE", after=66.0),
            "photo degraded without need",
        ),
        (
            "ranker-worker",
            given("user", "popular", "STAGE_DEADLINE", after=1.0),
            "user flagged STAGE_DEADLINE",
        ),
        ("triton", failed("shelf", "EMBEDDER_UNAVAILABLE"), ""),
        ("triton", failed("piece", "INTERNAL"), "piece failed by INTERNAL"),
        ("triton", failed("shelf", "late"), "shelf failed by late"),
        (
            "triton",
            failed("piece", "EMBEDDER_UNAVAILABLE", after=66.0),
            "piece failed without need",
        ),
        ("embedder", failed("shelf", "EMBEDDER_UNAVAILABLE"), "shelf failed without need"),
    ],
)
def test_an_answer_by_less_than_the_best_fallback_is_noticed(
    process: str, answer: Got, broken: str
) -> None:
    assert fault(loss(process), answer) == broken


def verdict(loss: Loss, *answers: Got) -> bool:
    report = Report(lambda _line: None)
    processes.judge(loss, answers, report)
    return report.clean


@pytest.mark.parametrize(("unanswered", "held"), [(0, True), (1, True), (2, False)])
def test_more_than_one_of_a_thousand_unanswered_is_noticed(unanswered: int, held: bool) -> None:
    answers = [given("product", "visual") for _ in range(1_000 - unanswered)]
    errors = [Got("photo", LOST + 1, LOST + 2, "NOTHING_AVAILABLE")] * unanswered
    assert verdict(loss("gateway"), *answers, *errors) is held


def test_failed_calls_of_cameras_are_no_unanswered_shoppers() -> None:
    answers = [given("product", "visual")] * 10 + [failed("shelf", "EMBEDDER_UNAVAILABLE")] * 10
    assert verdict(loss("triton"), *answers)
    assert not verdict(loss("triton"), *answers, failed("shelf", "INTERNAL"))


def test_a_late_recovery_and_a_loss_that_nobody_saw_are_noticed() -> None:
    answer = given("product", "visual")
    assert verdict(loss("milvus", well=BACK + 4.9), answer)
    assert not verdict(loss("milvus", well=BACK + 5.1), answer)
    assert not verdict(loss("milvus"), Got("product", LOST - 2, LOST - 1))


@pytest.mark.parametrize(
    ("kind", "error", "whole", "held"),
    [
        ("event written", "STORE_UNAVAILABLE", 4.9, True),
        ("event written", "STORE_UNAVAILABLE", 5.1, False),
        ("event written", "late", 0.0, False),
        ("photo", "NOTHING_AVAILABLE", 0.0, False),
        ("photo", "empty success", 0.0, False),
        ("photo", "", 0.0, False),
    ],
)
def test_a_lost_database_that_costs_shoppers_their_answer_is_noticed(
    kind: str, error: str, whole: float, held: bool
) -> None:
    """Check each faulty answer; the last one is popular products without a degradation."""
    report = Report(lambda _line: None)
    popular = frozenset({"popular"})
    lost = Got(kind, LOST + 1, LOST + 2, error, branches=popular)
    around = [lost, given("product", "visual")]
    database.judge("killed", 5.0, whole, around, report)
    assert report.clean is held


def test_each_process_of_a_suite_has_its_fallback() -> None:
    """Check that each program of the suite, also a new one, is lost in some scenario."""
    assert {*LEFT} == {*PORTS, ALL}


@pytest.mark.parametrize(("second", "names"), [(False, [ALL]), (True, [ALL, f"{ALL}-2"])])
def test_one_process_on_postgresql_has_the_databases_of_its_services(
    tmp_path: Path, second: bool, names: list[str]
) -> None:
    server = PostgreSQL(tmp_path, tmp_path, {})
    shape = target.set(ALL)
    try:
        programs = replicas._programs(tmp_path, server, second)
    finally:
        target.reset(shape)
    together = [each for each in programs if each.name.startswith(ALL)]
    assert [each.name for each in together] == names
    for each in together:
        for name in ("retriever", "ranker"):
            assert each.environment[f"{name.upper()}_DATABASE_URL"] == server.url(name)
    ports = [port for each in together for port in each.serves.values()]
    assert len({*ports}) == len(ports) == len(names) * len(SERVICES)


def test_only_a_call_while_the_one_process_is_away_may_be_unanswered() -> None:
    failed = Got("photo", LOST + 1, LOST + 2, "GATEWAY_UNREACHABLE")
    whole = given("photo", "visual", after=70.0)
    assert verdict(loss(ALL), failed, whole)
    assert not verdict(loss("gateway"), failed, whole)
    assert not verdict(loss(ALL), replace(failed, began=BACK + 1, ended=BACK + 2), whole)
    late = replace(failed, began=BACK + 1, ended=BACK + 2)
    assert verdict(loss(ALL, well=BACK + 2), late, whole), "found again within the promised time"
    assert not verdict(loss(ALL, well=BACK + 5.1), late, whole)
    back = replace(loss(ALL), how="killed", back=LOST + 5.1, well=LOST + 5.1)
    assert not verdict(back, whole)
    assert verdict(replace(back, back=LOST + 4.9, well=LOST + 4.9), whole)


def answer(**fields: Any) -> Recommendations:
    item = SimpleNamespace(parts=[SimpleNamespace(name="taste")], branches=("visual",))
    facts = {"results": [item], "degradations": [], **fields}
    return cast(Recommendations, SimpleNamespace(**facts))


def test_late_and_empty_answers_are_not_counted_as_answers() -> None:
    assert got("photo", 0.0, 1.0, answer()).whole
    assert got("photo", 0.0, 11.0, answer()).error == "late"
    assert got("event written", 0.0, 11.0, None).error == "late"
    assert got("photo", 0.0, 1.0, answer(results=[])).error == "empty success"
    degraded = answer(degradations=[SimpleNamespace(cause="STAGE_DEADLINE")])
    assert got("photo", 0.0, 1.0, degraded).causes == {"STAGE_DEADLINE"}
    fused = SimpleNamespace(parts=[SimpleNamespace(name="fusion")], branches=("visual",))
    assert not got("photo", 0.0, 1.0, answer(results=[fused])).whole
    assert not got("user", 0.0, 1.0, answer()).whole


def test_one_failed_call_of_a_rolling_restart_is_noticed() -> None:
    for failed, clean in (("", True), ("GATEWAY_UNREACHABLE", False)):
        report = Report(lambda _line: None)
        restarts.judge([given("photo", "visual"), Got("text", 1.0, 2.0, failed)], ["a"], report)
        assert report.clean is clean
    report = Report(lambda _line: None)
    restarts.judge([], ["a"], report)
    assert not report.clean


class Forgetful:
    """Client of a suite that lost some acknowledged writes."""

    def __init__(self, products: dict[str, str], events: set[str]) -> None:
        self.products, self.events = products, events

    async def list_products(self) -> Any:
        for name, title in self.products.items():
            yield SimpleNamespace(product_id=name, title=title)

    async def write_events(self, events: list[Any], batch_size: int) -> Any:
        assert batch_size == 1
        for done, event in enumerate(events, start=1):
            fresh = event.event_id not in self.events
            yield SimpleNamespace(done=done, written_count=int(fresh), failures=())


@pytest.mark.parametrize(
    ("products", "events", "lost"),
    [
        ({"p": "P", "more": "M"}, {"e", "f"}, []),
        ({}, {"e", "f"}, ["p"]),
        ({"p": "another"}, {"e", "f"}, ["p"]),
        ({"p": "P"}, {"e"}, ["f"]),
    ],
)
async def test_a_lost_write_is_noticed(
    products: dict[str, str], events: set[str], lost: list[str]
) -> None:
    written: list[Any] = [SimpleNamespace(event_id=each) for each in ("e", "f")]
    client = cast(SightlineClient, Forgetful(products, events))
    assert await Ledger({"p": "P"}, written).lost(client) == lost


def refusal() -> SightlineError:
    return make(Failure(grpc.StatusCode.UNAVAILABLE, "no", "NOTHING_AVAILABLE"))


async def test_calls_come_at_their_times_and_each_error_is_kept() -> None:
    held, calls = asyncio.Event(), 0

    async def ask() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            await held.wait()
        else:
            raise refusal()

    load = Load({"event written": ask}, {"event written": 200.0})
    async with asyncio.timeout(SECONDS), load.running():
        while calls < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert load.waiting
        held.set()
    assert {each.error for each in load.got} == {"", "NOTHING_AVAILABLE"}
    assert not load.waiting


async def test_a_shop_that_does_not_get_well_is_not_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shop, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(NotMeasured, match="not well"):
        await Load({"photo": lambda: asyncio.sleep(0)}, {"photo": 1.0}).calm(0.0)

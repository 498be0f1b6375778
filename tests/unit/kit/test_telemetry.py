import asyncio
import contextvars
import json
import logging
import urllib.request
from datetime import datetime

import pytest
from prometheus_client import REGISTRY

from servicekit import telemetry, tracing
from servicekit.errors import Code
from servicekit.telemetry import Stage, Stages
from tests.engines import free_port
from tests.fakes.kit_logs import json_logs
from tests.waiting import SECONDS


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nested_stages_have_their_own_start_and_duration() -> None:
    clock = Clock()
    stages = Stages("shop", clock)
    clock.now += 1
    with stages.measure("outer"):
        clock.now += 2
        with stages.measure("inner"):
            clock.now += 3
    assert stages.finished == (Stage("outer", 1, 5), Stage("inner", 3, 3))
    assert stages.elapsed == 6


async def test_stages_side_by_side_overlap() -> None:
    stages = Stages("shop")
    both = asyncio.Barrier(2)

    async def branch(name: str) -> None:
        with stages.measure(name):
            await both.wait()

    await asyncio.gather(branch("left"), branch("right"))
    first, second = stages.finished
    assert {first.name, second.name} == {"left", "right"}
    assert second.start < first.start + first.duration


def test_a_stage_that_fails_is_timed_and_counted() -> None:
    stages = Stages("shop-that-fails")
    with pytest.raises(RuntimeError), stages.measure("explode"):
        raise RuntimeError
    assert [stage.name for stage in stages.finished] == ["explode"]
    labels = {"service": "shop-that-fails", "stage": "explode"}
    assert REGISTRY.get_sample_value("sightline_stage_seconds_count", labels) == 1


def test_a_stage_that_another_process_timed_can_be_taken_down() -> None:
    stages = Stages("shop", Clock())
    stages.record("peer", 0.5, 0.25)
    assert stages.finished == (Stage("peer", 0.5, 0.25),)


@pytest.mark.parametrize(
    "given",
    [None, "", "a b", "x" * 129, "ü", "a\nb", b"raw", "\x7f", 'a"b', "${a}", "a@b", "<a>", "a,b"],
)
def test_a_request_id_that_could_forge_a_log_line_is_replaced(given: str | bytes | None) -> None:
    made = telemetry.accept_request_id(given)
    assert made != given
    assert len(made) == 32
    assert made != telemetry.accept_request_id(given)


def test_a_sound_request_id_is_kept() -> None:
    for given in ("x" * 128, "550e8400-e29b-41d4-a716-446655440000", "shop/7:a.b_c+d="):
        assert telemetry.accept_request_id(given) == given


def test_a_log_line_is_json_with_service_and_request_id(
    capsys: pytest.CaptureFixture[str],
) -> None:
    token = telemetry.request_id.set("r-1")
    try:
        with json_logs():
            telemetry.get_logger().info("sold", bottles=2)
    finally:
        telemetry.request_id.reset(token)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["bottles"], line["level"]) == ("sold", 2, "info")
    assert (line["service"], line["request_id"]) == ("shop", "r-1")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("level", ["info", "warning"])
@pytest.mark.parametrize("traced", [True, False])
def test_the_line_of_a_call_is_what_the_logger_would_log(
    capsys: pytest.CaptureFixture[str], level: str, traced: bool
) -> None:
    def log() -> None:
        telemetry.request_id.set('r-"\\-1')
        if traced:
            tracing.arrived({"traceparent": f"00-{0xABC:032x}-{0xDEF:016x}-01"})
        telemetry.CallLine("shop", "shop.v1.Till/Pay", Code.OK).log(0.25)
        telemetry.get_logger().info("call", method="shop.v1.Till/Pay", code=Code.OK, ms=0.25)

    with json_logs(level):
        contextvars.copy_context().run(log)
    printed = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    if level == "warning":
        assert printed == []
        return
    direct, logged = printed
    assert ("trace_id" in direct) == traced
    assert datetime.fromisoformat(direct.pop("timestamp")) <= datetime.fromisoformat(
        logged.pop("timestamp")
    )
    assert direct == logged


def test_a_traceback_says_where_and_not_what(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        try:
            int("Rue Cachée")
        except ValueError as error:
            raise KeyError("4711") from error

    for log in (telemetry.get_logger(), logging.getLogger("a.library")):
        with json_logs():
            try:
                fail()
            except KeyError:
                log.exception("failed")
        printed = capsys.readouterr().err
        assert "Cachée" not in printed
        assert "4711" not in printed
        exception = json.loads(printed)["exception"]
        assert "builtins.KeyError" in exception
        assert "builtins.ValueError" in exception
        assert any("in test_a_traceback" in place for place in exception)


def test_libraries_are_heard_from_warning_up(capsys: pytest.CaptureFixture[str]) -> None:
    with json_logs():
        logging.getLogger("a.library").info("handles %s", "4711")
        assert capsys.readouterr().err == ""
        logging.getLogger("a.library").warning("slow")
    assert json.loads(capsys.readouterr().err)["event"] == "slow"


def test_an_error_that_causes_itself_is_described_once() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert telemetry.describe(first) == ["builtins.ValueError", "builtins.KeyError"]


@pytest.mark.slow
def test_metrics_are_served_until_stopped() -> None:
    stop = telemetry.serve_metrics(free_port())
    stop()
    port = free_port()
    stop = telemetry.serve_metrics(port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS) as answer:
            assert b"sightline_stage_seconds" in answer.read()
        with pytest.raises(OSError, match="in use"):
            telemetry.serve_metrics(port)
    finally:
        stop()

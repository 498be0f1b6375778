"""The chaos run detects broken promises, and its proxy delays and cuts as configured."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import grpc
import pytest

from servicekit.admission.concurrency import Overloaded
from servicekit.errors import ResourceExhausted
from servicekit.status import DETAILS_KEY, to_status
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.chaos.model import NotMeasured, Report
from tests.chaos.suite import attackers, greedy, overload, proxy, shop
from tests.chaos.suite.crowd import (
    DEADLINE_SECONDS,
    FLAGGED,
    LAG_SECONDS,
    REFUSED,
    WHOLE,
    Got,
    Phase,
    check_pace,
    come,
    goodput,
    outcome,
    p99,
)
from tests.chaos.suite.wire import FRAME, HEADERS, PREFACE, Calls, Wire
from tests.fuzz.model import Verdict


def reported() -> Report:
    return Report(lambda _line: None)


def violated(report: Report) -> list[str]:
    """Return the subjects of the broken promises."""
    assert report.checks
    return [each.name for each in report.checks if each.verdict is not Verdict.HELD]


# What one request came to


async def answered(answer: pb.RecommendResponse) -> pb.RecommendResponse:
    return answer


async def failed(error: Exception) -> pb.RecommendResponse:
    raise error


def rpc_error(error: ResourceExhausted) -> grpc.aio.AioRpcError:
    details = (DETAILS_KEY, to_status(error).SerializeToString())
    return grpc.aio.AioRpcError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.aio.Metadata(), grpc.aio.Metadata(details)
    )


async def test_an_answer_is_whole_flagged_or_nothing() -> None:
    made = pb.RecommendResponse()
    assert await outcome(answered(made)) == "empty success"
    made.results.add()
    assert await outcome(answered(made)) == WHOLE
    made.degradations.add()
    assert await outcome(answered(made)) == FLAGGED


async def test_a_refusal_counts_as_one_when_it_says_when_to_come_again() -> None:
    assert await outcome(failed(rpc_error(Overloaded()))) == REFUSED
    bare = ResourceExhausted("no", reason="SERVICE_OVERLOADED")
    assert await outcome(failed(rpc_error(bare))) == "RESOURCE_EXHAUSTED SERVICE_OVERLOADED"


async def test_arrivals_do_not_wait_for_answers() -> None:
    gate = asyncio.Event()

    async def ask() -> str:
        await gate.wait()
        return WHOLE

    asyncio.get_running_loop().call_later(0.2, gate.set)
    first, second = await come(ask, [Phase(200.0, 0.1), Phase(100.0, 0.1)], random.Random(1))
    assert len(first) > 10 < len(second)
    assert max(each.due for each in first) < min(each.due for each in second)
    assert min(each.ended for each in first) > max(each.due for each in second)


def test_a_program_that_asks_too_late_measures_nothing() -> None:
    late = Got(due=0.0, began=2 * LAG_SECONDS, ended=1.0, outcome=WHOLE)
    check_pace([replace(late, began=0.0)])
    with pytest.raises(NotMeasured, match="late"):
        check_pace([late])


def test_the_99th_percentile_is_one_that_was_measured() -> None:
    assert p99(range(1, 101)) == 99
    assert p99([5.0]) == 5.0


def test_what_is_answered_after_a_phase_is_no_goodput_of_it() -> None:
    got = [Got(0.0, 0.0, ended, WHOLE) for ended in (0.5, 1.5, 2.5)]
    assert goodput([*got, Got(0.0, 0.0, 0.7, FLAGGED)], 0.0, 2.0) == 1.0


# Overload

BEGINS = [sum(each.seconds for each in overload.PHASES[:n]) for n in range(len(overload.PHASES))]
FLOOD, AFTER = 1, 2


def each_phase() -> list[list[Got]]:
    """Return outcomes in which the backends answer their capacity completely at once, and reject
    the rest."""
    made = []
    for begin, phase in zip(BEGINS, overload.PHASES, strict=True):
        whole = int(min(phase.rate, overload.CAPACITY) * phase.seconds)
        rest = int(phase.rate * phase.seconds) - whole
        due = [begin + phase.seconds * n / (whole + 1) for n in range(whole)]
        made.append([Got(at, at, at + 0.001, WHOLE) for at in due])
        made[-1] += [Got(begin, begin, begin + 0.001, REFUSED)] * rest
    return made


def judged(got: Sequence[Sequence[Got]]) -> list[str]:
    report = reported()
    overload.judge(got, 0.0, report)
    return violated(report)


def test_a_good_overload_breaks_no_promise() -> None:
    assert judged(each_phase()) == []


def test_lost_goodput_is_noticed() -> None:
    got = each_phase()
    fifth = len([each for each in got[FLOOD] if each.outcome == WHOLE]) // 5
    got[FLOOD] = [replace(each, outcome=FLAGGED) for each in got[FLOOD][:fifth]] + got[FLOOD][
        fifth:
    ]
    (name,) = judged(got)
    assert "goodput" in name


@pytest.mark.parametrize(
    ("outcome", "seconds"), [(WHOLE, 1.1 * DEADLINE_SECONDS), ("UNAVAILABLE SOMETHING", 0.1)]
)
def test_late_answers_and_errors_of_the_admitted_are_noticed(outcome: str, seconds: float) -> None:
    got, at = each_phase(), BEGINS[FLOOD] + overload.LEARNING_SECONDS
    got[FLOOD] += [Got(at, at, at + seconds, outcome)] * (len(got[FLOOD]) // 10)
    assert any("admitted" in name for name in judged(got))
    early = [replace(each, due=BEGINS[FLOOD]) for each in got[FLOOD][-9:]]
    assert judged([*got[:FLOOD], each_phase()[FLOOD] + early, *got[AFTER:]]) == []


@pytest.mark.parametrize(
    "bad",
    [
        Got(0.0, 0.0, 0.001, "RESOURCE_EXHAUSTED SERVICE_OVERLOADED"),
        Got(0.0, 0.0, 1.0, REFUSED),
    ],
)
def test_slow_and_bare_refusals_are_noticed(bad: Got) -> None:
    got = each_phase()
    got[FLOOD] += [bad] * (len(got[FLOOD]) // 10)
    (name,) = judged(got)
    assert "refused" in name


def test_nobody_refused_is_no_overload() -> None:
    got = each_phase()
    got[FLOOD] = [each for each in got[FLOOD] if each.outcome == WHOLE]
    (name,) = judged(got)
    assert "refused" in name


def test_a_slow_recovery_is_noticed() -> None:
    got = each_phase()
    at = BEGINS[AFTER] + overload.RECOVERY_SECONDS
    got[AFTER].append(Got(at, at, at + 0.1, REFUSED))
    (name,) = judged(got)
    assert "recovered" in name


# Greedy beside calm


def calls(seconds: float, outcome: str = WHOLE) -> list[Got]:
    return [Got(0.0, 0.0, seconds, outcome)] * 100


@pytest.mark.parametrize(
    ("beside", "broken"),
    [
        (calls(0.3), 0),
        (calls(0.31), 1),
        (calls(0.1)[1:] + calls(0.1, REFUSED)[:1], 1),
        ([], 1),
    ],
)
def test_a_calm_catalog_that_waits_or_is_refused_is_noticed(beside: list[Got], broken: int) -> None:
    report = reported()
    greedy.judge_quotas(calls(0.2), beside, report)
    assert len(violated(report)) == broken


@pytest.mark.parametrize(
    ("beside", "broken"),
    [(calls(1.0), 0), (calls(2.1), 1), (calls(0.1, FLAGGED), 1), ([], 1)],
)
def test_without_quotas_the_calm_one_has_to_be_answered_in_time(
    beside: list[Got], broken: int
) -> None:
    report = reported()
    greedy.judge_shares(calls(0.2), beside, report)
    assert len(violated(report)) == broken


@pytest.mark.parametrize(
    ("beside", "broken"),
    [
        (calls(0.4), 0),
        (calls(0.41), 1),
        (calls(0.1)[1:] + calls(0.1, FLAGGED)[:1], 1),
        (calls(0.1)[1:] + calls(0.1, "health UNAVAILABLE")[:1], 1),
        ([], 1),
    ],
)
def test_an_attack_that_others_notice_is_noticed(beside: list[Got], broken: int) -> None:
    report = reported()
    attackers.judge_attack("anything", calls(0.2), beside, report)
    assert len(violated(report)) == broken


# A bad network

USUAL = proxy.Spell(
    [shop.Got("photo", 0.0, 0.1, branches=frozenset({"visual"}))] * 1_000,
    dict.fromkeys(proxy.PEERS, 2_000),
)
ONE = USUAL.got[0]


@pytest.mark.parametrize(
    ("spell", "broken"),
    [
        (USUAL, []),
        (replace(USUAL, got=[replace(ONE, error="INTERNAL"), *USUAL.got[1:]]), []),
        (replace(USUAL, got=[replace(ONE, error="INTERNAL")] * 2 + USUAL.got[2:]), ["answered"]),
        (replace(USUAL, got=[replace(ONE, ended=10.6), *USUAL.got[1:]]), ["answered"]),
        (replace(USUAL, got=[replace(ONE, causes=frozenset({"X"}), ranked=False)] * 9), []),
        (replace(USUAL, got=[replace(ONE, ranked=False), *USUAL.got[1:]]), ["degraded"]),
        (replace(USUAL, got=[replace(ONE, branches=frozenset())] * 1_000), ["degraded"]),
        (replace(USUAL, calls={**USUAL.calls, "ranker": 3_100}), ["storm"]),
    ],
)
def test_broken_budgets_are_noticed(spell: proxy.Spell, broken: list[str]) -> None:
    report = reported()
    scale = len(spell.got) / len(USUAL.got)
    calls = {peer: int(number * scale) for peer, number in spell.calls.items()}
    proxy.judge("bad", replace(spell, calls=calls), USUAL, report)
    promises = ("answered", "degraded", "storm")
    assert [p for p in promises if any(p in name for name in violated(report))] == broken


def test_nothing_asked_is_no_promise_kept() -> None:
    report = reported()
    proxy.judge("bad", replace(USUAL, got=[]), USUAL, report)
    assert len(violated(report)) == 3


HELLO = b"P" * PREFACE
CALL = bytes(3) + bytes([HEADERS]) + bytes(FRAME - 4)
DATA = (5).to_bytes(3) + bytes(FRAME - 3) + b"\x01" * 5


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_calls_are_counted_however_their_bytes_come(size: int) -> None:
    sent, counting = HELLO + CALL + DATA + CALL + DATA, Calls()
    chunks = [sent[at : at + size] for at in range(0, len(sent), size)]
    assert sum(map(counting.begun, chunks)) == 2


@contextlib.asynccontextmanager
async def echo(wire: Wire) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection through the proxy to an echo server."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1_000):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    wire.target = server.sockets[0].getsockname()[1]
    async with server, wire.listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def test_the_wire_delays_each_way_and_keeps_the_order() -> None:
    wire = Wire(0, random.Random(1), delay=0.1)
    async with echo(wire) as (reader, writer):
        began = time.monotonic()
        writer.write(b"first")
        await reader.readexactly(1)
        assert time.monotonic() - began >= 0.2
        wire.delay = 0.5
        writer.write(b"second")
        await asyncio.sleep(0.1)
        wire.delay = 0.0
        writer.write(b"third")
        assert await reader.readexactly(15) == b"irstsecondthird"


async def test_the_wire_cuts_the_connection_of_a_call_and_of_no_other_bytes() -> None:
    wire = Wire(0, random.Random(1), cut=1.0)
    async with echo(wire) as (reader, writer):
        writer.write(HELLO + DATA)
        assert await reader.readexactly(PREFACE + len(DATA)) == HELLO + DATA
        assert (wire.calls, wire.cuts) == (0, 0)
        writer.write(CALL)
        with contextlib.suppress(OSError):
            while await reader.read(1_000):
                pass
        assert (wire.calls, wire.cuts) == (1, 1)


async def test_the_wire_cuts_the_share_of_calls_that_it_is_given() -> None:
    wire = Wire(0, random.Random(1), cut=0.05)
    wire._watching(lambda: None)(HELLO + CALL * 10_000)
    assert wire.calls == 10_000
    assert 400 < wire.cuts < 600

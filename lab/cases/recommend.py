"""Recommend with a photo, a product and a user: end to end and per stage, at 1 and 8 clients.

The catalogs are those of the bench `monolith`. Closed loop on the machine that also runs the
suite: load generator and services share its cores. Rounds of all cases are interleaved, so that a
slow minute hits every case alike; a round before them warms up. No photo is sent twice.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.cases.monolith import cases as catalogs
from bench.cases.monolith import clothing
from bench.cases.monolith.asking import PAGE_SIZE, PHOTO, PRODUCT, USER, LoadQuestion, Questions
from bench.cases.monolith.filled import Filling, filled
from bench.harness.load import closed_loop
from bench.harness.model import BenchResult, BenchTable, Interval
from bench.harness.statistics import percentile
from local_suite.suite import Suite
from sightline.gateway.v1.recommendation_service_pb2 import RecommendResponse

Say: TypeAlias = Callable[[str], None]

CLIENTS = (1, 8)
ROUNDS = 5
FLOOR = "empty call"
KINDS = (PHOTO, PRODUCT, USER)
A_ROUND = {1: 60, 8: 200}
"""Requests of each kind per round, by number of clients; several times as many empty calls."""
FLOOR_FACTOR = 5
_TIMEOUT = 30.0


@dataclass(slots=True)
class RequestCase:
    """One kind of request at one number of clients."""

    catalog: str
    kind: str
    clients: int
    latencies: list[float] = field(default_factory=list)
    """Milliseconds, as the caller saw them."""
    stages: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds by stage, by the gateway's clock; durations of a stage that ran twice in a
    request are summed.
    """
    seconds: float = 0.0
    degraded: Counter[str] = field(default_factory=Counter)
    """Causes of degradations, each counted once per answer."""


def run(say: Say) -> BenchResult:
    """Measure each catalog in a suite of its own."""
    made = catalogs.made_filling()
    measured = _measured(catalogs.MADE, made, (), say)
    missing: tuple[str, ...] = ()
    root, files = clothing.here()
    if files:
        filling = clothing.filling(root, files)
        measured = [
            *_measured(catalogs.CLOTHING, filling, clothing.asked(files), say),
            *measured,
        ]
    else:
        missing = (f"{catalogs.CLOTHING}: NOT MEASURED, no photos in $SIGHTLINE_DATA/clothing",)
    return result(measured, missing)


def _measured(
    catalog: str, filling: Filling, photos: Sequence[bytes], say: Say
) -> list[RequestCase]:
    with filled(filling, say) as (suite, facts):
        questions = Questions(facts.products, facts.users, photos)
        return asyncio.run(_measure(catalog, suite, questions, say))


async def _measure(catalog: str, suite: Suite, questions: Questions, say: Say) -> list[RequestCase]:
    kinds = (FLOOR, *(kind for kind in KINDS if kind in questions.kinds()))
    asked = {kind: questions.endless(kind) for kind in kinds if kind != FLOOR}
    cases = [RequestCase(catalog, kind, clients) for clients in CLIENTS for kind in kinds]
    async with grpc.aio.insecure_channel(suite.addresses()["gateway"]) as channel:
        for number in range(ROUNDS + 1):
            say(f"{catalog}: round {number} of {ROUNDS}" if number else f"{catalog}: warming up")
            for case in cases:
                await _round(case, channel, asked, keep=number > 0)
    return cases


async def _round(
    case: RequestCase,
    channel: grpc.aio.Channel,
    asked: Mapping[str, Iterator[LoadQuestion]],
    *,
    keep: bool,
) -> None:
    count = A_ROUND[case.clients]
    if case.kind == FLOOR:
        health = health_pb2_grpc.HealthStub(channel)
        checks = [health_pb2.HealthCheckRequest()] * (count * FLOOR_FACTOR)

        def check(request: health_pb2.HealthCheckRequest) -> Awaitable[object]:
            answer: Awaitable[object] = health.Check(request, timeout=_TIMEOUT)
            return answer

        empty, seconds = await closed_loop(checks, case.clients, check)
        if keep:
            case.latencies += [timed.seconds * 1e3 for timed in empty]
            case.seconds += seconds
        return
    questions = await asyncio.to_thread(lambda: list(islice(asked[case.kind], count)))

    async def ask(question: LoadQuestion) -> RecommendResponse:
        call = channel.unary_unary(question.method, None, RecommendResponse.FromString)
        answer: RecommendResponse = await call(question.message, timeout=_TIMEOUT)
        return answer

    done, seconds = await closed_loop(questions, case.clients, ask)
    if keep:
        case.seconds += seconds
        for timed in done:
            case.latencies.append(timed.seconds * 1e3)
            note(case, timed.answer)


def note(case: RequestCase, answer: RecommendResponse) -> None:
    """Add an answer's stages and degradations to its case."""
    stages: dict[str, float] = defaultdict(float)
    for timing in answer.stage_timings:
        stages[timing.stage] += timing.total.ToMicroseconds() / 1e3
    for stage, milliseconds in stages.items():
        case.stages[stage].append(milliseconds)
    causes = {type(loss).Cause.Name(loss.cause) for loss in answer.degradations}
    case.degraded.update(causes)


def result(cases: Sequence[RequestCase], missing: Sequence[str] = ()) -> BenchResult:
    """Return tables and figures of the measured cases. `missing`: cases that were not measured,
    with the reason.
    """
    floors = {
        (case.catalog, case.clients): percentile(case.latencies, 0.5)
        for case in cases
        if case.kind == FLOOR
    }
    degraded = {
        f"{case.catalog}, {case.kind} at {case.clients}": dict(case.degraded)
        for case in cases
        if case.degraded
    }
    warnings = [f"degraded answers, {name}: {causes}" for name, causes in degraded.items()]
    return BenchResult(
        tables=(_end_to_end(cases, floors), _per_stage(cases)),
        figures={
            "settings": {
                "rounds": ROUNDS,
                "requests_a_round": {str(clients): count for clients, count in A_ROUND.items()},
                "page_size": PAGE_SIZE,
            },
            "cases": [_figures(case, floors[case.catalog, case.clients]) for case in cases],
        },
        warnings=(*missing, *warnings),
    )


def _end_to_end(
    cases: Sequence[RequestCase], floors: Mapping[tuple[str, int], Interval]
) -> BenchTable:
    rows = []
    for case in cases:
        median, tail = percentile(case.latencies, 0.5), percentile(case.latencies, 0.99)
        rows.append(
            (
                case.catalog,
                case.kind,
                str(case.clients),
                str(len(case.latencies)),
                _with_interval(median),
                _with_interval(tail),
                f"{len(case.latencies) / case.seconds:.0f}",
                f"{median.value / floors[case.catalog, case.clients].value:.1f}",
            )
        )
    return BenchTable(
        title="Recommend, end to end",
        headers=(
            *("catalog", "request", "clients", "n"),
            *("p50 ms", "p99 ms", "requests/s", "p50 ÷ empty call"),
        ),
        rows=tuple(rows),
        caption="As the caller sees it, with the 95% interval; clients send the next request as"
        " soon as they have an answer. Empty call: a gRPC health check of the gateway in the same"
        " rounds, the minimum of any call here. Load generator and suite share this machine.",
        section=1,
    )


def _per_stage(cases: Sequence[RequestCase]) -> BenchTable:
    rows = []
    for case in cases:
        for stage, values in sorted(case.stages.items()):
            median, tail = percentile(values, 0.5), percentile(values, 0.99)
            rows.append(
                (
                    case.catalog,
                    case.kind,
                    str(case.clients),
                    stage,
                    str(len(values)),
                    _with_interval(median),
                    _with_interval(tail),
                )
            )
    return BenchTable(
        title="Recommend, per stage",
        headers=("catalog", "request", "clients", "stage", "n", "p50 ms", "p99 ms"),
        rows=tuple(rows),
        caption="By the gateway's clock, including network and queue of the called service; stages"
        " may run in parallel. Durations of a stage that ran twice in a request are summed.",
    )


def _figures(case: RequestCase, floor: Interval) -> dict[str, object]:
    median = percentile(case.latencies, 0.5)
    return {
        "catalog": case.catalog,
        "kind": case.kind,
        "clients": case.clients,
        "count": len(case.latencies),
        "p50_ms": asdict(median),
        "p99_ms": asdict(percentile(case.latencies, 0.99)),
        "requests_per_second": len(case.latencies) / case.seconds,
        "p50_over_empty_call": median.value / floor.value,
        "degraded": dict(case.degraded),
        "stages": {
            stage: {
                "count": len(values),
                "p50_ms": asdict(percentile(values, 0.5)),
                "p99_ms": asdict(percentile(values, 0.99)),
            }
            for stage, values in sorted(case.stages.items())
        },
    }


def _with_interval(value: Interval) -> str:
    return f"{value.value:.1f} ({value.low:.1f}–{value.high:.1f})"

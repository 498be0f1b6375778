"""Recommend with a photo, a product and a user: end to end and per stage, at 1 and 8 clients.

Closed loop on the machine that also runs the suite: load generator and services share its cores.
Rounds of all cases are interleaved, so that a slow minute hits every case alike; a round before
them warms up. No photo is sent twice.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.load import closed_loop
from bench.model import Interval, Result, Table
from bench.statistics import percentile
from examples.wines import loading, transforms
from examples.wines.catalogue import Rating, Wine, load_ratings, load_wines
from examples.wines.local import own_suite
from sightline.gateway.v1.recommendation_service_pb2 import RecommendRequest, RecommendResponse
from sightline_client import SightlineClient, requests

Say: TypeAlias = Callable[[str], None]

SEED = 11
CLIENTS = (1, 8)
ROUNDS = 5
FLOOR = "empty call"
KINDS = (FLOOR, "photo", "product", "user")
A_ROUND = {1: 60, 8: 200}
"""Requests of each kind in a round, by clients; of empty calls several times as many."""
FLOOR_FACTOR = 5
PAGE_SIZE = 10
_TIMEOUT = 30.0


@dataclass(slots=True)
class Case:
    """One kind of request at one number of clients."""

    kind: str
    clients: int
    latencies: list[float] = field(default_factory=list)
    """Milliseconds, as the caller saw them."""
    stages: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds by the gateway's clock; a stage that ran twice in a request is added up."""
    seconds: float = 0.0
    degraded: Counter[str] = field(default_factory=Counter)
    """Causes of losses, each counted once per answer."""


def run(say: Say) -> Result:
    """Starts a suite, fills it, measures, stops it."""
    with own_suite(say) as suite:
        return asyncio.run(_measure(suite.addresses()["gateway"], say))


async def _measure(target: str, say: Say) -> Result:
    wines, ratings = load_wines(), load_ratings()
    async with SightlineClient(target, timeout=_TIMEOUT) as client, _channel(target) as channel:
        say("loading 100 wines and 1,000 ratings, training")
        await _fill(client, wines, ratings)
        health = health_pb2_grpc.HealthStub(channel)
        source = Source(wines, ratings)
        cases = [Case(kind, clients) for clients in CLIENTS for kind in KINDS]
        for number in range(ROUNDS + 1):
            say(f"round {number} of {ROUNDS}" if number else "warming up")
            for case in cases:
                await _round(case, client, health, source, keep=number > 0)
    return result(cases)


async def _fill(client: SightlineClient, wines: Sequence[Wine], ratings: Sequence[Rating]) -> None:
    await loading.import_wines(client, wines)
    await loading.wait_indexed(client, len(wines))
    await loading.import_ratings(client, ratings)
    await loading.promote(client, await loading.train(client))


class Source:
    """Requests without end: photos that were never sent before, products and users in turn."""

    def __init__(self, wines: Sequence[Wine], ratings: Sequence[Rating]) -> None:
        self._wines = wines
        self._users = sorted({rating.user_id for rating in ratings})
        self._next: Counter[str] = Counter()

    def take(self, kind: str, count: int) -> list[RecommendRequest]:
        """The next requests of a kind."""
        return [self._make(kind, place) for place in self._places(kind, count)]

    def _places(self, kind: str, count: int) -> Iterator[int]:
        first = self._next[kind]
        self._next[kind] += count
        return iter(range(first, first + count))

    def _make(self, kind: str, place: int) -> RecommendRequest:
        wine = self._wines[place % len(self._wines)]
        if kind == "photo":
            photo = transforms.apply(
                wine.image.read_bytes(), *transforms.ALL, seed=SEED, key=f"{wine.id}/{place}"
            )
            return requests.recommend(images=[photo], page_size=PAGE_SIZE)
        if kind == "product":
            return requests.recommend(products=wine.id, page_size=PAGE_SIZE)
        user = self._users[place % len(self._users)]
        return requests.recommend(user=user, page_size=PAGE_SIZE)


async def _round(
    case: Case,
    client: SightlineClient,
    health: health_pb2_grpc.HealthStub,
    source: Source,
    *,
    keep: bool,
) -> None:
    count = A_ROUND[case.clients]
    if case.kind == FLOOR:
        checks = [health_pb2.HealthCheckRequest()] * (count * FLOOR_FACTOR)

        def check(request: health_pb2.HealthCheckRequest) -> Awaitable[object]:
            answer: Awaitable[object] = health.Check(request, timeout=_TIMEOUT)
            return answer

        empty, seconds = await closed_loop(checks, case.clients, check)
        if keep:
            case.latencies += [timed.seconds * 1e3 for timed in empty]
            case.seconds += seconds
        return
    asked = await asyncio.to_thread(source.take, case.kind, count)

    async def ask(request: RecommendRequest) -> RecommendResponse:
        return await client.calls.recommend(request, _TIMEOUT)

    done, seconds = await closed_loop(asked, case.clients, ask)
    if keep:
        case.seconds += seconds
        for timed in done:
            case.latencies.append(timed.seconds * 1e3)
            note(case, timed.answer)


def note(case: Case, answer: RecommendResponse) -> None:
    """Adds an answer's stages and losses to its case."""
    stages: dict[str, float] = defaultdict(float)
    for timing in answer.stage_timings:
        stages[timing.stage] += timing.total.ToMicroseconds() / 1e3
    for stage, milliseconds in stages.items():
        case.stages[stage].append(milliseconds)
    causes = {type(loss).Cause.Name(loss.cause) for loss in answer.degradations}
    case.degraded.update(causes)


def result(cases: Sequence[Case]) -> Result:
    """Tables and figures of the measured cases."""
    floors = {case.clients: percentile(case.latencies, 0.5) for case in cases if case.kind == FLOOR}
    degraded = {
        f"{case.kind} at {case.clients}": dict(case.degraded) for case in cases if case.degraded
    }
    warnings = [f"degraded answers, {name}: {causes}" for name, causes in degraded.items()]
    return Result(
        tables=(_end_to_end(cases, floors), _per_stage(cases)),
        figures={
            "settings": {
                "seed": SEED,
                "rounds": ROUNDS,
                "requests_a_round": {str(clients): count for clients, count in A_ROUND.items()},
                "page_size": PAGE_SIZE,
                "products": 100,
            },
            "cases": [_figures(case, floors[case.clients]) for case in cases],
        },
        warnings=tuple(warnings),
    )


def _end_to_end(cases: Sequence[Case], floors: dict[int, Interval]) -> Table:
    rows = []
    for case in cases:
        median, tail = percentile(case.latencies, 0.5), percentile(case.latencies, 0.99)
        rows.append(
            (
                case.kind,
                str(case.clients),
                str(len(case.latencies)),
                _with_interval(median),
                _with_interval(tail),
                f"{len(case.latencies) / case.seconds:.0f}",
                f"{median.value / floors[case.clients].value:.1f}",
            )
        )
    return Table(
        title="Recommend, end to end",
        headers=("request", "clients", "n", "p50 ms", "p99 ms", "requests/s", "p50 ÷ empty call"),
        rows=tuple(rows),
        caption="As the caller sees it, with the 95% interval; clients send the next request as"
        " soon as they have an answer. Empty call: a gRPC health check of the gateway in the same"
        " rounds, what any call costs here at least. Load generator and suite share this machine.",
        section=1,
    )


def _per_stage(cases: Sequence[Case]) -> Table:
    rows = []
    for case in cases:
        for stage, values in sorted(case.stages.items()):
            median, tail = percentile(values, 0.5), percentile(values, 0.99)
            rows.append(
                (
                    case.kind,
                    str(case.clients),
                    stage,
                    str(len(values)),
                    _with_interval(median),
                    _with_interval(tail),
                )
            )
    return Table(
        title="Recommend, per stage",
        headers=("request", "clients", "stage", "n", "p50 ms", "p99 ms"),
        rows=tuple(rows),
        caption="By the gateway's clock, wire and queue of the service asked included; stages may"
        " run side by side. A stage that ran twice in a request is added up.",
    )


def _figures(case: Case, floor: Interval) -> dict[str, object]:
    median = percentile(case.latencies, 0.5)
    return {
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


def _channel(target: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(target)

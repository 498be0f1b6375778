"""Cost of controls, experiments and the snapshot: processor time of an answer, on ÷ off.

One suite has the catalog and several gateways before the same services: one for each feature, and
one without any. They get the same requests in alternation, for a known shopper, as only shoppers
have arms. Refreshing the snapshot is no part of an answer: its processor time is measured at rest,
and divided by the number of answers between two refreshes.
"""

import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from itertools import cycle
from pathlib import Path
from typing import TypeAlias

import grpc
import uvloop

import gateway.state.scenes
from bench.cases.monolith import clothing, contenders, load, metrics
from bench.cases.monolith.asking import PRODUCT, USER, WORDS, LoadQuestion, Questions
from bench.cases.monolith.contenders import SUITE, AnswerContender
from bench.cases.monolith.filled import Filling, filled
from bench.cases.monolith.load import Cells, LoadPlan
from bench.cases.monolith.tables import figure
from bench.harness import processes
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import median_ratio, percentile
from gateway.settings import GatewaySettings
from gateway.state.scenes import DEFAULT
from local_suite.health import grpc_serving
from local_suite.model import Program
from local_suite.processes import marked
from local_suite.suite import Suite
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from tests.engines import free_port

Say: TypeAlias = Callable[[str], None]

CONTROLS, EXPERIMENTS, SNAPSHOT = "controls", "experiments", "snapshot"
WAYS: Mapping[str, str] = {
    CONTROLS: "controls (a pin, a boost by filter, an exclusion)",
    EXPERIMENTS: "experiments (two layers, a known shopper)",
    SNAPSHOT: "the snapshot",
}
OFTEN = "gateway-often"
"""Settings of a gateway that reads its snapshot each second and gets no requests."""
KINDS = (PRODUCT, USER)
CALLERS, ROUNDS, LONGER, SECONDS = 8, 24, 60, 0.4
REST_SECONDS = 5.0
TIMES = 1.05
READS = "sightline_gateway_snapshot_reads_total"
CONTROL_FILES = """
[[controls]]
name = "hero"
kind = "pin"
product_ids = ["{pinned}"]
place = 1
[[controls]]
name = "season"
kind = "boost"
filter = 'category = "{category}"'
boost = 0.1
[[controls]]
name = "recalled"
kind = "exclude"
product_ids = ["{excluded}"]
"""
EXPERIMENT_FILE = """
scenes = ["{scene}"]
layer = "{scene}"
start = 2026-01-01T00:00:00Z
metric = "click_rate"
[[arms]]
name = "control"
share = 0.5
[[arms]]
name = "same"
share = 0.5
"""


@dataclass(frozen=True, slots=True)
class Beside(Filling):
    """A filling whose suite has several gateways."""

    ids: Sequence[str] = ()
    """Products, by their categories' folders."""

    def programs(self, data: Path, target: str = "apart") -> list[Program]:
        """Return the programs of a filling; its plain gateway has no snapshot."""
        found = list[Program]()
        for program in Filling.programs(self, data, target):
            if program.name != "gateway":
                found.append(program)
                continue
            plain = {**program.environment, "GATEWAY_SNAPSHOT_SECONDS": "0"}
            found.append(replace(program, environment=plain))
            settings = self._settings(data / "bench")
            found += [_gateway(program, name, {**plain, **settings[name]}) for name in settings]
        return found

    def _settings(self, folder: Path) -> Mapping[str, Mapping[str, str]]:
        """Return the settings of the other gateways by name."""
        scenes, experiments = folder / "scenes", folder / "experiments"
        pinned, excluded = self.ids[:2]
        category = " > ".join(pinned.split("/")[:-1])
        controls = CONTROL_FILES.format(pinned=pinned, excluded=excluded, category=category)
        shipped = resources.files(gateway.state.scenes).joinpath(f"{DEFAULT}.toml").read_text()
        _write(scenes / f"{DEFAULT}.toml", shipped + controls)
        for scene in (DEFAULT, "similar"):
            _write(experiments / f"{scene}.toml", EXPERIMENT_FILE.format(scene=scene))
        every = str(GatewaySettings.model_fields["snapshot_seconds"].default)
        return {
            CONTROLS: {"GATEWAY_SCENES_FOLDER": str(scenes)},
            EXPERIMENTS: {"GATEWAY_EXPERIMENTS_FOLDER": str(experiments)},
            SNAPSHOT: {"GATEWAY_SNAPSHOT_SECONDS": every},
            OFTEN: {"GATEWAY_SNAPSHOT_SECONDS": "1"},
        }


class OfShoppers(Questions):
    """Requests of `Questions`, each for a shopper."""

    def endless(self, kind: str) -> Iterator[LoadQuestion]:
        """See Questions."""
        for user, question in zip(cycle(self.users), super().endless(kind), strict=False):
            asked = rec.RecommendRequest.FromString(question.message)
            asked.shopper.user_id = asked.shopper.user_id or user
            yield replace(question, message=asked.SerializeToString())


def run(say: Say) -> BenchResult:
    """Start all gateways and send requests to them in alternation."""
    return _run(ROUNDS, say)


def full(say: Say) -> BenchResult:
    """Measure in more rounds."""
    return _run(LONGER, say)


def _run(rounds: int, say: Say) -> BenchResult:
    root, files = clothing.here()
    if not files:
        return result({})
    plain = clothing.filling(root, files)
    ids = [str(path.relative_to(root)) for path in files]
    with filled(Beside(plain.name, plain.fill, ids=ids), say) as (suite, facts):
        say("the cost of reading the snapshot")
        reading = _reading(suite)
        questions = OfShoppers(facts.products, facts.users)
        plan = LoadPlan(questions, (CALLERS,), rounds, SECONDS, KINDS)
        with _paused(suite, OFTEN):
            return result(uvloop.run(_asked(suite, plan, say)), reading)


def _gateway(program: Program, name: str, environment: Mapping[str, str]) -> Program:
    """Return another gateway, of that name and on ports of its own."""
    ports = {purpose: free_port() for purpose in program.ports}
    named = {
        "GATEWAY_PORT": str(ports["grpc"]),
        "GATEWAY_METRICS_PORT": str(ports["metrics"]),
        "GATEWAY_SNAPSHOTS": f"{environment['GATEWAY_SNAPSHOTS']}-{name}",
    }
    healthy = grpc_serving(ports["grpc"], "sightline.gateway.v1.RecommendationService")
    return replace(
        program, name=name, ports=ports, environment={**environment, **named}, healthy=healthy
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@contextmanager
def _paused(suite: Suite, program: str) -> Iterator[None]:
    suite.kill(program, signal.SIGSTOP)
    try:
        yield
    finally:
        suite.kill(program, signal.SIGCONT)


def _reading(suite: Suite) -> float:
    """Return the processor milliseconds of all processes for reading a snapshot once."""
    spent = _spending(suite, OFTEN)
    before = metrics.total(suite, OFTEN, READS) or 0.0
    busy = _at_rest(spent)
    reads = (metrics.total(suite, OFTEN, READS) or 0.0) - before
    with _paused(suite, OFTEN):
        idle = _at_rest(spent)
    return 1e3 * max(busy - idle, 0.0) / max(reads, 1.0)


def _at_rest(spent: Callable[[], Mapping[str, float]]) -> float:
    before = sum(spent().values())
    time.sleep(REST_SECONDS)
    return sum(spent().values()) - before


def _spending(suite: Suite, name: str) -> Callable[[], Mapping[str, float]]:
    """Return a reader of the processor time of all processes except the other gateways."""
    others = {SUITE, *WAYS, OFTEN} - {name}
    left_out = {"gateway" if each == SUITE else each for each in others}
    named = {each.pid: each.name for each in suite.status() if each.pid}
    gone = {pid for pid, program in named.items() if program in left_out}
    kept = {pid: program for pid, program in named.items() if pid not in gone}
    return partial(processes.spent, kept, set(marked(suite.layout.data)) - gone)


@asynccontextmanager
async def _contender(suite: Suite, name: str) -> AsyncIterator[AnswerContender]:
    target = suite.addresses()["gateway" if name == SUITE else name]
    async with grpc.aio.insecure_channel(target) as channel:
        call = contenders.by_channel(channel)
        yield AnswerContender(name, call, _spending(suite, name), contenders.wrong_message)


async def _asked(suite: Suite, plan: LoadPlan, say: Say) -> Cells:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        found = [await enter(_contender(suite, name)) for name in (SUITE, *WAYS)]
        return await load.rounds(found, plan, say)


def result(cells: Cells, reading: float = 0.0) -> BenchResult:
    """Return the result. `reading`: the milliseconds of reading a snapshot once."""
    seconds = GatewaySettings.model_fields["snapshot_seconds"].default
    costs = {
        (name, kind): [
            cost + (reading / (seconds * rate) if name == SNAPSHOT else 0.0)
            for cost, rate in zip(cell.costs, cell.rates, strict=True)
        ]
        for (name, kind, _), cell in cells.items()
    }
    goals = [
        Goal(
            f"processor time of an answer with {words} ÷ without, {CALLERS} callers",
            TIMES,
            "×",
            _times(costs, name),
            missing="there are no photos in $SIGHTLINE_DATA/clothing",
        )
        for name, words in WAYS.items()
    ]
    rows = tuple(
        (
            WORDS[kind],
            name,
            figure(percentile(each, 0.5)),
            ", ".join(f"{n} × {what}" for what, n in cells[name, kind, CALLERS].wrong.items()),
        )
        for (name, kind), each in costs.items()
    )
    table = BenchTable(
        "Controls, experiments, snapshot",
        ("request, for a shopper", "gateway", "processor ms", "wrong"),
        rows,
        "Processor time of all processes for an answer, medians of alternating rounds with their"
        f" 95% intervals; 3,068 photos of clothing. Reading a snapshot takes {reading:.0f} ms,"
        f" every {seconds:g} s.",
    )
    figures = {"costs": {"/".join(key): each for key, each in costs.items()}, "reading_ms": reading}
    return BenchResult((table,) if rows else (), figures, goals)


def _times(costs: Mapping[tuple[str, str], Sequence[float]], name: str) -> Interval | None:
    """Return the median ratio, round by round, of one answer of each kind to those without.

    None when it was not measured.
    """
    ways = [[costs.get((way, kind), []) for kind in KINDS] for way in (name, SUITE)]
    mine, theirs = ([sum(each) for each in zip(*way, strict=True)] for way in ways)
    ratios = [one / other for one, other in zip(mine, theirs, strict=True)]
    return median_ratio(ratios, [1.0] * len(ratios)) if ratios else None

"""Cost of authentication, encryption, quotas and traces: processor time of an answer.

Two suites hold the same catalog: one as `make up` starts it, and one in which callers have keys and
quotas, callers and services use TLS and authenticate by key and certificate, and each call is part
of a trace. A third suite is the last release (RELEASE= names another commit) with its safeguards:
limits on a request's work must not slow ordinary requests. All get the same requests in
alternation.
"""

import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import uvloop

from bench.cases.monolith import clothing, contenders, load
from bench.cases.monolith.asking import PRODUCT, SEARCH, USER, WORDS, Questions
from bench.cases.monolith.contenders import SUITE, AnswerContender
from bench.cases.monolith.filled import Filling, another, filled
from bench.cases.monolith.load import Cells, LoadPlan, over
from bench.cases.releases import told
from bench.harness import processes
from bench.harness.machine import ROOT
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import median_ratio
from local_suite.health import grpc_serving
from local_suite.model import Program
from local_suite.processes import marked
from local_suite.suite import Suite
from servicekit.admission.quotas import QuotaKind
from sightline_client.cli.work.keys import CallerKey, new_token
from tests import certificates, peers
from tests.chaos.model import NotMeasured
from tests.engines import free_port
from tests.mixed.releases import last, made

Say: TypeAlias = Callable[[str], None]

GUARDED = "with all safeguards"
KINDS = (PRODUCT, USER, SEARCH)
CALLERS = (1, 8)
MANY = 8
ROUNDS, SHORTER = 25, 9
TIMES = 1.15
"""Maximum ratio of processor time with all safeguards to that without."""
MEASURED = "processor time with authentication, TLS, quotas and traces ÷ without"
SINCE = 1.03
"""Maximum ratio of processor time with all safeguards to that of the last release with its own."""
BEFORE = "the last release with its safeguards"
SINCE_MEASURED = "processor time with all safeguards ÷ the last release with its own"
SERVED = ROOT / "lab/peers/safeguarded.py"
SERVICES = ("gateway", "embedder", "retriever", "ranker")
PLENTY = "1000000"
"""A quota that is counted and never exhausted."""
TRACE = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


@dataclass(frozen=True, slots=True)
class Safe:
    """Files of keys, certificates and tokens."""

    folder: Path
    token: str

    @classmethod
    def made(cls, folder: Path) -> "Safe":
        """Make new keys, certificates and a token in a folder."""
        authority = certificates.authority()
        certificates.write(folder / "tls", authority, "localhost")
        peers.write_certificates(folder, authority)
        peers.write_keys(folder, peers.drawn())
        (folder / "tokens.keys").write_text(secrets.token_hex(32))
        token = new_token()
        (folder / "keys.toml").write_text(CallerKey("bench", ["read"], ["*"]).entry(token))
        return cls(folder, token)

    def programs(self, programs: list[Program]) -> list[Program]:
        """Return the programs with all safeguards on."""
        return [self._guarded(each) for each in programs]

    def _guarded(self, program: Program) -> Program:
        owner = program.name.removesuffix("-worker")
        if owner not in SERVICES:
            return program
        prefix = owner.upper()
        added = peers.settings(self.folder, program.name)
        if owner == "gateway":
            added |= self._of_the_gateway()
        if program.name in SERVICES:
            port = free_port()
            added[f"{prefix}_PROBE_PORT"] = str(port)
            program = replace(program, healthy=grpc_serving(port))
        return replace(program, environment={**program.environment, **added})

    def _of_the_gateway(self) -> Mapping[str, str]:
        return {
            "GATEWAY_TLS_FOLDER": str(self.folder / "tls"),
            "GATEWAY_KEYS_FILE": str(self.folder / "keys.toml"),
            "GATEWAY_TOKEN_KEYS_FILE": str(self.folder / "tokens.keys"),
            **{f"GATEWAY_QUOTA_{kind.upper()}": PLENTY for kind in QuotaKind},
        }

    @asynccontextmanager
    async def contender(self, suite: Suite) -> AsyncIterator[AnswerContender]:
        """Yield the guarded suite as a contender that sends a token and a trace."""
        authority = (self.folder / "tls" / "ca.crt").read_bytes()
        address = suite.addresses()["gateway"]
        async with _safely(address, authority, self.token) as call:
            yield AnswerContender(
                GUARDED, call, contenders.spending(suite), contenders.wrong_message
            )


@asynccontextmanager
async def _safely(address: str, authority: bytes, token: str) -> AsyncIterator[contenders.Call]:
    """Yield a call to a guarded gateway, with a token and a trace."""
    who = (("authorization", f"Bearer {token}"), TRACE)
    credentials = grpc.ssl_channel_credentials(authority)
    async with grpc.aio.secure_channel(address, credentials) as channel:
        yield contenders.by_channel(channel, who)


@asynccontextmanager
async def _of_before(told: Mapping[str, Any]) -> AsyncIterator[AnswerContender]:
    """Yield the last release's guarded suite as a contender."""
    programs = {pid: name for name, pid in told["programs"].items()}
    spent = partial(processes.spent, programs, marked(Path(told["data"])))
    async with _safely(told["gateway"], told["authority"].encode(), told["token"]) as call:
        yield AnswerContender(BEFORE, call, spent, contenders.wrong_message)


@contextmanager
def _both(filling: Filling, say: Say) -> Iterator[tuple[Suite, Suite, Safe, Questions]]:
    with (
        tempfile.TemporaryDirectory(prefix="sightline-safe-") as name,
        filled(filling, say) as (plain, facts),
    ):
        safe = Safe.made(Path(name))
        with another(filling, lambda data: safe.programs(filling.programs(data))) as guarded:
            yield plain, guarded, safe, Questions(facts.products, facts.users)


def run(say: Say) -> BenchResult:
    """Start both, and measure them in alternation with the same number of callers."""
    return _run((MANY,), SHORTER, say)


def full(say: Say) -> BenchResult:
    """Measure with one caller too, in more rounds."""
    return _run(CALLERS, ROUNDS, say)


def _run(callers: Sequence[int], rounds: int, say: Say) -> BenchResult:
    root, files = clothing.here()
    if not files:
        return result({}, callers)
    with ExitStack() as running:
        before, missing = None, ""
        try:
            release = last(named=os.environ.get("RELEASE", ""))
            say(f"{release}: environment and engines")
            folder = made(release, target="setup")
            before = running.enter_context(told(folder, SERVED, say))
        except (NotMeasured, OSError) as error:
            missing = str(error)
        found = running.enter_context(_both(clothing.filling(root, files), say))
        plan = LoadPlan(found[-1], callers=callers, rounds=rounds, kinds=KINDS)
        return result(uvloop.run(_asked(found, before, plan, say)), callers, missing)


async def _asked(
    found: tuple[Suite, Suite, Safe, Questions],
    before: Mapping[str, Any] | None,
    plan: LoadPlan,
    say: Say,
) -> Cells:
    plain, guarded, safe, _ = found
    async with AsyncExitStack() as stack:
        asked = [
            await stack.enter_async_context(each)
            for each in (contenders.suite(plain), safe.contender(guarded))
        ]
        if before is not None:
            asked.append(await stack.enter_async_context(_of_before(before)))
        return await load.rounds(asked, plan, say)


def result(cells: Cells, callers: Sequence[int] = CALLERS, missing: str = "") -> BenchResult:
    """Return the result; without cells nothing was measured. `missing`: why the last release is
    not among them."""
    nothing = "" if cells else "there are no photos in $SIGHTLINE_DATA/clothing"
    goal = partial(Goal, at_most=TIMES, unit="×", missing=nothing)
    each_kind = "sum of one answer of each kind"
    goals = [
        goal(f"{each_kind}: {MEASURED}", measured=_together(cells, SUITE)),
        goal(
            f"{each_kind}, since the last release: {SINCE_MEASURED}",
            at_most=SINCE,
            measured=_together(cells, BEFORE),
            missing=nothing or missing,
        ),
    ]
    for kind in KINDS:
        for count in callers:
            ratio = over(cells, (GUARDED, kind, count), (SUITE, kind, count), "costs")
            goals.append(goal(f"{WORDS[kind]}, {count} callers: {MEASURED}", measured=ratio))
    rows = tuple(
        (
            WORDS[kind],
            str(callers),
            name,
            f"{cell.cost().value:.1f} ({cell.cost().low:.1f}–{cell.cost().high:.1f})",
            *(", ".join(f"{count} × {what}" for what, count in cell.wrong.items()),),
        )
        for (name, kind, callers), cell in sorted(cells.items(), key=lambda each: each[0][1:])
    )
    table = BenchTable(
        "Safeguards",
        ("request", "callers", "suite", "processor ms", "wrong"),
        rows,
        "Processor time of all processes for an answer, medians of alternating rounds with their "
        "95% intervals; 3,068 photos of clothing.",
    )
    costs = {"/".join(map(str, key)): cell.costs for key, cell in cells.items()}
    return BenchResult((table,) if rows else (), {"costs": costs}, goals)


def _together(cells: Cells, other: str) -> Interval | None:
    """Return the ratio, to another suite, of the summed cost of one answer of each cell.

    None when nothing was measured.
    """
    both = [
        [cell.costs for (name, *_), cell in sorted(cells.items()) if name == which]
        for which in (GUARDED, other)
    ]
    guarded, plain = ([sum(costs) for costs in zip(*one, strict=True)] for one in both)
    return median_ratio(guarded, plain) if guarded and plain else None

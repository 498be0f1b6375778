"""One run of the fuzzer against a suite that is up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from local_suite.model import HOST
from local_suite.suite import Suite
from tests.fuzz import broken, keeping, logs, memory
from tests.fuzz.callers import REFUSED, Callers
from tests.fuzz.idle import IdleStreams
from tests.fuzz.keeping import Unanswered
from tests.fuzz.ledger import Ledger
from tests.fuzz.model import Finding, Outcome, Plan, Result
from tests.fuzz.probes import Probes, targets
from tests.fuzz.shop import open_shop
from tests.fuzz.slow import SlowCallers
from tests.fuzz.surface import METHODS, SERVICES, named
from tests.fuzz.traffic import Traffic
from tests.fuzz.wire import Sender

Report = Callable[[str], None]

WARM_SHARE = 0.25
"""Share of the requests after which memory is measured for the first time."""
DECIDED_SHARE = 0.5
"""Minimum share of requests with an answer: otherwise a dead service would pass."""

_DEEP = 20_000
"""A run of so many requests has every call accepted at least once, but for _RARE."""
_RARE = frozenset(
    {"Classify", "PromoteSpace", "RetireSpace", "RollbackGeneration", "DropAuditEntries"}
)
"""Calls that need a space fitted on random data and promoted, a second generation that was active,
or the hash of an entry."""
_REPORT_SECONDS = 10.0
_CALM_SECONDS = 3.0
_UNDECIDED = frozenset({"DEADLINE_EXCEEDED", "UNAVAILABLE", "CANCELLED", "RESOURCE_EXHAUSTED"})
_LONG_ANSWERS = [("grpc.max_receive_message_length", 64 * 2**20)]


async def run(suite: Suite, plan: Plan, report: Report, who: Callers | None = None) -> Result:
    """Send the plan's requests, and check the remaining state."""
    async with calling(suite, who or Callers()) as (sender, ledger):
        return await _Run(suite, sender, ledger, plan, report).run()


@asynccontextmanager
async def calling(suite: Suite, who: Callers) -> AsyncIterator[tuple[Sender, Ledger]]:
    """Yield the sender to a suite, and the ledger of its acknowledged writes."""
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        public, operators = [
            await stack.enter_async_context(grpc.aio.insecure_channel(each, _LONG_ANSWERS))
            for each in (suite.addresses()["gateway"], operators_address(suite))
        ]
        yield Sender(public, ledger, who, operators), ledger


def operators_address(suite: Suite) -> str:
    """Return the address of operators' calls."""
    ports = suite.programs["gateway"].ports
    return f"{HOST}:{ports.get('operators', ports['grpc'])}"


def _by_code(codes: Counter[str]) -> str:
    return ", ".join(f"{count:,} {code}" for code, count in codes.most_common())


class _Run:
    def __init__(
        self, suite: Suite, sender: Sender, ledger: Ledger, plan: Plan, report: Report
    ) -> None:
        self._suite, self._sender, self._ledger = suite, sender, ledger
        self._plan, self._report = plan, report
        self._traffic = Traffic(sender, ledger, plan)
        address = suite.addresses()["gateway"]
        self._probes = Probes(targets(suite), plan.probe_seconds, report)
        self._slow = SlowCallers(address, sender.callers)
        self._idle = IdleStreams(plan.idle_streams, self._traffic.composer.newest_job)

    async def run(self) -> Result:
        programs = memory.pids(self._suite)
        marks, triton = logs.marks(self._suite), logs.end_of(self._suite, "triton")
        result = Result()
        await self._surface(result)
        opened = await open_shop(self._sender, self._traffic.photos, train=self._plan.train)
        for name, answer in opened:
            self._report(f"  the shop: {name} {answer.code} {answer.message[:100]}")
            if answer.responses:
                self._traffic.learn(named(name).response(), answer)
        begin = memory.resident(programs)
        async with self._held():
            warm = await self._send_all(programs)
            await asyncio.sleep(_CALM_SECONDS)
            end = memory.resident(programs)  # with what is held for who does not let go
            await self._look(result, "slow readers and writers", self._slow.outcome())
            self._add(result, "idle streams", self._idle.outcome())
        self._sent(result)
        self._too_large(result)
        self._intruders(result)
        await self._kept(result)
        self._grown(result, begin, warm, end)
        self._alive(result, programs, triton)
        self._logged(result, marks)
        self._add(result, "probes answered throughout", self._probes.outcome())
        self._answered(result)
        return result

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[None]:
        """Run probes, idle streams and slow callers during the block."""
        probing = asyncio.create_task(self._probes.run())
        address = self._suite.addresses()["gateway"]
        operators = operators_address(self._suite)
        try:
            async with (
                self._idle.held(address, self._sender.callers, operators),
                self._slow.at_work(),
            ):
                yield
        finally:
            probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await probing

    async def _surface(self, result: Result) -> None:
        """Check the services that the gateway reports by reflection."""
        address = self._suite.addresses()["gateway"]

        def ask() -> set[str]:
            with grpc.insecure_channel(address) as channel:
                found = ProtoReflectionDescriptorDatabase(channel).get_services()
            return {name for name in found if not name.startswith("grpc.")}

        there = await asyncio.to_thread(ask)
        missing = ", ".join(sorted(there ^ SERVICES)) or "none missing"
        result.add("every public call", there == SERVICES, f"{len(METHODS)} calls, {missing}")

    async def _send_all(self, programs: dict[str, int]) -> dict[str, int]:
        """Send everything. Return the memory after the warm-up; empty if it was not reached."""
        warm: dict[str, int] = {}

        async def watch() -> None:
            last = time.monotonic()
            while True:
                await asyncio.sleep(0.2)
                if not warm and self._traffic.share() >= WARM_SHARE:
                    warm.update(await asyncio.to_thread(memory.resident, programs))
                    self._slow.may_read.set()
                if time.monotonic() - last > _REPORT_SECONDS:
                    last = time.monotonic()
                    self._report(self._traffic.line())

        watcher = asyncio.create_task(watch())
        try:
            await self._traffic.send_all()
        finally:
            watcher.cancel()
        self._report(self._traffic.line())
        return warm

    def _sent(self, result: Result) -> None:
        sent, plan = self._traffic, self._plan
        for name, count, planned in (
            ("mutated requests", sent.requests, plan.requests),
            ("mutated photos", sent.images, plan.images),
            ("broken photos", sent.broken, len(plan.broken)),
        ):
            if not planned:
                result.leave_out(name, f"{broken.VARIABLE} names no folder")
            elif count < planned:
                result.miss(name, f"{count:,} of {planned:,} sent when the time was up")
            else:
                result.add(name, True, f"{count:,} sent")
        self._decided(result)

    def _decided(self, result: Result) -> None:
        total = sum(self._sender.codes.values())
        open_ = sum(n for (_, code), n in self._sender.codes.items() if code in _UNDECIDED)
        silent = [m.name for m in METHODS.values() if not self._sender.codes[m.name, "OK"]]
        measured = f"{1 - open_ / max(1, total):.1%} of {total:,} answers (at least 50%)"
        if silent:
            measured += f"; never accepted: {'; '.join(map(self._refused, silent))}"
        for said, count in self._sender.unavailable.most_common(3):
            measured += f"; {count} × UNAVAILABLE {said}"
        deep = _RARE.issuperset(silent) or self._plan.requests < _DEEP
        result.add("decided, not shed", deep and open_ < total * (1 - DECIDED_SHARE), measured)

    def _refused(self, name: str) -> str:
        """Return a call with its most frequent error."""
        common = self._sender.refusals[name].most_common(1)
        return f"{name} ({common[0][0]})" if common else f"{name} (never sent)"

    def _too_large(self, result: Result) -> None:
        name, codes = "too large is refused", self._traffic.oversized
        if codes:
            measured, wrong = _by_code(codes), self._found("oversized")
            result.add(name, not wrong, f"{measured}; {wrong} complaints")
        else:
            result.miss(name, "none was sent")

    def _intruders(self, result: Result) -> None:
        name, answers = "intruders get nothing", self._sender.intruders
        missing = ", ".join(REFUSED.keys() - {caller for caller, _ in answers})
        if not self._sender.callers.tokens:
            result.leave_out(name, "the gateway of this run asks nobody who calls")
        elif missing:
            result.miss(name, f"nobody came with {missing}")
        else:
            codes = Counter[str]()
            for (_, code), count in answers.items():
                codes[code] += count
            wrong = self._found("intruders")
            result.add(name, not wrong, f"{_by_code(codes)}; {wrong} complaints")

    def _found(self, check: str) -> int:
        return sum(finding.check == check for finding in self._sender.findings)

    async def _kept(self, result: Result) -> None:
        until = time.monotonic() + self._plan.filter_seconds
        both = self._sender, self._ledger
        await self._look(result, "acknowledged rows and offers", self._traffic.own.check())
        await self._look(result, "acknowledged products", keeping.products(*both))
        await self._look(result, "acknowledged events", keeping.events(*both))
        found = keeping.filters(*both, self._traffic.chance, self._plan.filters, until)
        await self._look(result, "filters as the rules say", found)

    async def _look(self, result: Result, name: str, look: Awaitable[Outcome]) -> None:
        try:
            self._add(result, name, await look)
        except Unanswered as error:
            result.miss(name, str(error))

    def _add(self, result: Result, name: str, outcome: Outcome) -> None:
        result.add(name, outcome.held, outcome.measured)

    def _grown(
        self, result: Result, begin: dict[str, int], warm: dict[str, int], end: dict[str, int]
    ) -> None:
        for name in begin:
            label = f"memory of {name}"
            if not warm.get(name) or not end.get(name):
                result.miss(label, "ended or was never warm")
                continue
            at_most = memory.limit(name, warm[name])
            figures = " → ".join(f"{each[name] / 2**20:.0f}" for each in (begin, warm, end))
            allowed = f"at most {at_most / 2**20:.0f}: {memory.tolerance(name)}"
            measured = f"{figures} MiB ({allowed})"
            result.add(label, end[name] <= at_most, measured)

    def _alive(self, result: Result, before: dict[str, int], triton: int) -> None:
        """Check that all processes live. `triton`: size of its log at the start."""
        after = memory.pids(self._suite)
        gone = [name for name, pid in before.items() if not pid or after.get(name) != pid]
        measured = f"{len(before)} programs; ended or started again: {', '.join(gone) or 'none'}"
        if gone == ["triton"] and logs.triton_gave_up(self._suite, triton):
            result.miss("no process died", f"{measured}, by itself (boost's lock_exception)")
        else:
            result.add("no process died", not gone, measured)

    def _logged(self, result: Result, marks: dict[str, int]) -> None:
        guilty = logs.guilty(self._suite, marks)
        for program, line in guilty[:40]:
            self._sender.find(Finding("logs", f"{program}: {line}"))
        measured = f"{len(guilty)} lines with INTERNAL, UNKNOWN or a stack trace"
        result.add("clean logs of every service", not guilty, measured)

    def _answered(self, result: Result) -> None:
        found = self._found("answers")
        total = sum(self._sender.codes.values()) + sum(self._sender.intruders.values())
        measured = f"{total:,} answers: {found + self._sender.more} complaints"
        result.add("no INTERNAL, no UNKNOWN, no leak, no hang", not found, measured)
        result.findings, result.more_findings = self._sender.findings, self._sender.more
        result.codes = dict(self._sender.codes)

"""Two releases at once: each process is switched to this release and back to the last one, while
shoppers and a shop send calls.

There are two of each service behind one target, as on Kubernetes. A process is ended (SIGTERM, the
end of what was begun) and started in its place as the other release, so that its twin of the other
one answers alone meanwhile: one pod fewer than `maxUnavailable: 0` of deploy/k8s allows.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from local_suite.model import Program
from local_suite.programs import HTTP, ROOT, VISION
from local_suite.suite import Suite
from sightline_client import SightlineClient
from tests import peers
from tests.chaos.model import NotMeasured, Report
from tests.chaos.stage import SETTINGS, START_SECONDS
from tests.chaos.suite.crowd import p99
from tests.chaos.suite.replicas import SECOND, front, on_postgresql
from tests.chaos.suite.shop import SECONDS, Got, Ledger, Load, counted, open_shop
from tests.mixed.shop import RATES, asks
from tests.postgres import PostgreSQL

ORDER: Final = ("embedder", "retriever", "ranker", VISION, "gateway")
"""Order of the switch: peers before their callers, so that meanwhile a gateway of one release
calls services of the other, in both directions."""
RECORDS: Final = ("retriever", "ranker", VISION)
"""Services with tables, and with a worker."""
WAIT: Final = {
    name: {**SETTINGS.get(name, {}), f"{name.partition('-')[0].upper()}_MIGRATIONS": "wait"}
    for service in RECORDS
    for name in (service, f"{service}-worker")
}
"""Settings as in deploy/k8s. The last release may not have them."""
READY_SECONDS: Final = 4.0
"""Seconds between the return of one process and the end of the next, as `minReadySeconds` of the
manifests: callers look for a lost peer every 2 s."""
HOLD_SECONDS: Final = 5.0
"""Seconds for which the state is kept when every service except the gateway is switched, and
when all are."""
LAUNCH: Final = Path(__file__).with_name("launch.sh")


@dataclass(frozen=True, slots=True)
class Phase:
    """Releases that ran, and the outcomes of calls at that time."""

    name: str
    got: Sequence[Got]

    @property
    def failed(self) -> list[Got]:
        return [each for each in self.got if each.error]

    @property
    def degraded(self) -> float:
        """The share of answers that say that they are."""
        return sum(bool(each.causes) for each in self.got) / len(self.got) if self.got else 0.0

    @property
    def facts(self) -> dict[str, object]:
        """For the table and the file."""
        return {
            "phase": self.name,
            "calls": len(self.got),
            "failed": len(self.failed),
            "degraded": round(self.degraded, 4),
            "p99 ms": round(1000 * p99(each.ended - each.began for each in self.got)),
        }


@dataclass(slots=True)
class Roll:
    """Suite in which each process runs as one of two releases."""

    suite: Suite
    load: Load
    report: Report
    folders: Path
    """A file for each process, which holds the folder of its release."""
    phases: list[Phase] = field(default_factory=list)

    async def phase(self, name: str, *steps: tuple[str, Path]) -> None:
        """Switch processes to releases one after another, then wait until all are healthy for a
        while."""
        began, first = time.monotonic(), len(self.load.got)
        for process, release in steps:
            await self._become(process, release)
        if not steps:
            await asyncio.sleep(HOLD_SECONDS)
        await self.load.calm(began)
        self.phases.append(Phase(name, self.load.got[first:]))
        self.report.say(f"{name}: {counted(self.phases[-1].got)}")

    async def _become(self, process: str, release: Path) -> None:
        await asyncio.to_thread(self.suite.stop, process)
        (self.folders / process).write_text(str(release))
        await asyncio.to_thread(self.suite.start, process, START_SECONDS)
        check_place(self.suite.pid(process), release)
        await asyncio.sleep(READY_SECONDS)
        await self.load.calm(time.monotonic())


def check_place(pid: int, release: Path) -> None:
    """Raise NotMeasured if a process does not run as the release in this folder."""
    if (found := Path(f"/proc/{pid}/cwd").resolve()) != release.resolve():
        raise NotMeasured(f"process {pid} runs in {found}, not in {release}")


def processes(service: str) -> list[str]:
    """Return the processes of a service in the order of their switch."""
    worker = [f"{service}-worker"] if service in RECORDS else []
    return [service, *worker, f"{service}{SECOND}"]


def known_by(program: str, credentials: Path) -> dict[str, str]:
    """Return the credentials of a process."""
    name = program.removesuffix(SECOND)
    prefix = name.partition("-")[0].upper()
    return {
        f"{prefix}_PEER_KEYS_FOLDER": str(credentials / name / "keys"),
    }


@contextmanager
def stage(before: Path, folders: Path) -> Iterator[tuple[Suite, PostgreSQL]]:
    """Run a suite whose services start as the release in `before`; the file of a service's name in
    `folders` selects its release at the next start. Raise SuiteError, OSError or NoPostgreSQL."""

    credentials = folders / "credentials"
    peers.write_keys(credentials, peers.drawn(*peers.SEEING))

    def run_as(program: Program) -> Program:
        # Releases before 0.20 have no HTTP face; this one calls gateways of both.
        if program.group == "engines" or program.name == HTTP:
            return program
        file = folders / program.name
        file.write_text(str(before))
        environment = {**program.environment, **known_by(program.name, credentials)}
        command = ("/bin/sh", str(LAUNCH), str(file), program.command[-1])
        return replace(program, command=command, environment=environment)

    def prepare(server: PostgreSQL) -> None:
        migrate(server, before)

    with on_postgresql({**SETTINGS, **WAIT}, run_as, prepare) as (suite, server):
        yield suite, server


def migrate(server: PostgreSQL, release: Path = ROOT) -> str:
    """Run the migrations of the release in a folder, as the Jobs of deploy/k8s do. Return the
    output. Raise NotMeasured."""
    said = []
    for service in RECORDS:
        done = subprocess.run(
            [release / ".venv/bin/python", "-m", f"{service}.migrate"],
            env={f"{service.upper()}_DATABASE_URL": server.url(service)},
            cwd=release,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NotMeasured(f"{service}.migrate: {done.stderr}")
        said.append(f"{service}: {done.stdout.strip().splitlines()[-1]}")
    return "; ".join(said)


async def rolled(
    suite: Suite, server: PostgreSQL, versions: Mapping[str, Path], seed: int, report: Report
) -> list[Phase]:
    """Roll forward to the second of two releases and back, under load. `versions`: their
    folders."""
    (old, before), (new, after) = versions.items()
    ledger = Ledger()
    folders = Path(suite.programs["gateway"].command[2]).parent
    async with SightlineClient(front(suite), timeout=SECONDS, batch_timeout=SECONDS) as client:
        await open_shop(client)
        load = Load(asks(client, ledger, seed), RATES)
        roll = Roll(suite, load, report, folders)
        async with load.running():
            await load.calm(time.monotonic())
            await roll.phase(f"all of {old}")
            if roll.phases[0].failed:
                raise NotMeasured(f"calls fail before anything changes: {counted(load.got)}")
            report.say(f"tables: {await asyncio.to_thread(migrate, server)}")
            await roll.phase(f"all of {old}, tables of {new}")
            await _over(roll, old, new, after)
            await roll.phase(f"all of {new}")
            await _over(roll, new, old, before)
            await roll.phase(f"all of {old} again, tables of {new}")
        lost = await ledger.lost(client)
    judge(roll.phases, report)
    report.add("0 acknowledged writes lost", not lost, f"{len(lost)} of {ledger}")
    return roll.phases


async def _over(roll: Roll, old: str, new: str, folder: Path) -> None:
    """Switch every service from one release to the other."""
    for service in ORDER:
        if service == "gateway":
            await roll.phase(f"gateway of {old}, services of {new}")
        steps = [(process, folder) for process in processes(service)]
        await roll.phase(f"{service}: {old} → {new}", *steps)


def judge(phases: Sequence[Phase], report: Report) -> None:
    """Judge whether every call of every phase got a valid answer."""
    every = [each for phase in phases for each in phase.got]
    failed = [phase.name for phase in phases if phase.failed]
    degraded = sum(bool(each.causes) for each in every)
    report.add(
        f"two releases at once, in {len(phases)} phases: 0 failed",
        all(phase.got for phase in phases) and bool(phases) and not failed,
        f"{counted(every)}; degraded and flagged: {degraded}; failed in: {failed or 'none'}",
    )

"""Filled suites, cached between runs, as filling one takes longer than measuring it.

The cache contains a suite's folder after its stop. A run works on a copy, so that its writes (such
as answers) are discarded.
"""

import asyncio
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

from bench.cases.monolith import metrics
from bench.harness import processes
from bench.harness.machine import ROOT
from examples.wines.loading import LoadingFailed
from examples.wines.local import free_port_base, own
from local_suite.model import Program
from local_suite.processes import marked
from local_suite.programs import ALL, sightline
from local_suite.suite import Suite
from sightline_client import SightlineClient

Say: TypeAlias = Callable[[str], None]

KEPT = ROOT / ".cache" / "monolith"
SHAPES = ("services/*/src/*/migrations/versions/*.py", "deploy/triton/models/*/config.pbtxt")
"""Files that determine the content of a filled suite."""
START_SECONDS = 600.0
READY_SECONDS = 1_800.0
QUIET, QUIET_SECONDS = 0.05, 30.0
"""Maximum processor use of an idle suite, and the seconds to wait for it."""
_FACTS, _SUITE = "facts.json", "suite"


@dataclass(frozen=True, slots=True)
class FilledFacts:
    """Content of a filled suite that requests use."""

    products: Sequence[str]
    """Ids of the buyable products of the default catalog, in a fixed order."""
    users: Sequence[str]
    """Shoppers with a history. Empty: there is no model either."""
    photos: Mapping[str, int]
    """Vectors in the index of photos, by catalog."""
    seconds: float = 0.0
    """Seconds of filling it, by the wall clock."""


Fill: TypeAlias = Callable[[Suite, Say], FilledFacts]


@dataclass(frozen=True, slots=True)
class Filling:
    """Description of how to fill a suite."""

    name: str
    """See `key`."""
    fill: Fill
    """Called with the running suite."""
    prepare: Callable[[Path], None] | None = None
    """Called with its folder before the first start."""
    catalogs: Sequence[str] = ("default",)
    spaces: str = "visual,text"
    """Spaces of the retriever."""
    engine: str = "lite"

    def programs(self, data: Path, target: str = "apart") -> list[Program]:
        """Return the suite's programs on free ports. `target`: see local_suite.programs."""
        base = free_port_base()
        made = sightline(data, base, self.catalogs, engine=self.engine, target=target)
        return [
            replace(each, environment={**each.environment, "RETRIEVER_SPACES": self.spaces})
            if each.name.startswith("retriever") or each.name == ALL
            else each
            for each in made
        ]


class PatientSuite(Suite):
    """A suite without a tight limit on its start, as measurements begin afterwards."""

    def up(self, seconds: float = START_SECONDS) -> None:
        """Start the suite; see Suite.up."""
        super().up(seconds)


def key(name: str, *content: object) -> str:
    """Return the name of a kept folder: the catalog's name and a hash of its content."""
    digest = hashlib.sha256(json.dumps(content, default=str).encode())
    for pattern in SHAPES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return f"{name}-{digest.hexdigest()[:12]}"


@contextmanager
def filled(filling: Filling, say: Say, folder: Path = KEPT) -> Iterator[tuple[Suite, FilledFacts]]:
    """Start a filled suite. Yield it with the facts about its content."""
    kept = folder / f"{filling.name}-{filling.engine}"
    if not (kept / _FACTS).is_file():
        say(f"{filling.name}: filled, and kept under .cache for the next run")
        _keep(kept, filling, say)
    facts = FilledFacts(**json.loads((kept / _FACTS).read_text()))

    say(f"{filling.name}: starting")
    with another(filling, filling.programs, folder) as suite:
        wait(suite, facts.photos)
        yield suite, facts


@contextmanager
def another(
    filling: Filling, programs: Callable[[Path], list[Program]], folder: Path = KEPT
) -> Iterator[Suite]:
    """Start a suite with other programs on a copy of a filled one. Yield it once it is healthy."""

    def copied(data: Path) -> Suite:
        shutil.copytree(
            folder / f"{filling.name}-{filling.engine}" / _SUITE, data, dirs_exist_ok=True
        )
        return PatientSuite(data, programs(data), report=_quiet)

    with own(copied) as suite:
        yield suite


def _keep(kept: Path, filling: Filling, say: Say) -> None:
    shutil.rmtree(kept, ignore_errors=True)

    def fresh(data: Path) -> Suite:
        if filling.prepare is not None:
            filling.prepare(data)
        return PatientSuite(data, filling.programs(data), report=_quiet)

    since = time.monotonic()
    with own(fresh) as suite:
        facts = filling.fill(suite, say)
        wait(suite, facts.photos)
        suite.down()
        shutil.copytree(
            suite.layout.data, kept / _SUITE, ignore=shutil.ignore_patterns("*.sock", "logs")
        )
    facts = replace(facts, seconds=facts.seconds or time.monotonic() - since)
    (kept / _FACTS).write_text(json.dumps(asdict(facts)))


def wait(suite: Suite, photos: Mapping[str, int]) -> None:
    """Wait until the index is complete, no vector is pending, and the suite is idle.

    Raise LoadingFailed after READY_SECONDS.
    """
    until = time.monotonic() + READY_SECONDS
    for catalog, count in photos.items():
        asyncio.run(_indexed(suite, catalog, count, until))
    while any(metrics.total(suite, "retriever-worker", name) != 0 for name in metrics.WAITING):
        if time.monotonic() > until:
            raise LoadingFailed("vectors still wait")
        time.sleep(0.5)
    rest(suite)


async def _indexed(suite: Suite, catalog: str, count: int, until: float) -> None:
    async with SightlineClient(suite.addresses()["gateway"], catalog=catalog) as client:
        while True:
            status = await client.status()
            if (status.indexed_images or 0) >= count and not status.pending_images:
                return
            if status.failed_images or time.monotonic() > until:
                raise LoadingFailed(f"{status.indexed_images} of {count} photos are in the index")
            await asyncio.sleep(0.5)


def rest(suite: Suite, seconds: float = QUIET_SECONDS) -> None:
    """Wait until the suite is nearly idle, at most `seconds`."""
    pids = marked(suite.layout.data)
    until, before = time.monotonic() + seconds, processes.spent({}, pids)
    while time.monotonic() < until:
        time.sleep(1.0)
        after = processes.spent({}, pids)
        if sum(after.values()) - sum(before.values()) < QUIET:
            return
        before = after


def _quiet(line: str) -> None:
    """Discard a suite's progress."""

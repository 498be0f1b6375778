"""Measurement of a suite, the monolith with the same vectors, and the chain, in alternation."""

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import uvloop

from bench.cases.monolith import chain, contenders, load
from bench.cases.monolith.asking import ANCHORED, PRODUCT, USER, Questions
from bench.cases.monolith.contenders import CHAIN, ONE, SUITE, AnswerContender, monolith
from bench.cases.monolith.export import export
from bench.cases.monolith.goals import BUSY
from bench.cases.monolith.load import Cells, LoadPlan
from local_suite.suite import Suite

Say: TypeAlias = Callable[[str], None]
WORKERS = (1, 2)
"""Processes of the monolith."""
THREADS = 2
"""Threads of all its processes together, for photos and texts."""


@dataclass(frozen=True, slots=True)
class SuiteCase:
    """A suite and the plan of its measurement."""

    plan: LoadPlan
    """Plan of its default catalog, compared with the monolith."""
    hops: bool = False
    """True if the chain is measured too."""
    one: Suite | None = None
    """Suite in one process with the same content; `None`: not measured."""
    others: Mapping[str, Questions] = field(default_factory=dict)
    """Other catalogs by name, measured in the suite only, by product and one caller."""


@dataclass(frozen=True, slots=True)
class SuiteFigures:
    """Figures of a suite and its contenders."""

    cells: Cells
    others: Mapping[str, Cells]
    """Cells by name of the catalog."""
    moved: Mapping[str, object]
    """Bytes that an answer moves, by kind of request."""


def measured(suite: Suite, case: SuiteCase, say: Say) -> SuiteFigures:
    """Start all contenders, measure them in alternation, and stop them."""
    with tempfile.TemporaryDirectory(prefix="sightline-monolith-") as name, ExitStack() as running:
        folder = Path(name)
        say("copying vectors, model and products to the monolith")
        export(suite, folder, case.plan.questions.users)
        enter = running.enter_context
        peers = [
            enter(contenders.monolith_servers(folder, count, THREADS // count)) for count in WORKERS
        ]
        bare = enter(chain.servers(folder)) if case.hops else {}
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_asked(suite, case, peers, bare, say))


async def _asked(
    suite: Suite,
    case: SuiteCase,
    peers: Sequence[Mapping[int, int]],
    bare: Mapping[int, int],
    say: Say,
) -> SuiteFigures:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        found: list[AnswerContender] = [await enter(contenders.suite(suite))]
        if case.one is not None:
            found.append(await enter(contenders.suite(case.one, ONE)))
        found += [await enter(contenders.monolith_at(ports)) for ports in peers]
        moved: dict[str, chain.Bytes] = {}
        if bare:
            say("counting the bytes between the services")
            kinds = [kind for kind in case.plan.all_kinds() if kind in (PRODUCT, USER)]
            asked = {kind: case.plan.questions.endless(kind) for kind in kinds}
            moved = await chain.counted(suite, asked)
            found.append(await enter(chain.chain(bare, moved)))
        for name, questions in case.others.items():
            found.append(await enter(contenders.suite(suite, name, questions)))
        cells = await load.rounds(found, case.plan, say, _is_asked(set(moved), set(case.others)))
    return SuiteFigures(
        {key: cell for key, cell in cells.items() if key[0] not in case.others},
        {name: _alone(cells, name) for name in case.others},
        {kind: asdict(each) for kind, each in moved.items()},
    )


def _alone(cells: Cells, name: str) -> Cells:
    """Return the cells of another catalog under the suite's name."""
    return {
        (SUITE, kind, callers): replace(cell, contender=SUITE)
        for (contender, kind, callers), cell in cells.items()
        if contender == name
    }


def _is_asked(kinds: set[str], others: set[str]) -> Callable[[str, str, int], bool]:
    """Return which cells to measure. One caller keeps at most one process busy; the chain is
    measured only where it is compared.
    """

    def asked(contender: str, kind: str, callers: int) -> bool:
        if contender == CHAIN:
            return kind in kinds and callers == BUSY
        if contender in others:
            return kind == PRODUCT and callers == 1
        if kind == ANCHORED:
            return contender in (SUITE, ONE) and callers in (1, BUSY)
        return not (contender == monolith(2) and callers == 1)

    return asked

"""Rounds of all kinds of requests to all contenders in alternation, each for a fixed time."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import median
from typing import TypeAlias

from bench.cases.monolith.asking import FIRST, LoadQuestion, Questions
from bench.cases.monolith.contenders import AnswerContender
from bench.harness.load import closed_loop, lasting
from bench.harness.model import Interval
from bench.harness.statistics import median_ratio, percentile

Say: TypeAlias = Callable[[str], None]

CALLERS = (1, 8)
MORE = (*CALLERS, 32)
"""Number of callers of the long form, which has no goal."""
FIRST_CALLERS = 8
"""Callers of first views."""
ROUNDS = 5
SECONDS, WARM_UP_SECONDS = 0.5, 0.2
"""Seconds of one contender, kind of request and number of callers in each round."""
LEAST = 2
"""Questions, at least."""


@dataclass(slots=True)
class LoadCell:
    """Figures of one contender, kind of request and number of callers."""

    contender: str
    kind: str
    callers: int
    costs: list[float] = field(default_factory=list)
    """Milliseconds of processor time per answer, by round."""
    rates: list[float] = field(default_factory=list)
    """Answers a second, by round."""
    medians: list[float] = field(default_factory=list)
    """Median latency in milliseconds, by round."""
    latencies: list[float] = field(default_factory=list)
    """Latency of every answer in milliseconds."""
    programs: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds of processor time per answer, by process and round."""
    wrong: Counter[str] = field(default_factory=Counter)
    """Faults of answers."""

    def cost(self) -> Interval:
        """Return the median over rounds."""
        return percentile(self.costs, 0.5)


Key: TypeAlias = tuple[str, str, int]
"""Contender, kind, callers."""
Cells: TypeAlias = Mapping[Key, LoadCell]


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Requests, callers and rounds of a load."""

    questions: Questions
    callers: Sequence[int] = CALLERS
    rounds: int = ROUNDS
    seconds: float = SECONDS
    kinds: Sequence[str] = ()
    """Kinds of requests. Empty: all that the catalog allows."""
    first_views: bool = False
    """True if each product's page is requested once before the rounds, as in a shop that has been
    open for a while; these requests are cells of the kind FIRST."""

    def all_kinds(self) -> Sequence[str]:
        """Return the kinds of question that are asked."""
        return self.kinds or self.questions.kinds()


Asked: TypeAlias = Callable[[str, str, int], bool]
"""True if a contender, kind of request and number of callers is measured."""


async def rounds(
    contenders: Sequence[AnswerContender],
    plan: LoadPlan,
    say: Say,
    asked: Asked = lambda _contender, _kind, _callers: True,
) -> Cells:
    """Measure every cell in every round, the last one first in each second round, after a warm-up
    round that is discarded."""
    cells = {
        (each.name, kind, callers): LoadCell(each.name, kind, callers)
        for kind in plan.all_kinds()
        for callers in plan.callers
        for each in contenders
        if asked(each.name, kind, callers)
    }
    named = {each.name: each for each in contenders}
    sources = {
        (name, kind): (each.questions or plan.questions).endless(kind)
        for name, each in named.items()
        for kind in plan.all_kinds()
    }
    if plan.first_views:
        say("first views")
        for each in contenders:
            if asked(each.name, FIRST, FIRST_CALLERS):
                cell = LoadCell(each.name, FIRST, FIRST_CALLERS)
                await _first_views(each, cell, plan)
                cells[cell.contender, cell.kind, cell.callers] = cell
    for number in range(plan.rounds + 1):
        say(f"round {number} of {plan.rounds}" if number else "warming up")
        seconds = plan.seconds if number else min(plan.seconds, WARM_UP_SECONDS)
        for (name, kind, _), cell in list(cells.items())[:: 1 if number % 2 else -1]:
            if kind != FIRST:
                lasts = lasting(sources[name, kind], seconds, max(LEAST, cell.callers))
                await one(named[name], cell, lasts, keep=number > 0)
    return cells


async def _first_views(contender: AnswerContender, cell: LoadCell, plan: LoadPlan) -> None:
    """Request each product's page once, in as many parts as there are rounds."""
    questions = contender.questions or plan.questions
    views, size = questions.first_views(), -(-len(questions.products) // plan.rounds)
    for _ in range(plan.rounds):
        await one(contender, cell, islice(views, size), keep=True)


async def one(
    contender: AnswerContender,
    cell: LoadCell,
    questions: Iterable[LoadQuestion],
    *,
    keep: bool,
) -> None:
    """Measure one cell in one round."""
    said = list[tuple[LoadQuestion, bytes]]()  # results are in the order of their ends

    async def call(question: LoadQuestion) -> bytes:
        answer = await contender.call(question)
        said.append((question, answer))
        return answer

    if contender.prepare is not None:
        await contender.prepare(cell.kind)
    before = contender.spent()
    done, took = await closed_loop(questions, cell.callers, call)
    after = contender.spent()
    if not keep:
        return
    for question, answer in said:
        cell.wrong.update(contender.check(question, answer))
    latencies = [1e3 * each.seconds for each in done]
    spent = {name: 1e3 * (after[name] - before.get(name, 0.0)) / len(done) for name in after}
    cell.latencies += latencies
    cell.medians.append(median(latencies))
    cell.rates.append(len(done) / took)
    cell.costs.append(sum(spent.values()))
    for name, milliseconds in spent.items():
        cell.programs[name].append(milliseconds)


def over(cells: Cells, first: Key, second: Key, of: str) -> Interval | None:
    """Return the ratio of a figure ("costs", "rates", "medians") of two cells.

    None when either was not measured.
    """
    if first not in cells or second not in cells:
        return None
    mine, theirs = getattr(cells[first], of), getattr(cells[second], of)
    return median_ratio(mine, theirs) if mine and theirs else None

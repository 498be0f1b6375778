"""One search for the most expensive request, and the attack by what it found."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import grpc

from bench.harness.model import Goal, Interval
from examples.wines.local import own
from tests.chaos.model import NotMeasured
from tests.fuzz.cost import attack as attacking
from tests.fuzz.cost.attack import Attack, attack
from tests.fuzz.cost.prices import LEAST_PRICE, ROLES_PRICED, limit, price
from tests.fuzz.cost.recipes import ROLES, Recipe
from tests.fuzz.cost.search import BLOCKED_LIMIT, Case, Cost, Search
from tests.fuzz.cost.stage import (
    ATTACKERS,
    ATTRIBUTES,
    PRODUCTS,
    Keys,
    Measuring,
    Meter,
    channel_to,
    fill,
    indexed,
    make,
    prepare,
)

Say = Callable[[str], None]

ALL = "all roles"
ATTACKING = ("read", ALL)
"""Roles whose most expensive requests attack, one after another."""
REPEATS = 3
"""Measurements of each case at the end; their median counts."""
WARM_UP = tuple(Recipe(call, texts=2) for call in ("Recommend", "Search", "ListProducts"))
"""Sent before anything is measured: the first request reads columns that later ones find."""
_IDLE_SECONDS = 5.0
_REPORTED = 20


@dataclass(frozen=True, slots=True)
class CostPlan:
    """Duration and extent of a search."""

    requests: int = 600
    seconds: float = 600.0
    seed: int = 20
    products: int = PRODUCTS
    attributes: int = ATTRIBUTES


@dataclass(frozen=True, slots=True)
class CostResult:
    """Result of a search."""

    cases: Sequence[Case]
    """The most expensive requests, the worst first; what they cost is the median of a few."""
    sent: int = 0
    attacks: Mapping[str, Attack] = field(default_factory=dict)
    """Attacks by the attackers' role."""
    missing: str = ""
    """Why something could not be measured."""

    @property
    def goals(self) -> Sequence[Goal]:
        """Limits with their measurements."""
        return goals(self)


def search(plan: CostPlan, say: Say) -> CostResult:
    """Start a suite, fill its catalog, search, and attack. Raises SuiteError, OSError."""
    keys = Keys.new()
    with own(partial(make, keys, say)) as suite:
        return asyncio.run(_search(suite, keys, plan, say))


async def _search(suite, keys: Keys, plan: CostPlan, say: Say) -> CostResult:  # type: ignore[no-untyped-def]
    meter = Meter(suite)
    async with channel_to(suite.addresses()["gateway"]) as channel:
        try:
            await fill(channel, keys, plan.products, plan.attributes)
            say(f"  {plan.products:,} products are written")
            await indexed(channel, keys, say)
            await prepare(channel, keys)
        except (NotMeasured, grpc.aio.AioRpcError) as error:
            return CostResult((), missing=str(error))
        await asyncio.sleep(_IDLE_SECONDS)
        await meter.learn_idle(_IDLE_SECONDS)
        say(f"  the suite uses {meter.idle:.2f} processors without requests")
        measuring = Measuring(meter, channel, keys)
        cold = await measuring.measure(WARM_UP[0])
        say(line(0, Case(WARM_UP[0], cold)) + ", the first of all")
        for recipe in WARM_UP[1:]:
            await measuring.measure(recipe)
        found = await _found(measuring, plan, say)
        cases = await _confirmed(measuring, found, say)
    attacks, missing = dict[str, Attack](), ""
    for name in ATTACKING:
        try:
            attacks[name] = await attack(suite, keys, worst(cases, name), plan.seed)
        except (NotMeasured, grpc.aio.AioRpcError) as error:
            missing = str(error)
    return CostResult(cases, measuring.sent, attacks, missing)


def worst(cases: Sequence[Case], name: str) -> Sequence[Recipe]:
    """Return the requests of eight attackers: the worst ones, of readers or of all roles."""
    found = [case.recipe for case in cases if name == ALL or case.recipe.role == name]
    if not found:
        raise NotMeasured("no request was measured")
    return list(itertools.islice(itertools.cycle(found[:ATTACKERS]), ATTACKERS))


async def _found(measuring: Measuring, plan: CostPlan, say: Say) -> Sequence[Case]:
    search, end = Search(random.Random(plan.seed)), time.monotonic() + plan.seconds
    while search.proposed < plan.requests and time.monotonic() < end:
        recipe = search.propose()
        cost = await measuring.measure(recipe)
        search.note(recipe, cost)
        if Case(recipe, cost).worst > 1 or search.proposed % _REPORTED == 0:
            say(line(search.proposed, Case(recipe, cost)))
    say(f"  {search.proposed} requests; not answered: {dict(search.refused) or 'none'}")
    return search.cases


async def _confirmed(measuring: Measuring, cases: Sequence[Case], say: Say) -> Sequence[Case]:
    """Measure each case again. One that cost much once, beside other work, does not count."""
    confirmed = []
    for case in cases:
        costs = [await measuring.measure(case.recipe) for _ in range(REPEATS)]
        confirmed.append(Case(case.recipe, median(costs)))
        say(line(len(confirmed), confirmed[-1]))
    return sorted(confirmed, key=lambda case: -case.worst)


def median(costs: Sequence[Cost]) -> Cost:
    """Return the cost in the middle, with the median of its figures."""
    ordered = sorted(costs, key=lambda cost: cost.cpu)
    middle = ordered[len(ordered) // 2]
    return replace(middle, blocked=statistics.median(cost.blocked for cost in costs))


def line(number: int, case: Case) -> str:
    """Return a case in words."""
    cost = case.cost
    parts = ", ".join(f"{name} {seconds:g}" for name, seconds in cost.by_program[:4])
    return (
        f"  {number:4} {cost.cpu:.2f} s of processors ({parts}), loop of {cost.where} "
        f"{cost.blocked * 1e3:.0f} ms (late {cost.late * 1e3:.0f}), {cost.seconds:.1f} s, "
        f"{cost.bytes:,} B, {cost.code}: {case.recipe.written()}"
    )


def goals(result: CostResult) -> Sequence[Goal]:
    """Return the limits of one request, and of eight attackers, each with its measurement."""
    return (
        *(_processors(result, role) for role in sorted(set(ROLES.values()))),
        *(_priced(result, role) for role in ROLES_PRICED),
        _most(
            "an event loop blocked by a request",
            BLOCKED_LIMIT * 1e3,
            "ms",
            [case.cost.blocked * 1e3 for case in result.cases],
            result.missing,
        ),
        *(
            goal
            for name in ATTACKING
            for goal in _beside(name, result.attacks.get(name), result.missing)
        ),
    )


def _processors(result: CostResult, role: str) -> Goal:
    """Return the limit of a role's requests. For writes, work after their answers counts too."""
    costs = [case.cost.cpu for case in result.cases if case.recipe.role == role]
    name = f"processor time of a request of role {role}"
    missing = result.missing or "none of these is among the most expensive requests"
    return _most(name, limit(role), "s", costs, missing)


def _priced(result: CostResult, role: str) -> Goal:
    """Return the limit of the prices of a role's requests, which only their quotas bound."""
    shares = [
        asked / case.cost.cpu
        for case in result.cases
        if case.recipe.role == role and case.cost.cpu and (asked := price(case.recipe))
    ]
    return Goal(
        f"price of a request of role {role}",
        None,
        "× its processor time",
        _exact(min(shares)) if shares else None,
        at_least=LEAST_PRICE,
        missing=result.missing or "none of these is among the most expensive requests",
    )


def _most(name: str, limit: float, unit: str, found: Sequence[float], missing: str) -> Goal:
    worst = max(found, default=None)
    return Goal(name, limit, unit, None if worst is None else _exact(worst), missing=missing)


def _beside(role: str, found: Attack | None, missing: str) -> Sequence[Goal]:
    names = f"a calm caller beside {ATTACKERS} attackers of {role}: "
    asked = found is not None and found.alone and found.beside
    return (
        Goal(
            names + "p99",
            attacking.P99_TIMES,
            "× alone",
            _exact(found.times) if found and asked else None,
            missing=missing,
        ),
        Goal(
            names + "whole answers in time",
            None,
            "of those alone",
            _exact(found.goodput) if found and asked else None,
            at_least=attacking.GOODPUT,
            missing=missing,
        ),
    )


def _exact(value: float) -> Interval:
    return Interval(value, value, value)

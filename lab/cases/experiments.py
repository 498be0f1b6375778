"""False positives of experiments without an effect, and time to a decision of those with one.

Each experiment is evaluated after every day, by the ranker's own figures. In the first table the
gateway's own hash assigns units to arms, with one seed per experiment; the others draw units day by
day. The cost is the processor time of the gateway's own work, with peers that answer at once and
without the wire.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from gateway.model.experiment import ArmFile, ExperimentFile, running
from gateway.recommend.recommend import recommend
from gateway.state.experiments import RunningExperiments
from gateway.state.request_context import RequestDependencies
from ranker.domain.arrays import Doubles, Flags
from ranker.domain.experiments import LEAST_POSITIVE, LEAST_UNITS
from ranker.domain.sequential import ALPHA, EVIDENCE, half_width, mismatch_evidence
from sightline_core.shoppers import Identity, Shopper
from sightline_rules.shares import Z95, wilson
from tests.fakes.experiments import Keeper
from tests.fakes.gateway_peers import shop_with_photo
from tests.fakes.gateway_values import by_photo

TESTS, DAYS = 1000, 28
A_DAY = 250
"""Units per arm and day."""
PLANNED = 2 * A_DAY * DAYS
HASHED_UNITS, HASHED_DAYS = 2000, 20
SPEND = (3.0, 1.0)
"""Mean and standard deviation of the logarithm of a purchase's amount."""
LIFTS = (0.05, 0.1, 0.2, 0.4)
BASE = 0.1
ANSWERS = 3000
MOST_COST = 1.05
FILE = """
scenes = ["default"]
start = 2026-01-01T00:00:00Z
metric = "click_rate"
[[arms]]
name = "control"
share = 0.5
[[arms]]
name = "b"
share = 0.5
"""

Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ArmSums:
    """Sums of one arm by test and day, over all units so far."""

    count: Doubles
    total: Doubles
    squares: Doubles
    positive: Doubles
    """Units with a value above 0."""

    @property
    def mean(self) -> Doubles:
        return self.total / np.maximum(self.count, 1)

    @property
    def error(self) -> Doubles:
        """Variance of the mean."""
        spread = self.squares - self.total * self.mean
        return np.maximum(spread, 0) / np.maximum(self.count - 1, 1) / np.maximum(self.count, 1)


@dataclass(frozen=True, slots=True)
class DailyDecisions:
    """Decisions by test and day."""

    better: Flags
    worse: Flags
    naive: Flags
    """Decisions by a z-test that is valid for one look."""

    @property
    def rate(self) -> float:
        return float((self.better | self.worse).any(axis=1).mean())


def run(say: Say) -> BenchResult:
    """Measure experiments, in twenty seconds."""
    random = np.random.default_rng(20)
    say("answers with an experiment and without")
    cost = asyncio.run(_cost())
    say(f"{TESTS:,} A/A tests by the gateway's hash")
    hashed = _hashed(random)
    say("A/A tests of rates and revenue")
    same = {
        f"hashed units, rate {BASE:.0%}": hashed,
        **{
            f"rate {rate:.1%}": _decided(_rates(random, rate), _rates(random, rate))
            for rate in (0.005, 0.02, BASE, 0.5)
        },
        "revenue, 3% buyers": _decided(_revenues(random, 0.03), _revenues(random, 0.03)),
        "revenue, 20% buyers": _decided(_revenues(random, 0.2), _revenues(random, 0.2)),
    }
    say("tests with an effect")
    control = _rates(random, BASE)
    lifted = {lift: _decided(control, _rates(random, BASE * (1 + lift))) for lift in LIFTS}
    alarms = _alarms(random)
    worst = max(same.values(), key=lambda one: one.rate)
    return BenchResult(
        (_same_table(same), _lifted_table(lifted)),
        {
            "false_positives": {name: one.rate for name, one in same.items()},
            "false_positives_of_one_look": {name: _naive(one) for name, one in same.items()},
            "power": {
                f"{lift:.0%}": float(one.better[:, -1].mean()) for lift, one in lifted.items()
            },
            "ever_better": {f"{lift:.0%}": _ever(one.better) for lift, one in lifted.items()},
            "days_to_decision": {f"{lift:.0%}": _days(one) for lift, one in lifted.items()},
            "false_sample_ratio_alarms": alarms,
            "processor_time_on_to_off": cost.value,
        },
        (
            _goal("A/A tests by hash that are ever decided", hashed.rate, ALPHA),
            _goal("A/A tests of any metric that are ever decided", worst.rate, ALPHA),
            _goal("right sample ratios that are ever called wrong", alarms, 1 / EVIDENCE * 3),
            Goal(
                f"tests with {LIFTS[-2]:.0%} more that are decided for it",
                None,
                "share",
                _interval(_ever(lifted[LIFTS[-2]].better)),
                at_least=0.8,
                by_figure=True,
            ),
            Goal("processor time of the gateway's work, on ÷ off", MOST_COST, "×", cost),
        ),
    )


async def _cost() -> Interval:
    """Return the processor time of an answer with an experiment over one without, the median of
    pairs.
    """
    shop = shop_with_photo()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "order.toml").write_text(FILE)
        found = RunningExperiments(Path(folder), ("default",), shop.deps.scenes, Keeper())
        await found.refresh()
        ways = [shop.deps, replace(shop.deps, experiments=found)]
        ratios = np.empty(ANSWERS)
        for n in range(ANSWERS):
            turn = 1 if n % 2 else -1  # which is first
            first, second = [await _spent(deps, n) for deps in ways[::turn]]
            ratios[n] = (second / first) ** turn
    drawn = np.random.default_rng(1).choice(ratios, (1000, ANSWERS))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return Interval(float(np.median(ratios)), float(low), float(high))


async def _spent(deps: RequestDependencies, n: int) -> float:
    begun = time.process_time()
    await recommend(by_photo(shopper=Shopper(Identity.USER, f"user {n}")), deps)
    return time.process_time() - begun


def _hashed(random: np.random.Generator) -> DailyDecisions:
    """Run experiments on the same units, one seed each, with random outcomes."""
    units = [Shopper(Identity.VISITOR, f"visitor {n}") for n in range(HASHED_UNITS)]
    arms = tuple(ArmFile(name, 0.5) for name in ("control", "b"))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    shape = (TESTS, HASHED_DAYS, HASHED_UNITS // HASHED_DAYS)
    treated = np.empty((TESTS, HASHED_UNITS), bool)
    for test in range(TESTS):
        one = running(ExperimentFile("aa", ("default",), arms, start, "clicks", seed=str(test)))
        treated[test] = [one.arm_of(unit) == ("", ("aa/b",)) for unit in units]
    did = random.random(treated.shape) < BASE

    def sums(group: Flags) -> ArmSums:
        counts = group.reshape(shape).sum(axis=2).cumsum(axis=1).astype(float)
        totals = (group & did).reshape(shape).sum(axis=2).cumsum(axis=1).astype(float)
        return ArmSums(counts, totals, totals, totals)

    return _decided(sums(~treated), sums(treated), HASHED_UNITS)


def _rates(random: np.random.Generator, rate: float) -> ArmSums:
    counts = np.broadcast_to(A_DAY * np.arange(1.0, DAYS + 1), (TESTS, DAYS))
    totals = random.binomial(A_DAY, rate, (TESTS, DAYS)).cumsum(axis=1).astype(float)
    return ArmSums(counts, totals, totals, totals)


def _revenues(random: np.random.Generator, rate: float) -> ArmSums:
    buyers = random.binomial(A_DAY, rate, (TESTS, DAYS))
    paid = random.lognormal(*SPEND, int(buyers.sum()))
    ends = np.append(0, buyers.ravel().cumsum())
    totals, squares = (
        np.diff(np.append(0.0, values.cumsum())[ends]).reshape(buyers.shape).cumsum(axis=1)
        for values in (paid, paid**2)
    )
    counts = np.broadcast_to(A_DAY * np.arange(1.0, DAYS + 1), (TESTS, DAYS))
    return ArmSums(counts, totals, squares, buyers.cumsum(axis=1).astype(float))


def _decided(control: ArmSums, arm: ArmSums, planned: int = PLANNED) -> DailyDecisions:
    """Return what the ranker would decide on each day."""
    variance = control.error + arm.error
    units, effect = control.count + arm.count, arm.mean - control.mean
    enough = np.minimum(control.count, arm.count) >= LEAST_UNITS
    enough &= control.positive + arm.positive >= LEAST_POSITIVE
    half = half_width(variance, units, planned)
    naive = enough & (np.abs(effect) > Z95 * np.sqrt(variance))
    return DailyDecisions(enough & (effect > half), enough & (effect < -half), naive)


def _alarms(random: np.random.Generator) -> float:
    """Return the share of experiments with a correct sample ratio that are ever flagged."""
    counts = random.multinomial(2 * A_DAY, [0.5, 0.5], (TESTS, DAYS)).cumsum(axis=1)
    wrong = [
        any(mismatch_evidence(day.tolist(), [0.5, 0.5]) >= EVIDENCE for day in test)
        for test in counts
    ]
    return sum(wrong) / TESTS


def _naive(one: DailyDecisions) -> float:
    return _ever(one.naive)


def _ever(days: Flags) -> float:
    return float(days.any(axis=1).mean())


def _days(one: DailyDecisions) -> float:
    """Return the mean day of the decision, over tests that reach one."""
    found = one.better[one.better.any(axis=1)]
    return float(found.argmax(axis=1).mean() + 1) if len(found) else float("nan")


def _interval(share: float) -> Interval:
    return Interval(share, *wilson(share, TESTS))


def _goal(name: str, share: float, most: float) -> Goal:
    return Goal(name, most, "share", _interval(share), by_figure=True)


def _percent(share: float) -> str:
    low, high = wilson(share, TESTS)
    return f"{share:.1%} ({low:.1%} to {high:.1%})"


def _same_table(same: dict[str, DailyDecisions]) -> BenchTable:
    rows = tuple((name, _percent(one.rate), _percent(_naive(one))) for name, one in same.items())
    caption = (
        f"Fraction of {TESTS:,} experiments without an effect, checked daily ({DAYS} days with"
        f" {A_DAY} units per arm; hashed: {HASHED_DAYS} with {HASHED_UNITS // HASHED_DAYS // 2}),"
        " that are ever decided by the confidence sequence, and by a z-test at 95% for one look."
        " Brackets: 95% interval."
    )
    return BenchTable("A/A tests", ("metric", "ever decided", "by a z-test"), rows, caption, None)


def _lifted_table(lifted: dict[float, DailyDecisions]) -> BenchTable:
    rows = tuple(
        (
            f"{BASE:.0%} → {BASE * (1 + lift):.1%}",
            _percent(_ever(one.better)),
            f"{_days(one):.1f}",
            _percent(float(one.naive[:, -1].mean())),
            f"{one.worse.any(axis=1).mean():.1%}",
        )
        for lift, one in lifted.items()
    )
    caption = (
        f"Fraction of {TESTS:,} experiments with an effect that are decided for the better arm"
        f" within {DAYS} days, the mean day, the fraction found by one z-test at the end, and the"
        " fraction decided for the worse arm."
    )
    headers = ("rate", "decided", "mean day", "z-test on the last day", "wrong")
    return BenchTable("Power", headers, rows, caption, None)

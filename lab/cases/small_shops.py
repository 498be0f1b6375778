"""The gate of a model in a small shop: false promotions, and how often a gain is shown.

Differences of nDCG@10 by shopper are drawn from invented pairs of systems that are equally good,
and from the example's wines: those of a recipe that was trained on the earlier ratings, as an
evaluation trains it. What counts is whether the lower end of the 95% interval is above 0.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import numpy as np

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from examples.wines import shop
from examples.wines.catalogue import load_ratings, load_wines
from ranker.domain.arrays import Doubles
from ranker.domain.log import log_of
from ranker.domain.recipe import Recipe
from ranker.learning.evaluation import baselines, bootstrap, metrics, systems
from ranker.learning.evaluation.evaluate import CANDIDATE
from ranker.learning.evaluation.splits import split_globally, tasks
from ranker.learning.evaluation.verdict import LEAST_SHOPPERS, METRIC
from ranker.learning.training.fitting import fitted
from ranker.learning.training.training_data import Given
from ranker.offline import interaction, product_of
from sightline_client.convert import to_wire
from sightline_rules.shares import wilson

Say: TypeAlias = Callable[[str], None]
Draw: TypeAlias = Callable[[np.random.Generator, int], Doubles]

SEED: Final = 60
SIZES: Final = (10, 20, 37, 60, 99)
SAMPLES: Final = 400
SHOPS, STEP = 300, 3
"""Shops that grow, and new shoppers from one try to the next."""
FIRST: Final = 6

EQUAL: Final[Mapping[str, Draw]] = {
    "lists that differ by chance alone": lambda rng, n: (
        rng.choice([-1, 1], n) * rng.choice([0, 0, 0, 0.3, 0.5, 1], n)
    ),
    "a third of a hit for 30%, a lost one for 10%": lambda rng, n: rng.choice(
        [-1.0, 1 / 3, 0.0], n, p=[0.1, 0.3, 0.6]
    ),
    "a tiny gain for 95%, a lost hit for 5%": lambda rng, n: np.where(
        rng.random(n) < 0.05, -0.95, 0.05
    ),
}
"""Differences between two systems that are equally good: the mean is 0."""


def run(say: Say) -> BenchResult:
    """Measure in three minutes."""
    say("pairs of equally good systems")
    false = {name: _rates(draw) for name, draw in EQUAL.items()}
    say("shops that grow")
    grown = {name: _grown(draw) for name, draw in EQUAL.items()}
    say("wines")
    real = {against: _rates(_drawn(found)) for against, found in _wines().items()}
    return BenchResult(
        (_table(false, grown), _power(real)),
        {"false": false, "grown": {name: one.value for name, one in grown.items()}, "wines": real},
        _goals(false, grown),
    )


Rates: TypeAlias = Mapping[int, tuple[int, int]]
"""Samples, of SAMPLES, whose lower bound was above 0, by shoppers: of the bootstrap, of few."""


def _rates(draw: Draw) -> Rates:
    found = {}
    for size in SIZES:
        rng = np.random.default_rng((SEED, size))
        samples = [draw(rng, size) for _ in range(SAMPLES)]
        usual = sum(bootstrap.intervals(one[:, None]).low[0] > 0 for one in samples)
        few = sum(_shown(one, seed) for seed, one in enumerate(samples))
        found[size] = (int(usual), few)
    return found


def _shown(differences: Doubles, seed: int) -> bool:
    return bootstrap.of_few(differences, seed=seed)[0] > 0


def _grown(draw: Draw) -> Interval:
    """Return the share of shops in which any try passes before there are LEAST_SHOPPERS."""
    rng = np.random.default_rng(SEED)
    count = 0
    for _ in range(SHOPS):
        whole = draw(rng, LEAST_SHOPPERS)
        tries = range(FIRST, LEAST_SHOPPERS, STEP)
        count += any(_shown(whole[:size], size) for size in tries)
    return _share(count, SHOPS)


def _wines() -> Mapping[str, Doubles]:
    """Return the differences between the default recipe and what there is without a model."""
    sold = [product_of(to_wire.product(shop.product(wine))) for wine in load_wines()]
    products, recipe = sorted(sold, key=lambda one: one.product_id), Recipe()
    log = log_of(interaction(to_wire.event(shop.event(rating))) for rating in load_ratings())
    given = Given(log, products)
    made = split_globally(given.log, 0.2)
    asked = tasks(made, [one.product_id for one in products], recipe.signals)
    popular = baselines.popularity(asked.training, len(products))
    model = fitted(given.at(made.before), recipe).model
    gains = {
        one.name: metrics.accuracy(systems.lists(one, asked.regulars), metrics.LISTED)[METRIC]
        for one in (
            systems.served(CANDIDATE, model, products, popular),
            popular,
            baselines.untrained(asked.training, len(products)),
        )
    }
    ours = gains.pop(CANDIDATE)
    return {name: ours - theirs for name, theirs in gains.items()}


def _drawn(known: Doubles) -> Draw:
    return lambda rng, n: rng.choice(known, n)


def _share(count: int, of: int) -> Interval:
    low, high = wilson(count / of, of)
    return Interval(count / of, low, high)


def _table(false: Mapping[str, Rates], grown: Mapping[str, Interval]) -> BenchTable:
    return BenchTable(
        "Equally good systems: share that is shown to be better, by bootstrap → with one more",
        ("pair", *map(str, SIZES), "any try until 100"),
        tuple(
            (name, *(_both(rates[size]) for size in SIZES), grown[name].shown(3))
            for name, rates in false.items()
        ),
        f"{SAMPLES} samples each, at most .025 of which may be shown; {SHOPS} shops that are tried"
        f" with each {STEP} shoppers more, from {FIRST} on.",
        None,
    )


def _power(real: Mapping[str, Rates]) -> BenchTable:
    return BenchTable(
        "Wines: share in which the recipe is shown to be better, by number of shoppers",
        ("better than", *map(str, SIZES)),
        tuple((name, *(_both(rates[size]) for size in SIZES)) for name, rates in real.items()),
        "Shoppers drawn with replacement from the differences of those who returned.",
        None,
    )


def _both(rates: tuple[int, int]) -> str:
    return " → ".join(f"{count / SAMPLES:.3f}" for count in rates)


def _goals(false: Mapping[str, Rates], grown: Mapping[str, Interval]) -> list[Goal]:
    most = max(few for rates in false.values() for _, few in rates.values())
    return [
        Goal("false promotions of one try", 0.04, "share", _share(most, SAMPLES), by_figure=True),
        Goal(
            "false promotions until there are 100 shoppers",
            0.1,
            "share",
            max(grown.values(), key=lambda one: one.value),
            by_figure=True,
        ),
    ]

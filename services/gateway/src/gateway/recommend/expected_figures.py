"""Expected clicks, purchases, revenue and margin of answers before and after a change. Pure.

Intervals are percentiles of means over answers that are drawn with replacement, the same draws for
before, after and their difference (paired bootstrap).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from gateway.model.replay import ExpectedOutcome

PER = 100
"""Number of answers that figures are of."""
RESAMPLES = 2000
SEED = 7
BOUNDS = (2.5, 97.5)
FIGURES = ("clicks", "purchases", "revenue", "margin")
MONEY = frozenset({"revenue", "margin"})


@dataclass(frozen=True, slots=True)
class EstimatedValue:
    """A value with its 95% interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class ExpectedFigure:
    """An expected figure for 100 answers."""

    name: str
    currency_code: str
    """Of revenue and margin; otherwise empty."""
    before: EstimatedValue
    after: EstimatedValue
    change: EstimatedValue
    answer_count: int


OutcomePair = tuple[ExpectedOutcome, ExpectedOutcome]


def expected_figures(pairs: Sequence[OutcomePair]) -> Iterable[ExpectedFigure]:
    """Yield the figures that are known, of answers before and after.

    Money is summed in the currency that most answers have; answers in others are left out.
    """
    currencies = Counter(before.currency for before, _ in pairs if before.currency)
    usual = min(currencies, key=lambda one: (-currencies[one], one), default="")
    for name in FIGURES:
        number = attrgetter(name)
        known = [
            (number(before), number(after))
            for before, after in pairs
            if number(before) is not None
            and number(after) is not None
            and (name not in MONEY or before.currency == after.currency == usual)
        ]
        if known:
            yield _figure(name, usual if name in MONEY else "", PER * np.array(known))


def _figure(name: str, currency: str, values: npt.NDArray[np.float64]) -> ExpectedFigure:
    count = len(values)
    draws = np.random.default_rng(SEED).integers(count, size=(RESAMPLES, count))
    columns = (values[:, 0], values[:, 1], values[:, 1] - values[:, 0])
    before, after, change = (
        EstimatedValue(
            float(column.mean()), *np.percentile(column[draws].mean(axis=1), BOUNDS).tolist()
        )
        for column in columns
    )
    return ExpectedFigure(name, currency, before, after, change, count)

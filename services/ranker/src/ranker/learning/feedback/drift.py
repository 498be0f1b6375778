"""Drift against a reference period: distributions, volumes, means and shares. NumPy only.

Drift is flagged only if the difference is both statistically significant and large enough to
matter: the threshold is the greater of the two.

========  ==============================================================  ==================
measure   what it is                                                      matters from
========  ==============================================================  ==================
psi       population stability index Σ (p − q) ln(p / q) over bins        .25
z         difference of means or shares, over its standard error          `least` of the item
========  ==============================================================  ==================

Without drift, PSI is distributed approximately as (1/n + 1/m) χ² with bins − 1 degrees of freedom
(Yurdakul, Naranjo 2020, Journal of Risk Model Validation). Significant is a PSI above its 99.9%
quantile, or a z above 4 standard errors. .1 and .25 are customary thresholds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ranker.domain.arrays import Doubles
from ranker.domain.online import Moments

PSI_MATTERS = 0.25
Z_CHANCE = 4.0
MOST_BINS = 20
"""The most frequent values have a bin each; the rest share one."""
SCORE_BINS = 10
"""Deciles of the reference."""
SMOOTHING = 0.5
"""Added to each bin's count, so that an empty bin does not give an infinite PSI."""
LEAST_COUNT = 100
"""Minimum count of either side for a measurement."""
LEAST_DAYS = 7
"""Minimum days of the reference for a measurement of volumes, since weekdays differ."""
QUANTILE_999 = 3.0902
"""99.9% quantile of the standard normal distribution."""
WORDS = 3
"""Names of values in texts."""


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """Drift of one item against its reference."""

    item: str
    measure: str
    """"psi" or "z"."""
    value: float = 0.0
    threshold: float = 0.0
    flagged: bool = False
    text: str = ""
    """Description; "NOT MEASURED: …" if there is too little data."""
    reference_count: int = 0
    count: int = 0


def mix(
    item: str,
    reference: Mapping[str, float],
    present: Mapping[str, float],
    *,
    sizes: tuple[int, int] | None = None,
) -> DriftFinding:
    """Compare two counts by value (PSI).

    `sizes`: independent observations behind each, such as shoppers; None: every count is one.
    """
    before, now = (int(sum(counts.values())) for counts in (reference, present))
    sizes = (before, now) if sizes is None else (min(before, sizes[0]), min(now, sizes[1]))
    if min(sizes) < LEAST_COUNT:
        return _too_little(item, "psi", sizes)
    values = sorted(
        {*reference, *present}, key=lambda one: -(reference.get(one, 0) + present.get(one, 0))
    )
    kept, rest = values[:MOST_BINS], values[MOST_BINS:]
    old, new = (
        np.array(
            [counts.get(one, 0) for one in kept]
            + ([sum(counts.get(one, 0) for one in rest)] if rest else []),
            np.float64,
        )
        for counts in (reference, present)
    )
    value, threshold = psi(old, new), psi_threshold(len(old), *sizes)
    p, q = old / old.sum(), new / new.sum()
    changed = np.argsort(-np.abs(q - p)[: len(kept)], kind="stable")[:WORDS].tolist()
    words = "; ".join(f"{kept[at]} {q[at]:.0%}, was {p[at]:.0%}" for at in changed)
    return DriftFinding(item, "psi", value, threshold, value >= threshold, words, before, now)


def scores(item: str, reference: Doubles, present: Doubles) -> DriftFinding:
    """Compare two samples of numbers (PSI), by deciles of the reference."""
    sizes = (len(reference), len(present))
    if min(sizes) < LEAST_COUNT:
        return _too_little(item, "psi", sizes)
    inner = np.unique(np.quantile(reference, np.arange(1, SCORE_BINS) / SCORE_BINS))
    old, new = (
        np.bincount(np.searchsorted(inner, values), minlength=len(inner) + 1).astype(np.float64)
        for values in (reference, present)
    )
    value, threshold = psi(old, new), psi_threshold(len(old), *sizes)
    words = f"median {np.median(present):.3g}, was {np.median(reference):.3g}"
    return DriftFinding(item, "psi", value, threshold, value >= threshold, words, *sizes)


def volume(
    item: str, reference: Sequence[int], present: Sequence[int], *, least: float
) -> DriftFinding:
    """Compare mean counts per whole day (z). `least`: relevant change, relative to `reference`."""
    sizes = (len(reference), len(present))
    before = np.array(reference, np.float64)
    if sizes[0] < LEAST_DAYS or sizes[1] < 1 or before.sum() < LEAST_COUNT:
        return _too_little(item, "z", sizes, f"whole days, at least {LEAST_DAYS} before")
    now, usual = float(np.mean(present)), float(before.mean())
    # Lower bound of the variance: that of Poisson counts.
    spread = max(float(before.std(ddof=1)), math.sqrt(usual))
    error = spread * math.sqrt(1 / sizes[0] + 1 / sizes[1])
    words = f"{now:,.0f} a day, was {usual:,.0f}"
    return _by_error(item, now - usual, error, least=least * usual, words=words, sizes=sizes)


def mean(item: str, reference: Moments, present: Moments, *, least: float) -> DriftFinding:
    """Compare two means (Welch's z). `least`: the smallest relevant difference."""
    sizes = (reference.count, present.count)
    if min(sizes) < LEAST_COUNT:
        return _too_little(item, "z", sizes)
    error = math.sqrt(reference.variance / sizes[0] + present.variance / sizes[1])
    words = f"{present.mean:.2f}, was {reference.mean:.2f}"
    return _by_error(
        item, present.mean - reference.mean, error, least=least, words=words, sizes=sizes
    )


def share(
    item: str, reference: tuple[int, int], present: tuple[int, int], *, least: float
) -> DriftFinding:
    """Compare two shares (z), each (count, total). `least`: the smallest relevant difference."""
    sizes = (reference[1], present[1])
    if min(sizes) < LEAST_COUNT:
        return _too_little(item, "z", sizes)
    before, now = reference[0] / sizes[0], present[0] / sizes[1]
    pooled = (reference[0] + present[0]) / sum(sizes)
    error = math.sqrt(pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1]))
    words = f"{now:.1%}, was {before:.1%}"
    return _by_error(item, now - before, error, least=least, words=words, sizes=sizes)


def psi(reference: Doubles, present: Doubles) -> float:
    """Return the population stability index of two counts by bin."""
    p, q = (
        (counts + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts))
        for counts in (reference, present)
    )
    return float(np.sum((q - p) * np.log(q / p)))


def psi_threshold(bins: int, reference_count: int, count: int) -> float:
    """Return the PSI above which drift is neither chance nor negligible."""
    degrees = max(bins - 1, 1)
    # The χ² quantile by Wilson and Hilferty 1931.
    ninth = 2 / (9 * degrees)
    quantile = degrees * (1 - ninth + QUANTILE_999 * math.sqrt(ninth)) ** 3
    return max(PSI_MATTERS, (1 / reference_count + 1 / count) * quantile)


def _by_error(
    item: str,
    difference: float,
    error: float,
    *,
    least: float,
    words: str,
    sizes: tuple[int, int],
) -> DriftFinding:
    if error == 0:  # constant on both sides
        error = least / Z_CHANCE
    value, threshold = difference / error, max(Z_CHANCE, least / error)
    return DriftFinding(item, "z", value, threshold, abs(value) >= threshold, words, *sizes)


def _too_little(
    item: str, measure: str, sizes: tuple[int, int], of: str = f"at least {LEAST_COUNT} of each"
) -> DriftFinding:
    words = f"NOT MEASURED: {sizes[1]:,} now and {sizes[0]:,} before; {of}"
    return DriftFinding(item, measure, text=words, reference_count=sizes[0], count=sizes[1])

"""Anytime-valid intervals and tests: they stay valid however often results are read. NumPy only."""

import math
from collections.abc import Sequence

import numpy as np

from ranker.domain.arrays import Doubles

ALPHA = 0.05
"""Probability that the true difference is outside its interval at any reading."""
EVIDENCE = 1000.0
"""Bayes factor above which the sample ratio is rejected: correct ratios reach it in one experiment
of 1,000."""
_CONCENTRATION = 1000.0
"""Concentration of the Dirichlet prior around the planned shares; for two equal shares its standard
deviation is 1.6%."""


def half_width(variance: Doubles, units: Doubles, planned: float, alpha: float = ALPHA) -> Doubles:
    """Return half the width of the confidence sequence of a difference of means. `variance` is that
    of the estimated difference, `units` the sample size. A normal mixture (Robbins 1970; of
    differences, Johari et al. 2017) as the asymptotic confidence sequence of Waudby-Smith et al.
    2021, theorem 2.2, whose ρ makes it the tightest at `planned` units.
    """
    wide = -2 * math.log(alpha)
    ratio = np.asarray(units) * (wide + math.log(wide + 1)) / planned  # n ρ²
    spread = 2 * (ratio + 1) / ratio * np.log(np.sqrt(ratio + 1) / alpha)
    return np.asarray(np.sqrt(variance * spread))


def mismatch_evidence(counts: Sequence[float], shares: Sequence[float]) -> float:
    """Return the Bayes factor against these shares. If the shares are right, it reaches x with
    probability 1/x at most (Lindon, Malek 2022, "Anytime-valid inference for multinomial count
    data"); the prior is a Dirichlet around the shares."""
    whole = math.fsum(shares)
    pairs = [(count, share / whole) for count, share in zip(counts, shares, strict=True)]
    log = math.lgamma(_CONCENTRATION) - math.lgamma(_CONCENTRATION + sum(counts))
    for count, share in pairs:
        prior = _CONCENTRATION * share
        log += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return math.exp(min(log, 700.0))

"""Off-policy estimates of a policy's reward from impressions of another policy. NumPy only.

A row is a product that was shown at a place of an answer. The reward is assumed to depend on the
shopper, the product and its place, not on its neighbours (the item-position model of Li,
Abbasi-Yadkori, Kveton et al. 2018, KDD), so that with p the probability that the logging policy put
this product there, q that of the evaluated policy, and w = min(q / p, clip):

    IPS    Σ w r / n                             Horvitz, Thompson 1952
    SNIPS  Σ w r / Σ w, by place                 Swaminathan, Joachims 2015, NeurIPS
    DR     Σ [r̂(target) + w (r − r̂(shown))] / n  Dudík, Langford, Li 2011, ICML

r̂ is a model's expected reward, fitted on other answers. IPS and DR are unbiased if the logging
policy could show everything that the evaluated policy shows (p > 0); DR also if r̂ is correct.
SNIPS is consistent, with less variance. Its sums are by place, and places count as often as they
were shown: otherwise an order of which little is known at low places, where shoppers click less,
would have a larger mean than another one that is as good. IPS and SNIPS ignore products that the
logging policy never showed; `support`, the mean of w before clipping, is then below 1 by their
share.

Intervals are of sums of influences by answer, because clicks within an answer depend on each other,
and corrected for the skewness of these sums (Hall 1992, J. R. Statist. Soc. B 54): money of few
purchases is skewed, and normal intervals then end too low.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ranker.domain.arrays import Doubles, Ints
from sightline_rules.shares import Z95

CLIP = 20.0
"""Maximum weight. Clipping biases towards 0; `clipped_share` is the share of clipped rows."""
LEAST_SIZE = 100.0
"""Minimum effective sample size."""
LEAST_ANSWERS = 30
"""Minimum number of answers, since the interval is of sums over answers."""
LEAST_REWARDS = 10
"""Minimum number of rewards in rows with weight, for a reliable interval."""
LEAST_SUPPORT = 0.5
"""Minimum support."""
LEAST_PLACE_SUPPORT = 0.25
"""Minimum support of a place: with less, its few known products say little of the others."""
_LEAST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class LoggedShows:
    """Impressions with the probabilities of the evaluated policy; all (rows,)."""

    answer: Ints
    """Code of the answer."""
    reward: Doubles
    propensity: Doubles
    """p, above 0 to 1."""
    target: Doubles
    """q, 0 to 1."""
    weight: Doubles
    """Number of impressions that the row represents."""
    place: Ints
    """Place of the answer."""
    predicted: Doubles
    """r̂ of the product shown, at its place."""
    expected: Doubles
    """r̂ of the evaluated policy at this place: Σ q r̂ over products."""


@dataclass(frozen=True, slots=True)
class RewardEstimate:
    """An estimate with its 95% interval, in rewards per shown product."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates for a policy."""

    count: int
    """Number of rows."""
    size: float
    """Effective sample size, (Σw)² / Σw² (Kish 1965)."""
    support: float
    clipped_share: float
    ips: RewardEstimate | None = None
    snips: RewardEstimate | None = None
    doubly_robust: RewardEstimate | None = None
    """`None` without an estimate; see `refusal`."""
    refusal: str = ""


def estimate(logged: LoggedShows, clip: float = CLIP) -> Estimates:
    """Return all three estimates, or the reason why there are none."""
    raw = logged.target / logged.propensity
    weights, total = np.minimum(raw, clip), logged.weight.sum()
    mass = logged.weight * weights
    known = Estimates(
        count=len(raw),
        size=_size(mass),
        support=float(logged.weight @ raw / total) if total else 0.0,
        clipped_share=float(np.mean(raw > clip)) if len(raw) else 0.0,
    )
    refusal = _refusal(known, logged, mass)
    if refusal:
        return replace(known, refusal=refusal)
    corrected = logged.expected + weights * (logged.reward - logged.predicted)
    return replace(
        known,
        ips=_ratio(mass * logged.reward, logged.weight, logged.answer),
        snips=_by_place(mass * logged.reward, mass, logged),
        doubly_robust=_ratio(logged.weight * corrected, logged.weight, logged.answer),
    )


def _size(mass: Doubles) -> float:
    squares = float(mass @ mass)
    return float(mass.sum()) ** 2 / squares if squares else 0.0


def _refusal(known: Estimates, logged: LoggedShows, mass: Doubles) -> str:
    counting = mass > 0
    answers = len(np.unique(logged.answer[counting]))
    rewards = int(np.count_nonzero(logged.reward[counting]))
    if known.size < LEAST_SIZE:
        return (
            f"NOT MEASURED: effective sample size {known.size:.0f}; at least {LEAST_SIZE:.0f} is"
            " needed"
        )
    if answers < LEAST_ANSWERS:
        return f"NOT MEASURED: {answers} answers count; at least {LEAST_ANSWERS} are needed"
    if rewards < LEAST_REWARDS:
        return f"NOT MEASURED: {rewards} clicks count; at least {LEAST_REWARDS} are needed"
    if known.support < LEAST_SUPPORT:
        return (
            f"NOT MEASURED: {1 - known.support:.0%} of what the policy shows was never shown; at"
            f" most {1 - LEAST_SUPPORT:.0%} is allowed"
        )
    if empty := sorted({*logged.place.tolist()} - {*logged.place[counting].tolist()}):
        places = ", ".join(map(str, empty))
        return f"NOT MEASURED: nothing that the policy shows at place {places} was ever shown there"
    return ""


def supported(logged: LoggedShows) -> Ints:
    """Return the places at which LEAST_PLACE_SUPPORT or more of what the policy shows was shown."""
    places, code = np.unique(logged.place, return_inverse=True)
    raw = logged.weight * logged.target / logged.propensity
    shown = np.bincount(code, logged.weight, len(places))
    found: Ints = places[np.bincount(code, raw, len(places)) >= LEAST_PLACE_SUPPORT * shown]
    return found


def _by_place(above: Doubles, below: Doubles, logged: LoggedShows) -> RewardEstimate:
    """Return Σ above / Σ below of each place, averaged over the impressions, with its interval.
    `below` has a sum above 0 at each place."""
    _, code = np.unique(logged.place, return_inverse=True)
    shown, mass = np.bincount(code, logged.weight), np.bincount(code, below)
    ratio = np.bincount(code, above) / mass
    value = float(shown @ ratio / shown.sum())
    influence = (shown / mass)[code] * (above - ratio[code] * below)
    influence += logged.weight * (ratio[code] - value)
    return _interval(value, influence, float(shown.sum()), logged.answer)


def _ratio(above: Doubles, below: Doubles, answer: Ints) -> RewardEstimate:
    """Return Σ above / Σ below with its interval over answers (delta method, corrected for
    skewness)."""
    total = float(below.sum())
    value = float(above.sum()) / total
    return _interval(value, above - value * below, total, answer)


def _interval(value: float, influences: Doubles, total: float, answer: Ints) -> RewardEstimate:
    """Return the estimate with its interval; `influences`: of the rows on value × total."""
    _, codes = np.unique(answer, return_inverse=True)
    influence = np.bincount(codes, influences)
    count = len(influence)
    spread = float(np.sqrt(count / (count - 1) * (influence @ influence)))
    skewness = float(np.mean(influence**3)) / max(float(np.mean(influence**2)) ** 1.5, _LEAST)
    low, high = (_quantile(z, skewness, count) for z in (Z95, -Z95))
    return RewardEstimate(value, value - low * spread / total, value - high * spread / total)


def _quantile(normal: float, skewness: float, count: int) -> float:
    """Return the quantile of a studentized mean of skewed values for that of a normal variable: the
    inverse of Hall's cubic transformation."""
    third = skewness / (3 * math.sqrt(count))
    if abs(third) < _LEAST:
        return normal
    cube = 1 + 3 * third * (normal - third / 2)
    return (math.copysign(abs(cube) ** (1 / 3), cube) - 1) / third

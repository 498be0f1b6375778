"""Parts of scores that the gateway computes: age of a product and followed attributes. Pure."""

import math
from collections.abc import Mapping, Sequence

from gateway.model.branch import BITS, Branch
from gateway.model.candidates import FusedCandidates
from gateway.model.scene import FRESHNESS

HOUR_MICROS = 3_600_000_000


def signals(
    candidates: FusedCandidates,
    weights: Mapping[str, float],
    half_life_hours: float,
    now_micros: int,
) -> Mapping[str, Sequence[float]]:
    """Return one value for each candidate, 0 to 1 (NaN: none), by part that has a weight.

    A product's freshness is 1 when the catalog first stores it, and halves each half-life.
    """
    found: dict[str, Sequence[float]] = {}
    created = candidates.columns.create_time_micros
    if weights.get(FRESHNESS) and len(created):
        half = half_life_hours * HOUR_MICROS
        ages = [max(now_micros - micros, 0) if micros else math.inf for micros in created]
        found[FRESHNESS] = [0.5 ** (age / half) for age in ages]
    if weights.get(Branch.FOLLOWED):
        bit = BITS[Branch.FOLLOWED]
        found[Branch.FOLLOWED] = [1.0 if bits & bit else math.nan for bits in candidates.branches]
    return found

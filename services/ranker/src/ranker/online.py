"""How answers fared: counts of what they led to, as rates with intervals. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

DAY_MICROS = 86_400 * 1_000_000
Z95 = 1.959964
"""Standard normal quantile of a two-sided 95% interval."""


@dataclass(frozen=True, slots=True)
class Period:
    """Which answers are looked at, and for how long what follows counts."""

    start_micros: int
    """Answers served from here, microseconds since 1970 (UTC) …"""
    end_micros: int
    """… and before this."""
    conversion_micros: int
    """A purchase counts up to so long after the product was clicked, else shown."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What the answers of one kind led to; a product of an answer counts once.

    Where impressions are sampled, each weighs 1 / the share that was kept: `…_weight` are sums of
    these weights over the impressions that it happened to.
    """

    model_version: str
    scene: str
    arms: str
    """Names of experiments' arms, one a line; `by_arm` leaves one at most."""
    answers: int = 0
    shown_answers: int = 0
    """Of which something was reported as shown."""
    impressions: int = 0
    weight: float = 0.0
    """Of all impressions."""
    squares: float = 0.0
    """Sum of the squares of the impressions' weights."""
    clicks: int = 0
    click_weight: float = 0.0
    conversions: int = 0
    conversion_weight: float = 0.0
    hides: int = 0
    hide_weight: float = 0.0
    clicks_without_impression: int = 0
    conversions_without_impression: int = 0


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of impressions with its 95% interval, all 0 to 1."""

    count: int
    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Joined:
    """How many events found the answer that led to them."""

    tokens: int
    """Events that carried a token."""
    named: int
    """Of which it named an answer."""
    joined: int
    """Of which the answer's record is kept."""


@dataclass(frozen=True, slots=True)
class Online:
    """The counts of a period."""

    tallies: tuple[Tally, ...]
    """By model version, scene and arm, sorted."""
    joined: Joined


_COUNTS = [field.name for field in fields(Tally)][3:]


def by_arm(tallies: Iterable[Tally]) -> tuple[Tally, ...]:
    """One for each model version, scene and arm: an answer of several arms counts in each."""
    found: dict[tuple[str, str, str], Tally] = {}
    for tally in tallies:
        for arm in tally.arms.split("\n"):
            key = (tally.model_version, tally.scene, arm)
            known = found.get(key, Tally(*key))
            sums = {name: getattr(known, name) + getattr(tally, name) for name in _COUNTS}
            found[key] = replace(known, **sums)
    return tuple(found[key] for key in sorted(found))


def rates(tally: Tally) -> tuple[Rate, Rate, Rate]:
    """Click-through, conversion and hide rate of the impressions."""
    size = tally.weight**2 / tally.squares if tally.squares else 0.0
    return (
        _rate(tally.clicks, tally.click_weight, tally.weight, size),
        _rate(tally.conversions, tally.conversion_weight, tally.weight, size),
        _rate(tally.hides, tally.hide_weight, tally.weight, size),
    )


def _rate(count: int, weight: float, total: float, size: float) -> Rate:
    share = weight / total if total else 0.0
    return Rate(count, share, *wilson(share, size))


def wilson(share: float, size: float) -> tuple[float, float]:
    """The 95% interval of a share that was seen in `size` independent trials (Wilson 1927).

    `size` may be an effective one, (Σw)² / Σw², of weighted trials (Kish 1965); 0 = nothing is
    known: 0 to 1.
    """
    if size <= 0:
        return 0.0, 1.0
    square = Z95 * Z95 / size
    middle = (share + square / 2) / (1 + square)
    half = Z95 / (1 + square) * math.sqrt(share * (1 - share) / size + square / (4 * size))
    return max(middle - half, 0.0), min(middle + half, 1.0)

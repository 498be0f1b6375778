"""Thresholds of good matches, as a scene has them."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field
from pydantic import dataclasses as checked

from gateway.model.branch import SPACES

LEAST_REFUSED, MOST_REFUSED = 0.01, 0.5
"""Shares that a verification measures."""

Cosine = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def _by_version(cosines: Mapping[str, float]) -> Mapping[str, float]:
    """A cosine says something of one version of a space alone."""
    for name in cosines:
        branch, _, version = name.partition("@")
        if branch not in SPACES or not version:
            known = ", ".join(map(str, SPACES))
            raise ValueError(f"{name!r} is not BRANCH@VERSION of a space; branches are {known}")
    return cosines


def _measured(share: float) -> float:
    if share and not LEAST_REFUSED <= share <= MOST_REFUSED:
        raise ValueError(f"must be {LEAST_REFUSED:g} to {MOST_REFUSED:g}, or 0")
    return share


@checked.dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Thresholds:
    """From when on a match is good; see scenes/default.toml."""

    refuse: Annotated[float, AfterValidator(_measured)] = 0.0
    """Share of the catalog's own photos that the threshold refuses; 0 = there is none."""
    cosines: Annotated[Mapping[str, Cosine], AfterValidator(_by_version)] = field(
        default_factory=dict
    )
    """By branch and space version."""
    min_words: Share = 0.0
    """How well a product has the words of a text that is a good match whatever its cosine; 0 = none
    is."""
    min_chance: Share = 0.0
    """Of the best calibrated score; 0 = there is none."""

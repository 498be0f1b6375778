"""Rules of a scene that reorder products after scoring."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic import dataclasses as checked

from sightline_rules.categories import MAX_LEVELS

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

Count = Annotated[int, Field(ge=1, le=200)]

Level = Annotated[int, Field(ge=1, le=MAX_LEVELS)]

Place = Annotated[int, Field(ge=2, le=200)]


def _pairs(caps: object) -> object:
    """Convert a file's table to pairs; a list stays."""
    if isinstance(caps, list):
        raise ValueError("must be a table: level = number")  # noqa: TRY004 (pydantic collects it)
    return tuple(caps.items()) if isinstance(caps, dict) else caps


def _rising(places: tuple[int, ...]) -> tuple[int, ...]:
    if list(places) != sorted(set(places)):
        raise ValueError("exploration_places must ascend")
    return places


@checked.dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Diversity:
    """Rules that reorder products after scoring; see scenes/default.toml. Default: all off."""

    diversity: Share = 0.0
    calibrated: Share = 0.0
    popularity: Share = 0.0
    window: Annotated[int, Field(ge=2, le=500)] = 100
    cap_places: Count = 10
    brand_cap: Annotated[int, Field(ge=0, le=200)] = 0
    """0: no limit."""
    category_caps: Annotated[
        tuple[tuple[Level, Count], ...],
        BeforeValidator(_pairs),
        AfterValidator(lambda caps: tuple(sorted(caps))),
    ] = ()
    """(level, maximum number of products of one category), by level."""
    exploration_places: Annotated[
        tuple[Place, ...], Field(max_length=20), AfterValidator(_rising)
    ] = ()
    exploration_days: Annotated[float, Field(gt=0, le=3650, allow_inf_nan=False)] = 30.0

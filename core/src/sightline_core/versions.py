"""Versions of spaces, model, scene and release behind an answer, and the freshness of its index."""

from datetime import timedelta
from typing import NamedTuple

from sightline_rules.fast_dataclass import fast_dataclass


class SpaceVersion(NamedTuple):
    """A version of a space and its index generation."""

    space: str = ""
    version: str = ""
    generation: str = ""


class Versions(NamedTuple):
    """Versions behind an answer. A tuple: its message is kept by it."""

    spaces: tuple[SpaceVersion, ...] = ()
    """Versions that were searched."""
    model_version: str = ""
    scene: str = ""
    scene_version: str = ""
    plan: str = ""
    """Steps executed, in one line."""
    service_version: str = ""
    """Release of the gateway."""
    objective: str = ""
    """Objective of the scene: clicks, purchases or revenue; empty if its file names none."""


@fast_dataclass(frozen=True, slots=True)
class Freshness:
    """Lag of an index behind the record."""

    index_token: str = ""
    index_lag: timedelta = timedelta()
    index_time_micros: int = 0
    """Microseconds since 1970 (UTC)."""
    pending: int = 0
    """Number of photos or texts that wait to be indexed."""


@fast_dataclass(frozen=True, slots=True)
class StageTiming:
    """Duration of one stage of a request, in seconds."""

    stage: str
    start: float
    """Seconds after the request's start."""
    total: float
    work: float | None = None
    """Seconds of work in the peer by its own clock; `None` if unknown."""

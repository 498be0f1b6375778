"""Which versions of spaces, model, scene and release made an answer, and how fresh its index is."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class SpaceVersion:
    """A version of a space, and the index generation that holds it."""

    space: str = ""
    version: str = ""
    generation: str = ""


@dataclass(frozen=True, slots=True)
class Versions:
    """What made an answer."""

    spaces: tuple[SpaceVersion, ...] = ()
    """The versions that were searched."""
    model_version: str = ""
    scene: str = ""
    scene_version: str = ""
    plan: str = ""
    """What was done, in one line."""
    service_version: str = ""
    """The gateway's release."""
    objective: str = ""
    """Objective of the scene: clicks, purchases or revenue; empty: its file names none."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far an index is behind the record."""

    index_token: str = ""
    index_lag: timedelta = timedelta()
    index_time_micros: int = 0
    """Microseconds since 1970 (UTC)."""
    pending: int = 0
    """Photos or texts that wait to be indexed."""


@dataclass(frozen=True, slots=True)
class StageTiming:
    """How long a stage of a request took, in seconds."""

    stage: str
    start: float
    """After the request's start."""
    total: float
    work: float | None = None
    """Work in the peer by its own clock; None: not known."""

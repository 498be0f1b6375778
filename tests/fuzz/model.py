"""What the fuzzer sends, gets and finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FUZZ, KEPT, PHOTOS = "fuzz", "fuzz-kept", "fuzz-photos"
CATALOGS = (FUZZ, KEPT, PHOTOS)
"""Where anything may be written and deleted; where what was acknowledged has to stay; the same for
photos. The suite has to be started with them."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it goes over the wire."""

    method: str
    """"/package.Service/Method"."""
    request: bytes
    seconds: float
    """Its deadline."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Its headers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    code: str
    """Name of the gRPC status code."""
    message: str
    details: bytes
    """The serialised google.rpc.Status of the trailers; empty = none."""
    responses: tuple[bytes, ...]
    """One, or the first few of a stream; none when refused."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation."""

    check: str
    why: str
    call: Call | None = None
    """What to send to see it again; None when no one request can be named."""
    answer: Answer | None = None


class Verdict(StrEnum):
    """How a check ended."""

    HELD = "held"
    VIOLATED = "VIOLATED"
    NOT_MEASURED = "NOT MEASURED"


@dataclass(frozen=True, slots=True)
class Check:
    """A line of the result."""

    name: str
    verdict: Verdict
    measured: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is sent."""

    requests: int
    images: int
    filters: int
    seed: int
    seconds: float
    """When sending ends, whatever is left."""
    in_flight: int = 16
    train: bool = True
    """Whether a model is trained first."""
    filter_seconds: float = 60.0
    """How long filters are compared, at most."""

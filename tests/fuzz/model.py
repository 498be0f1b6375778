"""Requests, answers and findings of the fuzzer."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

FUZZ, KEPT, PHOTOS = "fuzz", "fuzz-kept", "fuzz-photos"
MADE = "fuzz-made"
"""Catalog that requests create and delete."""
CATALOGS = (FUZZ, KEPT, PHOTOS)
"""Catalogs: one in which anything may be written and deleted; one in which acknowledged data
must remain; the same for photos. The suite must be started with them."""


class Caller(StrEnum):
    """Kind of sender of a request."""

    OWN = "all roles, all catalogs"
    SLOW = "the same rights, another name"
    NOBODY = "no token"
    UNKNOWN = "an unknown token"
    ELSEWHERE = "a key for another catalog"
    OTHER_ROLE = "a key for another role"
    OTHER_PORT = "an operator's call on the public port"


@dataclass(frozen=True, slots=True)
class Call:
    """Request as it is sent."""

    method: str
    """"/package.Service/Method"."""
    request: bytes
    seconds: float
    """Its deadline."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Its headers, but for those that say who calls."""
    caller: Caller = Caller.OWN


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer to a call."""

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
    """Call that reproduces it; None if no single request does."""
    answer: Answer | None = None


class Verdict(StrEnum):
    """Result of a check."""

    HELD = "held"
    VIOLATED = "VIOLATED"
    NOT_MEASURED = "NOT MEASURED"
    LEFT_OUT = "NOT MEASURED, not asked for"
    """The run did not get the input of the check. This is no failure."""

    @property
    def fine(self) -> bool:
        """True if a run with this verdict counts as clean."""
        return self in (Verdict.HELD, Verdict.LEFT_OUT)


@dataclass(frozen=True, slots=True)
class Check:
    """A line of the result."""

    name: str
    verdict: Verdict
    measured: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one observation."""

    held: bool
    measured: str


@dataclass(slots=True)
class Result:
    """Results of a run."""

    checks: list[Check] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0
    """Alike ones that were not kept."""
    codes: dict[tuple[str, str], int] = field(default_factory=dict)
    """Answers by call and status code."""

    @property
    def clean(self) -> bool:
        """True if every requested check ran and held."""
        return bool(self.checks) and all(check.verdict.fine for check in self.checks)

    def add(self, name: str, held: bool, measured: str) -> None:
        """Record a check that ran."""
        self.checks.append(Check(name, Verdict.HELD if held else Verdict.VIOLATED, measured))

    def miss(self, name: str, why: str) -> None:
        """Record a check that could not run."""
        self.checks.append(Check(name, Verdict.NOT_MEASURED, why))

    def leave_out(self, name: str, why: str) -> None:
        """Record a check without input."""
        self.checks.append(Check(name, Verdict.LEFT_OUT, why))


@dataclass(frozen=True, slots=True)
class Plan:
    """Amount of requests to send."""

    requests: int
    images: int
    filters: int
    seed: int
    seconds: float
    """Seconds after which sending ends, even if requests are left."""
    deadline_seconds: float = 4.0
    """Deadline of a mutated request to a unary call; 3% of them get some milliseconds instead."""
    in_flight: int = 16
    train: bool = True
    """True if a model is trained first."""
    filter_seconds: float = 60.0
    """Maximum seconds for the comparison of filters."""
    broken: tuple[bytes, ...] = ()
    """Photos as they are found in the test suites of decoders, each sent once and mutated."""
    idle_streams: int = 200
    """Held on one connection, and as many on several."""
    probe_seconds: float = 5.0
    """Deadline of a probe, equal to the time after which the manifests end a pod."""

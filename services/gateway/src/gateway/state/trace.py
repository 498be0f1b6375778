"""What happened on the way of one request: timings, losses, versions."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gateway.model.causes import Cause, Loss, Peer, cause_of
from gateway.model.errors import PeerUnavailable, StageLate
from gateway.model.messages import Degradation, Freshness, SpaceVersion, Subject, Timing
from gateway.model.peers import Found
from servicekit import deadlines
from servicekit.errors import ServiceError
from servicekit.telemetry import Stages


@dataclass(slots=True)
class Note:
    """What a stage learns about itself while it runs."""

    work: float | None = None
    """Seconds of work in the peer, by its own clock."""


class _Stage:
    """A stage of a request; see Trail.stage."""

    def __init__(self, trail: "Trail", name: str, until: float) -> None:
        self._trail, self._name, self._until = trail, name, until
        self._note = Note()

    async def __aenter__(self) -> Note:
        self._start = self._trail.elapsed
        left = self._until - self._start
        self._deadline = deadlines.within(left)
        self._deadline.__enter__()
        self._timeout = asyncio.timeout(left)
        await self._timeout.__aenter__()
        return self._note

    async def __aexit__(self, *raised: Any) -> None:
        try:
            await self._timeout.__aexit__(*raised)
        except TimeoutError as error:
            raise StageLate(self._name) from error
        finally:
            self._deadline.__exit__(None, None, None)
            self._trail.timed(self._name, self._start, self._note.work)


class Trail:
    """The notes of one request. Everything is appended; nothing is read before it is over."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._origin = clock()
        self._stages = Stages()
        self.timings: list[Timing] = []
        self.losses: list[Loss] = []
        self.gone: set[Peer] = set()
        """Peers that did not answer at all: they are not asked again in this request."""
        self.told: list[Degradation] = []
        """Degradations that peers reported of themselves."""
        self.missing_places: dict[int, str] = {}
        """Places of the signals whose product the catalogue does not hold, with its id."""
        self.subjects: dict[int, Subject] = {}
        """Where the subjects are of photos that were to be looked for, by their signals' places."""
        self.spaces: list[SpaceVersion] = []
        """Those that were searched, each once."""
        self.freshness: Freshness | None = None
        self.named: list[str] = []
        """What each branch did, in words."""
        self.steps: list[str] = []
        """What was done with it, in words."""
        self.model_version = ""
        self.history_token = ""
        """Marks the shopper's history that the ranker read."""

    @property
    def elapsed(self) -> float:
        """Seconds since the request's start."""
        return self._clock() - self._origin

    def stage(self, name: str, until: float) -> "_Stage":
        """Time the body as a stage that has to be over `until` seconds after the request's start.

        Calls within it get that deadline. Raises StageLate when it is not over by then; what runs
        in it is cancelled.
        """
        return _Stage(self, name, until)

    def timed(self, name: str, start: float, work: float | None) -> None:
        """Note that a stage is over that began `start` seconds after the request's start."""
        total = self.elapsed - start
        self._stages.record(name, start, total)
        self.timings.append(timing(name, start, total, work))

    def lose(self, stage: str, cause: Cause) -> None:
        """Note that something was lost."""
        self.losses.append(Loss(stage, cause))

    def fail(self, stage: str, peer: Peer, error: ServiceError) -> None:
        """Note what a peer's failure cost; raises it when it is the caller's own."""
        self.lose(stage, cause_of(peer, error))
        if isinstance(error, PeerUnavailable):
            self.gone.add(peer)

    def lost(self, *causes: Cause) -> bool:
        """Whether something was lost for one of these causes."""
        return any(loss.cause in causes for loss in self.losses)

    def searched(self, found: Found) -> None:
        """Note which index a search saw, and what it lost.

        Of several indexes, the one that lags most speaks for all.
        """
        self.heard(found.degradations)
        if found.space is not None and found.space not in self.spaces:
            self.spaces.append(found.space)
        if found.freshness is not None and (
            self.freshness is None or _lag(found.freshness) > _lag(self.freshness)
        ):
            self.freshness = found.freshness

    @property
    def plan(self) -> str:
        """What was done, in one line; the same however the branches raced."""
        return " → ".join((" + ".join(sorted(self.named)), *self.steps))

    @property
    def by_start(self) -> tuple[Timing, ...]:
        """The stages so far, by start."""
        return tuple(sorted(self.timings, key=lambda item: item.start.ToMicroseconds()))

    def heard(self, told: Iterable[Degradation]) -> None:
        """Note what a peer says of itself."""
        self.told.extend(told)


def timing(stage: str, start: float, total: float, work: float | None) -> Timing:
    """How long a stage took, in seconds; what the peer did not work was spent on the wire and in
    its queue. `work` is by the peer's own clock; None = not known."""
    told = Timing(stage=stage)
    told.start.FromMicroseconds(round(start * 1e6))
    told.total.FromMicroseconds(round(total * 1e6))
    if work is not None:
        told.work.FromMicroseconds(round(min(work, total) * 1e6))
        told.network.FromMicroseconds(round(max(total - work, 0.0) * 1e6))
    return told


def _lag(freshness: Freshness) -> timedelta:
    return freshness.index_lag.ToTimedelta()

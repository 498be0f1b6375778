"""Trace of one request: timings, failures, versions."""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Any, Self

from gateway.model.causes import Peer
from gateway.model.errors import StageLate
from gateway.model.peer_failures import StageFailure, failure_of
from gateway.model.peers import ReadLabel
from gateway.model.retrieved import BranchResult
from servicekit import deadlines, tracing
from servicekit.errors import ServiceError
from servicekit.telemetry import service_name, stage_seconds
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.opaque_messages import Facet
from sightline_core.score_notes import ScoreNote
from sightline_core.search import NearestProducts, UsedSynonym
from sightline_core.versions import Freshness, SpaceVersion, StageTiming
from sightline_rules.photo_products import Detection


class Stage(deadlines.TimeLimit):
    """A stage of a request; see RequestTrace.stage."""

    __slots__ = ("_name", "_span", "_start", "_trace", "_until", "work")

    def __init__(self, trace: "RequestTrace", name: str, until: float) -> None:
        self._trace, self._name, self._until, self._reserve = trace, name, until, 0.0
        self.work: float | None = None
        """Seconds of work in the peer, by its own clock."""

    async def __aenter__(self) -> Self:
        trace = self._trace
        self._start = trace._clock() - trace._origin
        self._seconds = self._until - self._start
        self.__enter__()
        self._span = tracing.child(self._name) if tracing.is_recording else None
        return self

    async def __aexit__(self, *raised: Any) -> None:
        try:
            self.__exit__(*raised)
        except TimeoutError as error:
            raise StageLate(self._name) from error
        finally:
            trace = self._trace
            total = trace._clock() - trace._origin - self._start
            stage_seconds(trace._service, self._name).observe(total)
            trace.timings.append(StageTiming(self._name, self._start, total, self.work))
            if self._span is not None:
                self._span.end(raised[1])


class RequestTrace:
    """Trace of one request.

    Branches run in parallel and return their notes; only the steps before and after them write
    here, so that nothing depends on the order in which branches finish.
    """

    def __init__(  # noqa: PLR0915 - one statement an attribute
        self, clock: Callable[[], float] = time.perf_counter, *, former: Self | None = None
    ) -> None:
        """Begin, or begin anew the answer of a former trace, whose start and answer id stay."""
        self._clock = clock
        self._origin: float = clock() if former is None else former._origin
        self._service = service_name.get()
        self.timings: list[StageTiming] = []
        self.repeat_until = 0.0
        """Seconds from the request's start until which a change that is found lets the answer be
        formed anew; 0: never."""
        self.answer_id: str = "" if former is None else former.answer_id
        """Id of the record that the ranker stores, which replaces those of answers that were formed
        before; empty: none was drafted."""
        self.failures: list[StageFailure] = []
        self.reported: list[Degradation] = []
        """Degradations reported by peers."""
        self.missing: dict[int, str] = {}
        """Products that are not in the catalog, by index of the signal."""
        self.facets: list[Facet] = []
        """Facet counts."""
        self.spaces: list[SpaceVersion] = []
        """Spaces that were searched, without duplicates."""
        self.nearest_cosines: dict[str, Sequence[float]] = {}
        """Cosines between a catalog's own photos, by generation; see NearestProducts."""
        self.match_cosines: dict[int, Sequence[float]] = {}
        """Cosines of good matches of photos, by index of the signal; see EmbeddedSignal."""
        self.freshness: Freshness | None = None
        self.branch_steps: list[str] = []
        """Steps of each branch, in words."""
        self.steps: list[str] = [] if former is None else ["formed anew"]
        """Steps applied to the candidates, in words."""
        self.score_notes: dict[tuple[str, int], ScoreNote] = {}
        """Data that scores lack, by part and cause."""
        self.model_version = ""
        self.anchors: tuple[str, ...] = ()
        """Anchors that the ranker found for a request that named none."""
        self.detections: Sequence[Detection] = ()
        """Products that were found in the photo that gives the anchors."""
        self.synonyms: dict[str, UsedSynonym] = {}
        """By product: the synonym by which a search found it."""
        self.labels: dict[int, ReadLabel] = {}
        """Texts read in photos, by index of the signal."""
        self.read: dict[str, str] = {}
        """By product: the words of a label that it has, as the photo shows them."""
        self.corrected: dict[int, str] = {}
        """Corrected texts, by index of the signal."""
        self.history_token = ""
        """Identifies the shopper's history that the ranker read."""
        self.snapshot_micros = 0
        """When the products that are shown were read, microseconds since 1970 (UTC); 0: by this
        request."""
        self.snapshot_listed = False
        """True if the snapshot's products are candidates."""

    def anew(self) -> Self:
        """Return the trace of the same request, whose answer is formed anew."""
        return type(self)(self._clock, former=self)

    @property
    def elapsed(self) -> float:
        """Seconds since the request's start."""
        return self._clock() - self._origin

    def stage(self, name: str, until: float) -> Stage:
        """Time the body as a stage that must end `until` seconds after the request's start.

        Calls within it get that deadline. Later, the body is cancelled and StageLate raised.
        """
        return Stage(self, name, until)

    def note_scores(self, notes: Sequence[ScoreNote]) -> None:
        """Add what scores lack; the newest note of a part and cause counts."""
        if notes:
            self.score_notes |= {(note.part, note.cause): note for note in notes}

    def note(self, result: BranchResult) -> BranchResult:
        """Add the result of a branch, and return it."""
        self.failures += result.failures
        self.missing |= result.missing
        self.anchors = result.anchors or self.anchors
        self.corrected |= result.corrected
        self.labels |= result.labels
        self.read |= result.read
        self.match_cosines |= result.match_cosines
        self.facets += result.facets
        self.branch_steps += result.steps
        for found in result.found:
            self._searched(found)
        for generated in result.generated:
            self.reported += generated.degradations
            self.model_version = self.model_version or generated.model_version
            self.history_token = generated.history_token or self.history_token
        return result

    def fail(self, stage: str, peer: Peer, error: ServiceError) -> None:
        """Add a peer's failure. Raise it if the caller caused it."""
        self.failures.append(failure_of(stage, peer, error))

    def _searched(self, found: NearestProducts) -> None:
        """Add a search. Of several indexes, the freshness of the most outdated one counts."""
        self.reported += found.degradations
        self.synonyms |= found.synonyms
        if found.space is not None and found.space not in self.spaces:
            self.spaces.append(found.space)
            self.nearest_cosines[found.space.generation] = found.nearest_cosines
        if found.freshness is not None and (
            self.freshness is None or _lag(found.freshness) > _lag(self.freshness)
        ):
            self.freshness = found.freshness

    @property
    def unreachable(self) -> set[Peer | None]:
        """Peers that did not answer at all: they are not called again in this request."""
        return {failure.unreachable for failure in self.failures}

    @property
    def causes(self) -> set[DegradationCause]:
        """Causes of degradation so far."""
        return {failure.cause for failure in self.failures}

    @property
    def by_start(self) -> tuple[StageTiming, ...]:
        """The stages so far, by start."""
        return tuple(sorted(self.timings, key=attrgetter("start")))


def plan_of(branch_steps: Iterable[str], steps: Iterable[str]) -> str:
    """Return the steps executed, in one line; branches in any order give the same."""
    return " → ".join((" + ".join(sorted(branch_steps)), *steps))


def _lag(freshness: Freshness) -> timedelta:
    return freshness.index_lag

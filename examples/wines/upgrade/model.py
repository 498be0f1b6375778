"""Results and faults of a roll-out under load, as plain values."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SAME_SCORE = 1e-3
"""Tolerance of the scores of equal requests to one generation, as an engine adds floats in any
order. Scores of two models differ by far more.
"""


class UpgradeFailed(Exception):
    """The roll-out failed; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Outcome of one request."""

    kind: str
    """"photo", "product" or "user"."""
    key: str
    """Key of the request; equal keys mean equal requests."""
    began: datetime | None
    """When it was sent (UTC); None for ``sightline recommend --batch``, which does not report it.
    """
    seconds: float
    """Duration of its answer; 0 if unknown."""
    generations: tuple[str, ...] = ()
    """Generations of the visual space in the answer."""
    scores: tuple[float, ...] = ()
    """Scores of the results, in their order."""
    lost: tuple[str, ...] = ()
    """The answer's degradations."""
    error: str = ""
    """Reason of a failure; empty if there is an answer."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline."""

    time: datetime
    told: str


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of the roll-out."""

    name: str
    begin: datetime
    to: str = ""
    """The generation that becomes active in it; empty if none does."""


@dataclass(frozen=True, slots=True)
class Played:
    """The whole of a roll-out."""

    before: str
    """The generation that was active at first."""
    after: str
    """The new one."""
    timeline: tuple[Moment, ...]
    """In the order of time."""
    phases: tuple[Phase, ...]
    """One after another; each lasts until the next begins."""
    seen: tuple[Seen, ...]


def faults(played: Played) -> tuple[str, ...]:
    """Return what was wrong, one sentence each; none = each request noticed a new model at most."""
    return tuple(_faults(played))


def _faults(played: Played) -> Iterator[str]:
    failed = Counter(item.error for item in played.seen if item.error)
    yield from (f"{count:,} requests failed: {error}" for error, count in failed.items())
    lost = Counter(cause for item in played.seen for cause in item.lost)
    yield from (f"{count:,} answers were degraded: {cause}" for cause, count in lost.items())
    known = {played.before, played.after}
    named = {name for item in played.seen for name in item.generations}
    if strange := named - known:
        yield f"answers name unknown generations: {', '.join(sorted(strange))}"
    yield from (f"no answer came from {name}" for name in sorted(known - named))
    if mixed := sum(len(item.generations) > 1 for item in played.seen):
        yield f"{mixed:,} answers come from two generations"
    if blind := sum(map(_is_blind, played.seen)):
        yield f"{blind:,} answers come from no generation"
    if unequal := _unequal(played.seen):
        yield f"{unequal:,} answers are not those of the generation that they name"


def _is_blind(item: Seen) -> bool:
    """Return whether the index was asked and did not answer. Customers' candidates come from the
    ranker."""
    return item.kind != "user" and not item.error and not item.generations


def _unequal(seen: Sequence[Seen]) -> int:
    """Count answers that differ from the first one to the same request by the same generation."""
    first: dict[tuple[str, str, tuple[str, ...]], tuple[float, ...]] = {}
    unequal = 0
    for item in seen:
        if not item.error:
            key = (item.kind, item.key, item.generations)
            unequal += not _close(item.scores, first.setdefault(key, item.scores))
    return unequal


def _close(left: Sequence[float], right: Sequence[float]) -> bool:
    return len(left) == len(right) and all(
        abs(one - other) <= SAME_SCORE for one, other in zip(left, right, strict=True)
    )


def counts(seen: Sequence[Seen]) -> Mapping[tuple[str, str], int]:
    """Count the answers of each kind by generation; "" = the index was not asked."""
    return Counter((item.kind, " and ".join(item.generations)) for item in seen if not item.error)


def seconds_by_phase(played: Played) -> Mapping[str, list[float]]:
    """Return the seconds of the timed answers, ascending, by the phase in which they were
    requested."""
    found: dict[str, list[float]] = {phase.name: [] for phase in played.phases}
    for item in played.seen:
        begun = [phase for phase in played.phases if item.began and phase.begin <= item.began]
        if begun and not item.error:
            found[begun[-1].name].append(item.seconds)
    return {name: sorted(values) for name, values in found.items()}


def first_answers(played: Played) -> tuple[Moment, ...]:
    """Return when each change took effect: the first answer of the new generation."""
    moments = []
    for phase in played.phases:
        ended = [
            item.began + timedelta(seconds=item.seconds)
            for item in played.seen
            if item.began and item.began >= phase.begin and item.generations == (phase.to,)
        ]
        if ended:
            moments.append(Moment(min(ended), f"first answer of {phase.to}"))
    return tuple(moments)

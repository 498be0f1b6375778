"""The criteria of a roll-out without effects on callers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from examples.wines.upgrade.model import (
    Moment,
    Phase,
    Played,
    Seen,
    counts,
    faults,
    first_answers,
    seconds_by_phase,
)

BEGIN = datetime(2026, 11, 20, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def seen(second: float, generation: str, *scores: float, key: str = "w1") -> Seen:
    return Seen("photo", key, at(second), 0.01 * second, (generation,), scores)


GOOD = Played(
    before="old",
    after="new",
    timeline=(),
    phases=(Phase("before", at(0)), Phase("during", at(1.5), "new"), Phase("back", at(2.5), "old")),
    seen=(
        seen(1, "old", 0.9, 0.5),
        seen(2, "new", 0.8, 0.7),
        seen(3, "old", 0.9, 0.5000001),
        Seen("user", "ann", None, 0.0, scores=(1.0,)),
    ),
)


def with_one(more: Seen) -> tuple[str, ...]:
    return faults(replace(GOOD, seen=(*GOOD.seen, more)))


def test_a_good_roll_out_has_no_fault() -> None:
    assert faults(GOOD) == ()


def test_every_fault_is_reported() -> None:
    good = seen(4, "new", 0.8, 0.7)
    assert with_one(replace(good, error="UNAVAILABLE: away")) == (
        "1 requests failed: UNAVAILABLE: away",
    )
    assert with_one(replace(good, lost=("visual: STAGE_DEADLINE",))) == (
        "1 answers were degraded: visual: STAGE_DEADLINE",
    )
    assert with_one(replace(good, generations=("old", "new"), key="w2")) == (
        "1 answers come from two generations",
    )
    assert with_one(replace(good, generations=(), key="w2")) == (
        "1 answers come from no generation",
    )
    assert with_one(replace(good, generations=("odd",), key="w2")) == (
        "answers name unknown generations: odd",
    )
    assert with_one(replace(good, scores=(0.9, 0.5))) == (
        "1 answers are not those of the generation that they name",
    )


def test_a_generation_that_never_answered_is_a_fault() -> None:
    assert faults(replace(GOOD, seen=GOOD.seen[:1])) == ("no answer came from new",)


@pytest.mark.full
def test_answers_are_counted_and_timed_by_what_was_going_on() -> None:
    assert counts(GOOD.seen) == {("photo", "old"): 2, ("photo", "new"): 1, ("user", ""): 1}
    assert seconds_by_phase(GOOD) == {
        "before": [0.01],
        "during": [0.02],
        "back": [0.03],
    }
    assert first_answers(GOOD) == (
        Moment(at(2.02), "first answer of new"),
        Moment(at(3.03), "first answer of old"),
    )

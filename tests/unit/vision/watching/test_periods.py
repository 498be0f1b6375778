"""When a condition becomes an alert."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from vision.domain.watch_state import Period, Phase
from vision.domain.watches import SECOND, AlertKind
from vision.watching.periods import GAP, AlertTiming, advance

TIMING = AlertTiming(hold=10 * SECOND, release=5 * SECOND, cool_down=60 * SECOND)
Seen = list[tuple[int, bool | None]]


def run(seen: Seen, timing: AlertTiming = TIMING) -> list[tuple[int, AlertKind]]:
    """Return the alerts of frames, given in seconds, with the second of each."""
    period, found = Period(), []
    for second, holds in seen:
        period, kind = advance(period, holds, second * SECOND, timing)
        if kind is not None:
            found.append((second, kind))
    return found


def every_second(start: int, end: int, holds: bool | None) -> Seen:
    return [(second, holds) for second in range(start, end)]


def test_an_alert_starts_after_hold_and_ends_after_release() -> None:
    seen = every_second(1, 20, True) + every_second(20, 40, False)
    assert run(seen) == [(11, AlertKind.STARTED), (25, AlertKind.ENDED)]


def test_a_short_condition_is_no_alert() -> None:
    assert run(every_second(1, 10, True) + every_second(10, 30, False)) == []


def test_a_short_pause_does_not_end_an_alert() -> None:
    seen = every_second(1, 20, True) + every_second(20, 24, False) + every_second(24, 40, True)
    assert run(seen) == [(11, AlertKind.STARTED)]


def test_frames_that_can_not_tell_change_nothing() -> None:
    seen = every_second(1, 8, True) + every_second(8, 100, None) + every_second(100, 105, True)
    assert run(seen) == [(100, AlertKind.STARTED)]
    assert run(every_second(1, 100, None)) == []


def test_a_condition_that_holds_after_a_long_pause_begins_anew() -> None:
    later = 5 + GAP // SECOND + 1
    assert run([(5, True), (later, True), (later + 10, True)]) == [(later + 10, AlertKind.STARTED)]


def test_the_next_alert_waits_for_the_cool_down() -> None:
    seen = every_second(1, 12, True) + every_second(12, 20, False) + every_second(20, 100, True)
    assert run(seen) == [
        (11, AlertKind.STARTED),
        (17, AlertKind.ENDED),
        (71, AlertKind.STARTED),
    ]


def test_without_hold_the_first_frame_is_an_alert() -> None:
    timing = AlertTiming(0, 0, 0)
    assert run([(1, False), (2, True), (3, False)], timing) == [
        (2, AlertKind.STARTED),
        (3, AlertKind.ENDED),
    ]


frames = st.lists(st.tuples(st.integers(1, 30), st.sampled_from([True, False, None])), max_size=60)
durations = st.integers(0, 40)


@given(frames, durations, durations, durations)
def test_alerts_alternate_and_keep_their_times(
    steps: Seen, hold: int, release: int, cool_down: int
) -> None:
    timing = AlertTiming(hold * SECOND, release * SECOND, cool_down * SECOND)
    second, seen = 0, Seen()
    for step, holds in steps:
        second += step
        seen.append((second, holds))
    found = run(seen, timing)
    kinds = [kind for _, kind in found]
    assert kinds == [(AlertKind.STARTED, AlertKind.ENDED)[place % 2] for place in range(len(kinds))]
    starts = [second for second, kind in found if kind is AlertKind.STARTED]
    assert all(after - before >= cool_down for before, after in itertools.pairwise(starts))
    for second, kind in found:
        wanted, least = (True, hold) if kind is AlertKind.STARTED else (False, release)
        told = [(at, holds) for at, holds in seen if holds is not None and at <= second]
        since = second
        for at, holds in reversed(told):
            if holds is not wanted:
                break
            since = at
        assert second - since >= least


@given(frames)
def test_a_state_says_since_when(steps: Seen) -> None:
    period, second = Period(), 0
    for step, holds in steps:
        second += step
        period, _ = advance(period, holds, second * SECOND, TIMING)
        assert period.since <= period.last <= second * SECOND
        assert (period.phase is Phase.QUIET) <= (holds is not True)

from collections import deque
from collections.abc import Callable

import pytest

from servicekit.admission.concurrency import LEAST, ConcurrencyLimit, Overloaded
from tests.fakes.kit_clock import Seconds


def under_way(made: ConcurrencyLimit, count: int, party: str = "a") -> list[float]:
    return [made.enter(party) for _ in range(count)]


def end(
    made: ConcurrencyLimit, began: list[float], given: float | None = 2.0, *, ok: bool = True
) -> None:
    for each in began:
        made.leave("a", each, given, ok=ok)


def test_no_more_calls_at_a_time_than_the_limit() -> None:
    made = ConcurrencyLimit(10)
    began = under_way(made, 10)
    with pytest.raises(Overloaded) as caught:
        made.enter("a")
    assert caught.value.retry_after is not None
    end(made, began[:1])
    under_way(made, 1)


def end_late(made: ConcurrencyLimit, clock: Seconds) -> None:
    began = under_way(made, int(made.limit))
    clock.now += 60
    end(made, began)


def test_late_calls_lower_the_limit_by_how_late_they_are_once_for_all_of_them() -> None:
    clock = Seconds()
    made = ConcurrencyLimit(100, clock)
    began = under_way(made, 100)
    clock.now += 1.25  # of 2 s that were given: the half is 1
    end(made, began)
    assert made.limit == pytest.approx(64)


def test_the_limit_falls_to_a_quarter_at_most_and_never_falls_below_the_least() -> None:
    clock = Seconds()
    made = ConcurrencyLimit(100, clock)
    end_late(made, clock)
    assert made.limit == 25
    end_late(made, clock)
    assert made.limit == LEAST


def test_those_that_are_later_lower_it_further_and_none_twice() -> None:
    """Check several late calls: the first one is only slightly late, so if it alone counted, the
    limit would adapt to a flood in small steps."""
    clock = Seconds()
    made = ConcurrencyLimit(100, clock)
    began = under_way(made, 100)
    for later, limit in ((1.01, 98), (0.24, 64), (0.75, 25)):
        clock.now += later
        end(made, [began.pop(), began.pop()])
        assert made.limit == pytest.approx(limit, abs=0.1)


def test_what_began_before_the_last_but_one_lowering_lowers_it_no_more() -> None:
    clock = Seconds()
    made = ConcurrencyLimit(100, clock)
    first = under_way(made, 60)
    clock.now += 1.25
    end(made, [first.pop()])
    second = under_way(made, 4)
    clock.now += 1.25
    end(made, [second.pop()])
    limit = made.limit
    assert limit == pytest.approx(64 * 0.64)
    clock.now += 0.75
    end(made, [first.pop()])
    assert made.limit == limit
    end(made, [second.pop()])
    assert made.limit == pytest.approx(64 / 4)


@pytest.mark.parametrize(("seconds", "more"), [(0.99, 1.0), (0.5, 2.0), (0.0, 4.0)])
def test_calls_in_time_raise_it_in_each_round_the_more_the_less_they_take_up_to_the_most(
    seconds: float, more: float
) -> None:
    clock = Seconds()
    made = ConcurrencyLimit(200, clock)
    end_late(made, clock)
    lowered = made.limit
    for _ in range(4):
        began = under_way(made, int(made.limit))
        clock.now += seconds
        end(made, began)
    assert lowered + 1.5 * more < made.limit < lowered + 4 * more  # half of each count
    for _ in range(400):
        end(made, under_way(made, int(made.limit)))
    assert made.limit == 200


def test_a_call_that_is_slow_by_nature_says_nothing_while_there_is_room() -> None:
    clock = Seconds()
    made = ConcurrencyLimit(100, clock)
    began = under_way(made, 10)
    clock.now += 60
    end(made, began)
    assert made.limit == 100


def test_a_tiny_deadline_is_no_sign_of_load() -> None:
    clock = Seconds()
    made = ConcurrencyLimit(10, clock)
    began = under_way(made, 10)
    clock.now += 0.05
    end(made, began, given=0.001)
    assert made.limit == 10


def test_calls_that_fail_quickly_do_not_raise_it() -> None:
    clock = Seconds()
    made = ConcurrencyLimit(20, clock)
    began = under_way(made, 20)
    clock.now += 4
    end(made, began)
    lowered = made.limit
    end(made, under_way(made, int(lowered)), ok=False)
    assert made.limit == lowered


def test_who_holds_everything_does_not_keep_others_out_of_their_share() -> None:
    made = ConcurrencyLimit(10)
    under_way(made, 10, "greedy")
    under_way(made, 5, "calm")
    for party in ("greedy", "calm"):
        with pytest.raises(Overloaded):
            made.enter(party)


def test_many_parties_share_the_places_and_no_more() -> None:
    made = ConcurrencyLimit(10)
    began = [made.enter(number) for number in range(10)]
    with pytest.raises(Overloaded):
        made.enter("one more")
    made.leave(0, began[0], None, ok=True)
    made.enter("one more")


def test_each_limit_is_shown() -> None:
    shown: list[float] = []
    clock = Seconds()
    made = ConcurrencyLimit(100, clock, shown.append)
    began = under_way(made, 100)
    clock.now += 2
    end(made, began)
    assert shown == [100, 25]


class Backend:
    """Backend that works on all accepted calls at once, and divides its capacity evenly among
    them."""

    def __init__(self, capacity: float, given: float = 2.0) -> None:
        """Set `capacity`, calls a second, whose callers wait `given` seconds."""
        self.clock = Seconds()
        self.limits = ConcurrencyLimit(200, self.clock)
        self.refused = 0
        self.seconds: list[float] = []
        """Seconds of each call that was answered in time."""
        self.late = 0
        self._capacity, self._given = capacity, given
        self._done = 0.0
        """The work that was done for each call that is under way since the start."""
        self._under_way: deque[tuple[float, float]] = deque()
        """Work at which each call is done, and its start; the oldest first."""

    def run(self, seconds: float, each_second: float) -> None:
        """Send this many calls a second, evenly spaced."""
        for _ in range(int(seconds * each_second)):
            try:
                self._under_way.append((self._done + 1.0, self.limits.enter("anyone")))
            except Overloaded:
                self.refused += 1
            self._work(1.0 / each_second)

    def _work(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self._under_way:
            speed = self._capacity / len(self._under_way)
            ready, began = self._under_way[0]
            finish = self.clock.now + (ready - self._done) / speed
            until = min(finish, began + self._given)
            self._done += (min(until, end) - self.clock.now) * speed
            self.clock.now = min(until, end)
            if until > end:
                return
            self._under_way.popleft()
            self.limits.leave("anyone", began, self._given, ok=finish <= until)
            if finish <= until:
                self.seconds.append(until - began)
            else:
                self.late += 1
        self.clock.now = end


@pytest.mark.parametrize("capacity", [20, 100, 500])
def test_five_times_the_load_costs_no_goodput_and_what_is_admitted_is_in_time(
    capacity: float,
) -> None:
    backend = Backend(capacity)
    backend.run(seconds=6, each_second=5 * capacity)  # learns
    backend.seconds.clear()
    late = backend.late
    backend.run(seconds=30, each_second=5 * capacity)
    assert len(backend.seconds) >= 0.9 * capacity * 30
    assert backend.late - late <= 0.01 * len(backend.seconds)


def test_after_an_overload_nothing_is_refused_within_two_seconds() -> None:
    backend = Backend(100)
    backend.run(seconds=20, each_second=500)
    backend.run(seconds=2, each_second=80)
    refused = backend.refused
    backend.run(seconds=20, each_second=80)
    assert backend.refused == refused
    assert max(backend.seconds[-1_000:]) < 0.1


def test_without_a_limit_the_same_load_leaves_little_in_time() -> None:
    """Run the load without the limit, for comparison: 200 calls at once, at a capacity of 50 a
    second."""
    backend = Backend(50)
    backend.limits._least = 200.0
    backend.run(seconds=30, each_second=250)
    assert len(backend.seconds) < 0.5 * 50 * 30


def test_what_is_under_way_and_how_long_each_took_is_shown() -> None:
    clock, under, took = Seconds(), list[int](), list[float]()
    made = ConcurrencyLimit(10, clock, working=under.append, worked=took.append)
    began = under_way(made, 2)
    clock.now += 1.5
    end(made, began[:1])
    clock.now += 1
    end(made, began[1:], ok=False)
    assert under == [0, 1, 2, 1, 0]
    assert took == [1.5, 2.5]


def test_a_call_whose_steps_waited_beside_one_another_is_no_shorter_than_nothing() -> None:
    took = list[float]()
    made = ConcurrencyLimit(4, Seconds(), worked=took.append)
    made.leave("a", made.enter("a") + 1.0, None, ok=True)
    assert sum(took) == 0.0
    took.clear()
    made.leave("a", made.enter("a"), None, ok=True, counted=False)
    assert took == []


def test_many_calls_are_reported_at_once() -> None:
    under, took, reports = list[int](), list[float](), list[Callable[[], None]]()
    clock = Seconds()
    made = ConcurrencyLimit(
        10, clock, working=under.append, worked=took.append, later=reports.append
    )
    for _ in range(3):
        began = made.enter("a")
        clock.now += 1
        made.leave("a", began, None, ok=True)
    made.enter("b")
    assert (len(reports), under, took) == (1, [0], [])
    reports.pop()()
    assert under == [0, 1]
    assert took == [3.0]
    made.leave("b", made.enter("c"), None, ok=True)
    assert len(reports) == 1, "a change after a report is reported too"

import pytest

from servicekit.concurrency import LEAST, Concurrency, Overloaded
from tests.fakes.kit_clock import Seconds


def under_way(made: Concurrency, count: int, party: str = "a") -> list[float]:
    return [made.enter(party) for _ in range(count)]


def end(
    made: Concurrency, began: list[float], given: float | None = 2.0, *, ok: bool = True
) -> None:
    for each in began:
        made.leave("a", each, given, ok=ok)


def test_no_more_calls_at_a_time_than_the_limit() -> None:
    made = Concurrency(10)
    began = under_way(made, 10)
    with pytest.raises(Overloaded) as caught:
        made.enter("a")
    assert caught.value.retry_after is not None
    end(made, began[:1])
    under_way(made, 1)


def test_late_calls_lower_the_limit_by_how_late_they_are_once_for_all_of_them() -> None:
    clock = Seconds()
    made = Concurrency(100, clock)
    began = under_way(made, 100)
    clock.now += 1.25  # of 2 s that were given: the half is 1
    end(made, began)
    assert made.limit == pytest.approx(80)


def test_the_limit_halves_at_most_and_never_falls_below_the_least() -> None:
    clock = Seconds()
    made = Concurrency(100, clock)
    for _ in range(10):
        began = under_way(made, int(made.limit))
        clock.now += 60
        end(made, began)
    assert made.limit == LEAST


def test_calls_in_time_raise_it_by_one_for_each_round_up_to_the_most() -> None:
    clock = Seconds()
    made = Concurrency(20, clock)
    end_late = under_way(made, 20)
    clock.now += 4
    end(made, end_late)
    lowered = made.limit
    for _ in range(3):
        end(made, under_way(made, int(made.limit)))
    assert lowered + 2 < made.limit < lowered + 3.5
    for _ in range(30):
        end(made, under_way(made, int(made.limit)))
    assert made.limit == 20


def test_a_call_that_is_slow_by_nature_says_nothing_while_there_is_room() -> None:
    clock = Seconds()
    made = Concurrency(100, clock)
    began = under_way(made, 10)
    clock.now += 60
    end(made, began)
    assert made.limit == 100


def test_a_tiny_deadline_is_no_sign_of_load() -> None:
    clock = Seconds()
    made = Concurrency(10, clock)
    began = under_way(made, 10)
    clock.now += 0.05
    end(made, began, given=0.001)
    assert made.limit == 10


def test_calls_that_fail_quickly_do_not_raise_it() -> None:
    clock = Seconds()
    made = Concurrency(20, clock)
    began = under_way(made, 20)
    clock.now += 4
    end(made, began)
    lowered = made.limit
    end(made, under_way(made, int(lowered)), ok=False)
    assert made.limit == lowered


def test_who_holds_everything_does_not_keep_others_out_of_their_share() -> None:
    made = Concurrency(10)
    under_way(made, 10, "greedy")
    under_way(made, 5, "calm")
    for party in ("greedy", "calm"):
        with pytest.raises(Overloaded):
            made.enter(party)


def test_many_parties_share_the_places_and_no_more() -> None:
    made = Concurrency(10)
    for number in range(10):
        made.enter(number)
    with pytest.raises(Overloaded):
        made.enter("one more")
    made.leave(0, 0.0, None, ok=True)
    made.enter("one more")


def test_each_limit_is_shown() -> None:
    shown: list[float] = []
    clock = Seconds()
    made = Concurrency(100, clock, shown.append)
    began = under_way(made, 100)
    clock.now += 2
    end(made, began)
    assert shown == [100, 50]

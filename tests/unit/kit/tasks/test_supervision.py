"""Background loops go on after errors, and tell them."""

import asyncio
import itertools
from contextlib import suppress

import pytest

from servicekit.errors import Unavailable
from servicekit.tasks import supervision
from servicekit.tasks.supervision import (
    FAILURES,
    Backoff,
    LoopEnded,
    confined,
    first_raised,
    rest,
    supervised,
    tell,
    until_tick,
)
from tests import virtual_time
from tests.freed import freed


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_told", {})


def failures(loop: str, reason: str) -> float:
    return FAILURES.labels(loop, reason)._value.get()


async def test_a_loop_outlasts_errors_of_every_kind_and_counts_them() -> None:
    stop, steps = asyncio.Event(), list[int]()

    async def step() -> None:
        steps.append(1)
        if len(steps) == 1:
            raise ValueError
        if len(steps) == 2:
            raise Unavailable("down", reason="DOWN")
        stop.set()

    await supervised("of every kind", step, Backoff(0.0, 0.0), stop=stop)
    assert len(steps) == 3
    assert failures("of every kind", "INTERNAL") == failures("of every kind", "DOWN") == 1


async def test_a_loop_that_rests_after_a_failure_holds_nothing_of_its_step() -> None:
    stop, failed = asyncio.Event(), asyncio.Event()

    async def step() -> None:
        _held = hold()
        failed.set()
        raise ValueError

    with freed() as hold:
        loop = asyncio.create_task(supervised("that rests", step, Backoff(60, 60), stop=stop))
        await failed.wait()
        await asyncio.sleep(0)
    stop.set()
    await loop


def test_the_first_of_several_errors_frees_what_its_frames_held() -> None:
    def fail() -> None:
        _held = hold()
        raise OSError

    with freed() as hold, suppress(OSError), first_raised(OSError) as item:
        for _ in range(2):
            with item():
                fail()


async def test_unexpected_failures_of_a_loop_are_counted_from_zero() -> None:
    stop = asyncio.Event()
    stop.set()
    await supervised("that begins", _pass, stop=stop)
    (family,) = FAILURES.collect()
    assert [
        (sample.labels["reason"], sample.value)
        for sample in family.samples
        if sample.labels["loop"] == "that begins" and sample.name.endswith("_total")
    ] == [("INTERNAL", 0.0)]


async def _pass() -> None:
    pass


async def test_a_loop_ends_when_its_step_says_so() -> None:
    async def step() -> None:
        with confined("ending"):
            raise LoopEnded

    with pytest.raises(LoopEnded):
        await supervised("ending", step)
    assert failures("ending", "INTERNAL") == 0


async def test_a_wait_after_a_failure_ends_with_the_loop() -> None:
    stop = asyncio.Event()

    async def step() -> None:
        asyncio.get_running_loop().call_soon(stop.set)
        raise ValueError

    await supervised("stopped", step, Backoff(1e6, 1e6), stop=stop)


async def test_a_failed_row_is_counted_each_time_and_logged_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = []
    for row in ("a", "b", "a"):
        with confined("rows", row=row):
            if row == "a":
                raise KeyError(row)
            done.append(row)
    assert done == ["b"]
    assert failures("rows", "INTERNAL") == 2
    assert capsys.readouterr().out.count("step of a loop failed") == 1


def test_what_was_told_is_forgotten_rather_than_kept_without_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervision, "MOST_TOLD", 3)
    for number in range(10):
        tell("many", ValueError(), row=str(number))
    assert len(supervision._told) <= 3


async def test_waits_grow_and_begin_again_after_a_success() -> None:
    backoff = Backoff(1.0, 3.0)
    assert [backoff.fail() for _ in range(3)] == [1.0, 2.0, 3.0]
    backoff.reset()
    assert backoff.fail() == 1.0


async def test_a_rest_ends_with_its_event() -> None:
    event = asyncio.Event()
    event.set()
    await rest(None, event)
    await rest(0.0, asyncio.Event())


def test_all_items_are_worked_on_before_the_first_error_is_raised() -> None:
    done = list[int]()

    def work(kind: type[Exception]) -> None:
        with first_raised(LookupError) as item:
            for number in range(4):
                with item():
                    if number % 2:
                        raise kind(number)
                    done.append(number)

    with pytest.raises(KeyError) as raised:
        work(KeyError)
    assert (raised.value.args, done) == ((1,), [0, 2])
    with pytest.raises(ValueError, match="1"):  # another kind: nothing goes on
        work(ValueError)
    assert done == [0, 2, 0]


def test_loops_that_began_at_different_times_wake_together() -> None:
    async def loop(pause: float, woken: list[float]) -> None:
        await asyncio.sleep(pause)
        for _ in range(3):
            await asyncio.sleep(until_tick(5.0))
            woken.append(asyncio.get_running_loop().time())

    async def both() -> tuple[list[float], list[float]]:
        first, second = list[float](), list[float]()
        await asyncio.sleep(until_tick(5.0))
        await asyncio.gather(loop(0.3, first), loop(1.7, second))
        return first, second

    (first, second), _ = virtual_time.run(both())
    assert first == pytest.approx(second, abs=0.01)
    assert [b - a for a, b in itertools.pairwise(first)] == pytest.approx([5.0, 5.0], abs=0.01)


def test_there_is_no_tick_of_nothing_and_none_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def after(now: float, seconds: float) -> float:
        with monkeypatch.context() as patched:
            patched.setattr(asyncio.get_running_loop(), "time", lambda: now)
            return until_tick(seconds)

    assert asyncio.run(after(1.0, 0.0)) == 0.0
    assert asyncio.run(after(0.9, 0.3)) == pytest.approx(0.3, abs=0.001)  # .9 % .3 is nearly .3
    assert asyncio.run(after(300.0, 7.0)) == pytest.approx(1.0)

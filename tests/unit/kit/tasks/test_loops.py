"""A loop repeats until it is stopped, whatever the result of a step."""

import asyncio

import pytest

from servicekit.errors import Unavailable
from servicekit.liveness import LIVENESS, SILENT_SECONDS
from servicekit.tasks.loops import Loop, in_each
from tests.fakes.kit_clock import Seconds
from tests.waiting import SECONDS, until

QUIET_SECONDS = 0.2


class StoreBusy(Unavailable, reason="STORE_BUSY"):
    """The store is busy."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    """Return the clock of a liveness monitor without other loops."""
    made = Seconds()
    monkeypatch.setattr(LIVENESS, "_clock", made)
    monkeypatch.setattr(LIVENESS, "_due", {})
    return made


async def test_a_look_that_fails_ends_nothing() -> None:
    stop, looks = asyncio.Event(), 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 4:
            stop.set()
        raise StoreBusy if looks % 2 else RuntimeError("a mistake of ours")

    await asyncio.wait_for(Loop("not looked", look, 0.01).run(stop), SECONDS)
    assert looks == 4


async def test_a_loop_that_is_stopped_already_does_not_look() -> None:
    stop = asyncio.Event()
    stop.set()

    async def look() -> None:
        raise AssertionError

    await Loop("not looked", look, SECONDS).run(stop)


async def test_a_stop_ends_the_pause() -> None:
    stop = asyncio.Event()

    async def look() -> None:
        asyncio.get_running_loop().call_later(0.01, stop.set)

    await asyncio.wait_for(Loop("not looked", look, 1e6).run(stop), SECONDS)


async def test_a_loop_that_hangs_is_missed_and_one_that_pauses_is_not(clock: Seconds) -> None:
    stop, hangs = asyncio.Event(), False

    async def look() -> None:
        if hangs:
            await asyncio.Event().wait()

    paused = asyncio.create_task(Loop("not looked", look, 3600, alive="loop").run(stop))
    await until(lambda: "loop" in LIVENESS._due)
    clock.now += 3600
    assert LIVENESS.overdue() == []
    stop.set()
    await paused
    clock.now += 3600
    assert LIVENESS.overdue() == [], "it ended"
    stop.clear()
    hangs = True
    hung = asyncio.create_task(Loop("not looked", look, 3600, alive="loop").run(stop))
    await until(lambda: "loop" in LIVENESS._due)
    clock.now += SILENT_SECONDS + 1
    assert LIVENESS.overdue() == ["loop"]
    hung.cancel()


async def test_a_look_follows_a_commit_and_an_unchanged_record_is_left_alone() -> None:
    stop, commits, looks = asyncio.Event(), asyncio.Event(), asyncio.Queue[int]()

    async def look() -> None:
        looks.put_nowait(1)

    loop = asyncio.create_task(Loop("not looked", look, wake=commits).run(stop))
    await looks.get()
    for _ in range(3):
        commits.set()
        async with asyncio.timeout(SECONDS):
            await looks.get()
    await asyncio.sleep(QUIET_SECONDS)
    assert looks.empty()
    stop.set()
    await loop


async def test_work_that_becomes_due_with_time_is_looked_for_without_a_commit() -> None:
    stop, looks = asyncio.Event(), list[int]()

    async def look() -> None:
        looks.append(1)
        if len(looks) == 3:
            stop.set()

    async with asyncio.timeout(SECONDS):
        await Loop("not looked", look, wake=asyncio.Event(), latest=0.01).run(stop)


async def test_a_commit_during_a_look_is_looked_at_again() -> None:
    stop, commits, looks = asyncio.Event(), asyncio.Event(), list[int]()

    async def look() -> None:
        looks.append(1)
        commits.set()
        if len(looks) == 2:
            stop.set()

    async with asyncio.timeout(SECONDS):
        await Loop("not looked", look, wake=commits).run(stop)


async def test_a_busy_record_is_looked_at_no_more_often_than_one_that_reports_no_commits() -> None:
    stop, commits, looks = asyncio.Event(), asyncio.Event(), list[int]()

    async def look() -> None:
        looks.append(1)
        commits.set()

    loop = asyncio.create_task(Loop("not looked", look, 3_600, commits).run(stop))
    await asyncio.sleep(QUIET_SECONDS)
    stop.set()
    await loop
    assert len(looks) == 1


async def test_a_look_that_failed_is_repeated_without_a_commit() -> None:
    stop, looks = asyncio.Event(), list[int]()

    async def look() -> None:
        looks.append(1)
        if len(looks) == 1:
            raise StoreBusy
        stop.set()

    async with asyncio.timeout(SECONDS):
        await Loop("not looked", look, wake=asyncio.Event()).run(stop)
    assert len(looks) == 2


async def test_a_step_with_more_to_do_is_repeated_at_once() -> None:
    stop, looks = asyncio.Event(), list[int]()

    async def look() -> bool:
        looks.append(1)
        if len(looks) == 100:
            stop.set()
        return True

    async with asyncio.timeout(SECONDS):
        await Loop("not looked", look, 3_600, asyncio.Event(), None).run(stop)
    assert len(looks) == 100


async def test_a_look_that_fails_in_one_catalog_follows_in_the_others() -> None:
    seen = []

    async def look(catalog_id: str) -> None:
        seen.append(catalog_id)
        if catalog_id == "bad":
            raise KeyError

    await in_each(("bad", "good"), look, "not looked", "each")()
    LIVENESS.suspend("each")
    assert seen == ["bad", "good"]

"""Work in turns: how long it delays other work, and when it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator

import pytest

from servicekit import deadlines
from servicekit.errors import DeadlineExceeded
from servicekit.tasks import off_loop
from servicekit.tasks.off_loop import INLINE_STEPS, in_parts
from tests.waiting import until

MANY = INLINE_STEPS + 1


class Steps:
    """Work of some steps that notes in which threads they run."""

    def __init__(self, count: int) -> None:
        self.left, self.done, self.threads = count, 0, set[int]()

    def work(self) -> Generator[None, None, str]:
        while self.left:
            self.left -= 1
            self.done += 1
            self.threads.add(threading.get_ident())
            yield
        return "done"


async def begun(steps: Steps) -> None:
    await until(lambda: steps.done > 0)


@pytest.fixture(autouse=True)
def _one_step_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a turn end after its first step, whatever the machine's speed."""
    monkeypatch.setattr(off_loop, "TURN_SECONDS", 0.0)


async def test_little_work_is_done_on_the_event_loop() -> None:
    steps = Steps(3)
    assert await off_loop.off_loop(INLINE_STEPS, steps.work()) == "done"
    assert steps.threads == {threading.get_ident()}


async def test_more_work_is_done_in_threads() -> None:
    steps = Steps(3)
    assert await off_loop.off_loop(MANY, steps.work()) == "done"
    assert threading.get_ident() not in steps.threads


async def test_the_loop_runs_between_two_turns() -> None:
    steps, seen = Steps(20), set[int]()

    async def other() -> None:
        while steps.left:
            seen.add(steps.done)
            await asyncio.sleep(0)

    await asyncio.gather(off_loop.off_loop(MANY, steps.work()), other())
    assert len(seen) > 10


async def test_it_ends_between_two_turns_once_the_deadline_has_passed() -> None:
    steps = Steps(10**9)

    def pass_deadline() -> Generator[None, None, str]:
        for _ in steps.work():
            if steps.done == 3:
                end.append(steps.done)
                deadline[0] = -1.0
            yield
        return ""

    end, deadline = list[int](), [60.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deadlines, "remaining", lambda: deadline[0])
        with pytest.raises(DeadlineExceeded):
            await off_loop.off_loop(MANY, pass_deadline())
    assert end == [3]
    assert steps.done == 3


async def test_it_ends_when_its_caller_leaves() -> None:
    steps = Steps(10**9)
    running = asyncio.ensure_future(off_loop.off_loop(MANY, steps.work()))
    await begun(steps)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    done = steps.done
    # The next work has the permit, and a turn that had begun has ended before.
    assert await off_loop.off_loop(MANY, Steps(3).work()) == "done"
    assert steps.done <= done + 1


async def test_cheap_work_overtakes_expensive_work_that_began_before() -> None:
    expensive, cheap = Steps(50), Steps(5)
    first = asyncio.ensure_future(off_loop.off_loop(100 * MANY, expensive.work()))
    await begun(expensive)
    before = expensive.done
    await off_loop.off_loop(MANY, cheap.work())
    assert expensive.done <= before + 2
    assert await first == "done"


async def test_equally_expensive_work_takes_turns() -> None:
    one, other = Steps(40), Steps(40)
    works = (off_loop.off_loop(MANY, each.work()) for each in (one, other))
    running = [asyncio.ensure_future(each) for each in works]
    await until(lambda: one.left <= 20)
    assert other.done >= 15
    await asyncio.gather(*running)


async def test_an_error_of_the_work_is_raised_and_gives_the_turn_back() -> None:
    def broken() -> Generator[None, None, str]:
        yield
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await off_loop.off_loop(MANY, broken())
    assert await off_loop.off_loop(MANY, Steps(3).work()) == "done"


async def test_other_tasks_run_between_parts_of_items() -> None:
    seen: list[object] = []

    async def other() -> None:
        while len(seen) < 50:
            seen.append("other")
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    assert await in_parts((seen.append(each) or each for each in range(30)), 10) == [*range(30)]
    task.cancel()
    assert [each for each in seen if each != "other"] == [*range(30)]
    assert seen.count("other") >= 3

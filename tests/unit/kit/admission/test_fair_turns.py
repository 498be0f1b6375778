"""Turns of several parties: how long one with much work delays another."""

from __future__ import annotations

import asyncio

from servicekit.admission.fair_turns import FairTurn, FairTurns
from tests.fakes.kit_clock import Seconds
from tests.waiting import until


class Line:
    """Tasks that take turns, and the order in which they start."""

    def __init__(self, turns: int, most: int) -> None:
        self.clock, self.started = Seconds(), list[str]()
        self.turns = FairTurns(turns, most, self.clock)
        self.held: dict[str, FairTurn] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        """Let tasks wait, each for the party that its name begins with."""
        for name in names:
            self.tasks[name] = asyncio.create_task(self._take(name))
            await settle()

    async def _take(self, name: str) -> None:
        self.held[name] = await self.turns.take(name[0])
        self.started.append(name)

    async def end(self, name: str, seconds: float = 1.0) -> None:
        self.clock.now += seconds
        self.held.pop(name).leave()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_party_with_one_task_waits_for_one_turn_of_a_party_with_many() -> None:
    line = Line(1, 1)
    await line.come("a1", "a2", "a3", "a4", "b1")
    await line.end("a1")
    assert line.started == ["a1", "b1"]
    await line.end("b1")
    assert line.started == ["a1", "b1", "a2"]


async def test_parties_share_time_and_not_turns() -> None:
    line = Line(1, 1)
    await line.come("a1", "a2", "a3", *(f"b{n}" for n in range(8)))
    await line.end("a1", 10.0)
    for number in range(8):
        await line.end(f"b{number}", 1.0)
    assert line.started[:9] == ["a1", *(f"b{n}" for n in range(8))]
    assert line.started[9] == "a2"


async def test_a_party_leaves_one_turn_to_the_others() -> None:
    line = Line(3, 2)
    await line.come("a1", "a2", "a3", "b1")
    assert line.started == ["a1", "a2", "b1"]
    await line.end("b1")
    assert line.started == ["a1", "a2", "b1"]
    await line.end("a2")
    assert line.started[-1] == "a3"


async def test_a_party_that_was_idle_has_saved_nothing_up() -> None:
    line = Line(1, 1)
    await line.come("a1", "a2", "a3")
    await line.end("a1", 100.0)
    await line.come("b1", "b2")
    await line.end("a2", 1.0)
    await line.end("b1", 2.0)
    assert line.started == ["a1", "a2", "b1", "a3"]


async def test_tasks_of_one_party_start_in_their_order() -> None:
    line = Line(1, 1)
    names = [f"a{n}" for n in range(9)]
    await line.come(*names)
    for name in names:
        await line.end(name)
    assert line.started == names


async def test_a_cancelled_wait_is_passed_over() -> None:
    line = Line(1, 1)
    await line.come("a1", "b1", "b2", "a2")
    line.tasks["b1"].cancel()
    line.tasks["b2"].cancel()
    await line.end("a1")
    assert line.started == ["a1", "a2"]
    await line.end("a2")
    await line.come("b3")
    assert line.started[-1] == "b3"


async def test_a_turn_given_in_the_instant_of_a_cancellation_goes_to_the_next() -> None:
    line = Line(1, 1)
    await line.come("a1", "b1", "c1")
    line.held.pop("a1").leave()
    line.tasks["b1"].cancel()
    await settle()
    assert line.started == ["a1", "c1"]


async def test_abandoned_work_holds_its_turn_until_it_ends() -> None:
    line = Line(1, 1)
    await line.come("a1", "b1")
    turn = line.held.pop("a1")
    assert turn.run_begins()
    turn.leave()
    await settle()
    assert line.started == ["a1"]
    await asyncio.to_thread(turn.run_ended)
    await until(lambda: line.started == ["a1", "b1"])


async def test_work_that_had_ended_gives_its_turn_back_when_it_is_abandoned() -> None:
    line = Line(1, 1)
    await line.come("a1", "b1")
    turn = line.held.pop("a1")
    assert turn.run_begins()
    turn.run_ended()
    turn.leave()
    await settle()
    assert line.started == ["a1", "b1"]


async def test_work_that_never_began_gives_its_turn_back_and_does_not_begin_later() -> None:
    """Cancel the caller while it waits for a thread."""
    line = Line(1, 1)
    await line.come("a1", "b1")
    turn = line.held.pop("a1")
    turn.leave()
    await settle()
    assert line.started == ["a1", "b1"]
    assert not turn.run_begins()

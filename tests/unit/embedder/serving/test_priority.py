"""Who goes first, and who is not let in."""

import asyncio

import pytest

from embedder.domain.errors import QueueFull
from embedder.domain.items import Priority
from embedder.serving.priority import ModelQueue, ModelQueues
from servicekit.priority import PrioritySemaphore

BULK, INTERACTIVE = Priority.BULK, Priority.INTERACTIVE


class Line:
    """Tasks that take turns, and the order in which they were let in."""

    def __init__(self, turns: PrioritySemaphore) -> None:
        self.turns = turns
        self.entered: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.ends: dict[str, asyncio.Event] = {}

    async def come(self, name: str, priority: Priority) -> None:
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._pass(name, priority))
        await settle()

    async def _pass(self, name: str, priority: Priority) -> None:
        await self.turns.acquire(priority)
        try:
            self.entered.append(name)
            await self.ends[name].wait()
        finally:
            self.turns.release()

    async def go(self, name: str) -> None:
        self.ends[name].set()
        await self.tasks[name]
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_place_is_kept_from_bulk_work() -> None:
    line = Line(PrioritySemaphore(2, reserved=1))
    await line.come("bulk 1", BULK)
    await line.come("bulk 2", BULK)
    assert line.entered == ["bulk 1"]
    await line.come("shopper", INTERACTIVE)
    assert line.entered == ["bulk 1", "shopper"]


async def test_a_shopper_who_comes_last_is_let_in_before_bulk_work_that_waits() -> None:
    line = Line(PrioritySemaphore(2, reserved=1))
    for name, priority in (("a", INTERACTIVE), ("b", INTERACTIVE), ("bulk", BULK)):
        await line.come(name, priority)
    await line.come("late", INTERACTIVE)
    await line.go("a")
    assert line.entered == ["a", "b", "late"]
    await line.go("b")
    await line.go("late")
    assert line.entered[-1] == "bulk"


async def test_those_of_one_priority_are_let_in_in_the_order_of_their_coming() -> None:
    line = Line(PrioritySemaphore(2, reserved=1))
    names = [str(i) for i in range(12)]
    for name in names:
        await line.come(name, BULK)
    for name in names:
        await line.go(name)
    assert line.entered == names


async def test_a_cancelled_place_in_the_queue_is_not_lost() -> None:
    line = Line(PrioritySemaphore(2, reserved=1))
    for name in ("a", "b", "gives up", "c"):
        await line.come(name, INTERACTIVE)
    line.tasks["gives up"].cancel()
    await settle()
    await line.go("a")
    assert line.entered == ["a", "b", "c"]


async def test_a_place_given_in_the_instant_of_a_cancellation_goes_to_the_next() -> None:
    line = Line(PrioritySemaphore(2, reserved=1))
    for name in ("a", "b", "gives up", "c", "d"):
        await line.come(name, INTERACTIVE)
    line.tasks["gives up"].cancel()
    line.ends["a"].set()
    line.ends["b"].set()
    await settle()
    assert line.entered == ["a", "b", "c", "d"]
    for name in ("c", "d"):
        await line.go(name)
    for name in ("e", "f", "g"):
        await line.come(name, INTERACTIVE)
    assert line.entered[-2:] == ["e", "f"]


async def test_cancelling_every_one_at_once_gives_all_places_back() -> None:
    # A deadline that many share ends them in one turn of the loop.
    line = Line(PrioritySemaphore(3))
    for i in range(20):
        await line.come(str(i), INTERACTIVE)
    for task in line.tasks.values():
        task.cancel()
    done = await asyncio.gather(*line.tasks.values(), return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in done)
    for name in ("x", "y", "z", "waits"):
        await line.come(name, INTERACTIVE)
    assert line.entered[-3:] == ["x", "y", "z"]


def test_bulk_work_needs_a_place_of_its_own() -> None:
    with pytest.raises(ValueError, match="permit"):
        PrioritySemaphore(1, reserved=1)


class Clock:
    """Time as a test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def busy(queue: ModelQueue, clock: Clock, seconds: float) -> None:
    """Have the queue see many items done, one every so many seconds."""
    for _ in range(100):
        with queue.place(INTERACTIVE, None):
            clock.now += seconds


def test_above_its_bound_a_queue_refuses_but_bulk_work_never_keeps_a_shopper_out(
    clock: Clock,
) -> None:
    queue = ModelQueue(2, clock=clock)
    with queue.place(BULK, None), queue.place(BULK, None):
        with pytest.raises(QueueFull), queue.place(BULK, None):
            pass
        with (
            queue.place(INTERACTIVE, None),
            queue.place(INTERACTIVE, None),
            pytest.raises(QueueFull),
            queue.place(INTERACTIVE, None),
        ):
            pass
    with queue.place(BULK, None):
        pass


def test_who_would_wait_past_the_deadline_is_refused_at_once_with_the_time_to_come_back(
    clock: Clock,
) -> None:
    queue = ModelQueue(1000, clock=clock)
    busy(queue, clock, seconds=0.5)
    with queue.place(INTERACTIVE, None, count=10):
        assert queue.wait(INTERACTIVE) == pytest.approx(5, rel=0.01)
        with pytest.raises(QueueFull) as caught, queue.place(INTERACTIVE, 3):
            pass
        with queue.place(INTERACTIVE, 6), queue.place(INTERACTIVE, None):
            pass
    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == pytest.approx(2, rel=0.05)


def test_bulk_work_waits_for_shoppers_but_they_do_not_wait_for_it(clock: Clock) -> None:
    queue = ModelQueue(1000, clock=clock)
    busy(queue, clock, seconds=0.5)
    with queue.place(BULK, None, count=10):
        assert queue.wait(INTERACTIVE) == 0
        with queue.place(INTERACTIVE, None, count=4):
            assert queue.wait(BULK) == pytest.approx(7, rel=0.01)


def test_an_idle_queue_lets_in_however_slow_it_was(clock: Clock) -> None:
    queue = ModelQueue(1000, clock=clock)
    busy(queue, clock, seconds=60)
    with queue.place(INTERACTIVE, 0.5):
        pass


def test_a_model_that_gets_faster_is_believed_soon(clock: Clock) -> None:
    queue = ModelQueue(1000, clock=clock)
    busy(queue, clock, seconds=1)
    busy(queue, clock, seconds=0.01)
    with queue.place(INTERACTIVE, None, count=10), queue.place(INTERACTIVE, 0.2):
        pass


def test_what_is_given_up_says_nothing_of_the_speed(clock: Clock) -> None:
    queue = ModelQueue(1000, clock=clock)
    busy(queue, clock, seconds=0.5)
    for _ in range(50):
        with pytest.raises(TimeoutError), queue.place(INTERACTIVE, None):
            raise TimeoutError
    with queue.place(INTERACTIVE, None):
        assert queue.wait(INTERACTIVE) == pytest.approx(0.5, rel=0.01)


def test_each_model_has_a_queue_of_its_own() -> None:
    queues = ModelQueues(1)
    with queues.of("a").place(INTERACTIVE, None):
        with queues.of("b").place(INTERACTIVE, None):
            pass
        with pytest.raises(QueueFull), queues.of("a").place(INTERACTIVE, None):
            pass

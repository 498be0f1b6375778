"""The order of items in the queue, and rejected items."""

import pytest

from embedder.domain.errors import QueueFull
from embedder.domain.items import Priority
from embedder.serving.priority import ModelQueue, ModelQueues
from servicekit.admission.fair_permits import Party

BULK, INTERACTIVE = Priority.BULK, Priority.INTERACTIVE
SHOP = Party("shop", "default")


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
    """Pass many items through the queue, one every `seconds`."""
    for _ in range(100):
        with queue.place(INTERACTIVE, SHOP, None):
            clock.now += seconds


def test_above_its_bound_a_queue_refuses_but_bulk_work_never_keeps_a_shopper_out(
    clock: Clock,
) -> None:
    queue = ModelQueue(2, clock=clock)
    with queue.place(BULK, SHOP, None), queue.place(BULK, SHOP, None):
        with pytest.raises(QueueFull), queue.place(BULK, SHOP, None):
            pass
        with (
            queue.place(INTERACTIVE, SHOP, None),
            queue.place(INTERACTIVE, SHOP, None),
            pytest.raises(QueueFull),
            queue.place(INTERACTIVE, SHOP, None),
        ):
            pass
    with queue.place(BULK, SHOP, None):
        pass


def test_who_would_wait_past_the_deadline_is_refused_at_once_with_the_time_to_come_back(
    clock: Clock,
) -> None:
    queue = ModelQueue(1000, clock=clock)
    busy(queue, clock, seconds=0.5)
    with queue.place(INTERACTIVE, SHOP, None, count=10):
        assert queue.wait(INTERACTIVE, SHOP) == pytest.approx(5, rel=0.01)
        with pytest.raises(QueueFull) as caught, queue.place(INTERACTIVE, SHOP, 3):
            pass
        with queue.place(INTERACTIVE, SHOP, 6), queue.place(INTERACTIVE, SHOP, None):
            pass
    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == pytest.approx(2, rel=0.05)


def test_bulk_work_waits_for_shoppers_but_they_do_not_wait_for_it(clock: Clock) -> None:
    queue = ModelQueue(1000, clock=clock)
    busy(queue, clock, seconds=0.5)
    with queue.place(BULK, SHOP, None, count=10):
        assert queue.wait(INTERACTIVE, SHOP) == 0
        with queue.place(INTERACTIVE, SHOP, None, count=4):
            assert queue.wait(BULK, SHOP) == pytest.approx(7, rel=0.01)


def test_an_idle_queue_lets_in_however_slow_it_was(clock: Clock) -> None:
    queue = ModelQueue(1000, clock=clock)
    busy(queue, clock, seconds=60)
    with queue.place(INTERACTIVE, SHOP, 0.5):
        pass


def test_a_model_that_gets_faster_is_believed_soon(clock: Clock) -> None:
    queue = ModelQueue(1000, clock=clock)
    busy(queue, clock, seconds=1)
    busy(queue, clock, seconds=0.01)
    with queue.place(INTERACTIVE, SHOP, None, count=10), queue.place(INTERACTIVE, SHOP, 0.2):
        pass


def test_what_is_given_up_says_nothing_of_the_speed(clock: Clock) -> None:
    queue = ModelQueue(1000, clock=clock)
    busy(queue, clock, seconds=0.5)
    for _ in range(50):
        with pytest.raises(TimeoutError), queue.place(INTERACTIVE, SHOP, None):
            raise TimeoutError
    with queue.place(INTERACTIVE, SHOP, None):
        assert queue.wait(INTERACTIVE, SHOP) == pytest.approx(0.5, rel=0.01)


def test_each_model_has_a_queue_of_its_own() -> None:
    queues = ModelQueues(1)
    with queues.of("a").place(INTERACTIVE, SHOP, None):
        with queues.of("b").place(INTERACTIVE, SHOP, None):
            pass
        with pytest.raises(QueueFull), queues.of("a").place(INTERACTIVE, SHOP, None):
            pass


def test_another_caller_s_queue_keeps_none_out_and_delays_by_one_item(clock: Clock) -> None:
    queue, other = ModelQueue(10, clock=clock), Party("other", "default")
    busy(queue, clock, seconds=0.5)
    with queue.place(INTERACTIVE, SHOP, None, count=10):
        assert queue.wait(INTERACTIVE, other) == pytest.approx(0.5, rel=0.01)
        with pytest.raises(QueueFull), queue.place(INTERACTIVE, SHOP, None):
            pass
        with queue.place(INTERACTIVE, other, 2, count=4):
            assert queue.wait(INTERACTIVE, other) == pytest.approx(4.5, rel=0.01)
            with queue.place(INTERACTIVE, other, None):
                pass

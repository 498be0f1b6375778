"""Signals equal what Prometheus would compute from the same samples."""

import pytest
import simpy

from lab.capacity.inputs import EMBEDDER, GATEWAY, TRITON
from lab.capacity.pods import Pod, PodSample
from lab.capacity.signals import TRIGGERS, ServiceSignals, by_processor, wish


def sample(at: float, **figures: float) -> PodSample:
    given = {"calls": 0, "spent": 0.0, "used": 0.0, "limit": 200.0, **figures}
    return PodSample(at=at, **given)  # type: ignore[arg-type]


def seen(*pods: list[PodSample], now: float = 60.0) -> ServiceSignals:
    made = []
    for samples in pods:
        pod = Pod(simpy.Environment(), 1)
        pod.samples.extend(samples)
        made.append(pod)
    return ServiceSignals(now, 60.0, len(made), tuple(made), tuple(made))


def test_rates_are_of_each_pod_and_added_up() -> None:
    one = [sample(at, spent=2.0 * at, used=0.5 * at) for at in (0, 15, 30, 45, 60)]
    other = [sample(at, spent=1.0 * at) for at in (45, 60)]
    both = seen(one, other, [sample(60, spent=500)])
    assert both.rate("spent") == pytest.approx(3.0), "a pod with one sample has no rate"
    assert TRIGGERS[GATEWAY, "calls"](both, 0.5) == 6


def test_what_is_older_than_the_window_does_not_count() -> None:
    old = [sample(0, calls=100), sample(15, calls=2), sample(60, calls=4)]
    assert seen(old).averages("calls") == [3.0]
    assert TRIGGERS[GATEWAY, "sampled calls"](seen(old), 1.0) == 3


def test_calls_over_what_pods_take() -> None:
    full = [sample(60, calls=50, limit=50.0)]
    assert TRIGGERS[GATEWAY, "limit"](seen(full, full), 0.5) == 4


def test_the_wait_in_triton_s_queue() -> None:
    waits = [sample(at, queued=0.06 * at, served=int(at)) for at in (15, 30, 45, 60)]
    assert TRIGGERS[TRITON, "queue"](seen(waits), 0.02) == 3
    assert TRIGGERS[TRITON, "queue"](seen([sample(60)]), 0.02) == 0


def test_the_most_of_all_triggers_is_wished() -> None:
    some = [sample(at, waited=at, decoded=at, used=0.3 * at) for at in (45, 60)]
    assert wish(EMBEDDER, {"waiting": 0.25, "busy": 0.5}, seen(some)) == 4
    assert wish(EMBEDDER, by_processor(60)[EMBEDDER], seen(some)) == 1

"""Simulated queues obey the laws of queueing theory."""

import math
from collections.abc import Generator
from random import Random
from statistics import mean
from typing import Any

import pytest
import simpy

from lab.capacity.pods import GPU, EmbedderPod, Engine, Pod, TritonPod

MANY = 20_000


def erlang_c(servers: int, load: float) -> float:
    """Return the probability that a customer of M/M/c waits; `load` in erlangs."""
    terms = [load**k / math.factorial(k) for k in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


@pytest.mark.slow
@pytest.mark.parametrize(("servers", "load"), [(1, 0.6), (2, 1.5), (4, 3.2)])
def test_waits_are_those_of_the_closed_formula(servers: int, load: float) -> None:
    env, random, waits = simpy.Environment(), Random(7), []
    pod = Pod(env, servers)

    def arrivals() -> Generator[simpy.Event, Any, None]:
        while len(waits) < 3 * MANY:
            yield env.timeout(random.expovariate(load))
            waits.append(pod.wait())
            pod.work(random.expovariate(1.0))

    env.process(arrivals())
    env.run()
    expected = erlang_c(servers, load) / (servers - load)
    assert mean(waits) == pytest.approx(expected, rel=0.12)
    assert pod.used() / env.now == pytest.approx(load, rel=0.03)


@pytest.mark.parametrize("shared", [False, True])
def test_little_s_law(shared: bool) -> None:
    """Check Little's law: mean calls in progress = calls a second × their duration."""
    env, random = simpy.Environment(), Random(3)
    machine = simpy.Resource(env, 1) if shared else None
    pod, area, counted = Pod(env, 1, machine=machine), [0.0], []
    last = [0.0]

    def note() -> None:
        area[0] += pod.calls * (env.now - last[0])
        last[0] = env.now

    def call() -> Generator[simpy.Event, Any, None]:
        began = env.now
        note()
        leave = pod.enter(math.inf)
        assert leave
        yield pod.work(random.expovariate(1.0))
        note()
        leave(True)
        counted.append(env.now - began)

    def arrivals() -> Generator[simpy.Event, Any, None]:
        for _ in range(MANY // 4):
            yield env.timeout(random.expovariate(0.7))
            env.process(call())

    env.process(arrivals())
    env.run()
    assert area[0] / env.now == pytest.approx(len(counted) / env.now * mean(counted))
    assert pod.spent == pytest.approx(sum(counted))


def test_what_would_begin_too_late_is_never_begun() -> None:
    env = simpy.Environment()
    pod = Pod(env, 1)
    first, second, third = pod.work(1.0, 2.0), pod.work(1.5, 2.0), pod.work(1.0, 2.0)
    assert env.run(first) is True
    assert env.run(second) is False
    assert env.run(third) is False
    assert env.now == 2.0
    env.run(until=10)
    assert pod.used() == 2.5, "the third took nothing"


def test_a_pod_that_takes_too_many_refuses() -> None:
    pod = Pod(simpy.Environment(), 1)
    taken = [pod.enter(1.0) for _ in range(201)]
    assert taken[-1] is None
    assert None not in taken[:-1]


def triton(env: simpy.Environment, engine: Engine) -> tuple[TritonPod, EmbedderPod]:
    pod = TritonPod(env, engine.instances, engine=engine)
    return pod, EmbedderPod(env, 2, triton=lambda _: pod, rows=engine.most)


def test_photos_that_wait_together_go_together() -> None:
    env = simpy.Environment()
    pod, embedder = triton(env, Engine(instances=1, most=4))
    answers = [embedder.infer(0.01, 5.0) for _ in range(9)]
    assert env.run(simpy.AllOf(env, answers)).values
    # The first three go alone, as places are free; then as many as one request takes.
    assert (pod.served, env.now) == (5, pytest.approx(0.09))


def test_a_gpu_makes_batches_of_requests_and_waits_a_little_for_them() -> None:
    env = simpy.Environment()
    pod, embedder = triton(env, GPU)
    others = [EmbedderPod(env, 2, triton=lambda _: pod, rows=GPU.most) for _ in range(3)]
    answers = [each.infer(0.01, 5.0) for each in (embedder, *others)]
    env.run(simpy.AllOf(env, answers))
    assert pod.computed == pytest.approx(GPU.a_batch + 4 * GPU.share * 0.01), "one batch"
    assert env.now == pytest.approx(GPU.delay + pod.computed)
    assert pod.sample().queued == pytest.approx(4 * GPU.delay)


def test_a_photo_that_is_late_is_given_up_and_not_inferred() -> None:
    env = simpy.Environment()
    pod, embedder = triton(env, Engine(instances=1, most=1))
    answers = [embedder.infer(1.0, 1.5) for _ in range(5)]
    assert [env.run(each) for each in answers] == [True, False, False, False, False]
    env.run(until=30)
    assert pod.served == 2, "the second had begun"


def test_a_triton_on_a_lost_node_answers_nobody() -> None:
    env = simpy.Environment()
    pod, embedder = triton(env, Engine())
    pod.gone = 0.0
    assert env.run(embedder.infer(0.01, 1.5)) is False
    assert env.now == 1.5

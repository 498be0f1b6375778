"""One simulated request, with the gateway's steps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from random import Random
from typing import Any, TypeAlias

import simpy

from gateway.model.scene import Budgets
from lab.capacity.inputs import EMBEDDER, GATEWAY, RANKER, RETRIEVER, USER, AnswerWork
from lab.capacity.pods import EmbedderPod, Pod

Steps: TypeAlias = Generator[simpy.Event, Any, Any]

SHARES = {**asdict(Budgets()), "answer": 1.0}
RESERVE = 0.02
"""GATEWAY_RESERVE_SECONDS."""
ANSWERED, DEGRADED, SHED, FAILED = range(4)
"""Outcomes of a request: complete, degraded, rejected at once, or late."""


@dataclass(slots=True)
class Outcomes:
    """Outcome of every request."""

    began: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add(self, began: float, seconds: float, end: int) -> None:
        self.began.append(began)
        self.seconds.append(seconds)
        self.ends.append(end)


@dataclass(slots=True)
class SimulatedShop:
    """The simulated shop: pods of each service, balanced by the caller, and durations of work."""

    env: simpy.Environment
    random: Random
    pick: Callable[[str, Pod | None], Pod | None]
    work: Mapping[str, AnswerWork]
    deadline: float
    outcomes: Outcomes = field(default_factory=Outcomes)


def ask(shop: SimulatedShop, kind: str) -> Steps:
    """Send one request and record how it ended."""
    env, began = shop.env, shop.env.now
    gateway = shop.pick(GATEWAY, None)
    until = began + shop.deadline
    leave = None
    if gateway is None or gateway.lost(began):
        yield env.timeout(shop.deadline)
        end = FAILED
    elif (leave := gateway.enter(until)) is None:
        end = SHED
    else:
        end = yield from _answer(shop, kind, gateway)
        leave(end != FAILED)
        if gateway.lost(env.now):
            end = FAILED
    shop.outcomes.add(began, env.now - began, end)


def _answer(shop: SimulatedShop, kind: str, gateway: Pod) -> Steps:
    """Run the gateway's steps of one request. Return how it ended."""
    work, began = shop.work[kind], shop.env.now
    # One random factor for all stages: latencies at one caller vary as their sum does.
    factor = shop.random.lognormvariate(-(work.spread**2) / 2, work.spread)
    ends = _ends(began, shop.deadline)
    own = work.gateway * factor / 3
    if not (yield gateway.work(own, ends["answer"])):
        return FAILED
    whole = True
    if work.embed:
        whole = yield from _embed(shop, gateway, work, factor, ends["embed"])
    asked = [(RETRIEVER, work.search)] if whole and work.search else []
    asked += [(RANKER, work.generate)] if work.generate else []
    found = yield from _side_by_side(shop, gateway, asked, factor, ends["candidates"])
    if not (whole and found):
        whole = False
        popular = [(RANKER, shop.work[USER].generate)]
        yield from _side_by_side(shop, gateway, popular, factor, ends["fallback"])
    if not (yield gateway.work(own, ends["answer"])):
        return FAILED
    for service, seconds, end in (
        (RANKER, work.rank, ends["rank"]),
        (RETRIEVER, work.hydrate, ends["hydrate"]),
    ):
        if seconds:
            done = yield from _side_by_side(shop, gateway, [(service, seconds)], factor, end)
            whole = whole and done
    if not (yield gateway.work(own, ends["answer"])):
        return FAILED
    return ANSWERED if whole else DEGRADED


def _ends(began: float, deadline: float) -> dict[str, float]:
    left = deadline - RESERVE
    return {name: began + share * left for name, share in SHARES.items()}


def _side_by_side(
    shop: SimulatedShop,
    caller: Pod,
    asked: Sequence[tuple[str, float]],
    factor: float,
    until: float,
) -> Steps:
    """Call several peers at once. Return whether all answered by `until`."""
    env = shop.env
    under_way: list[tuple[Pod, simpy.Event]] = []
    good = True
    for service, seconds in asked:
        pod = shop.pick(service, caller)
        if pod is None:
            good = False
        elif pod.lost(env.now):
            under_way.append((pod, env.timeout(max(until - env.now, 0.0), False)))
        elif (leave := pod.enter(until)) is None:
            good = False
        else:
            done = pod.work(seconds * factor, until)
            assert done.callbacks is not None
            done.callbacks.append(partial(_end, leave))
            under_way.append((pod, done))
    for pod, done in under_way:
        good = bool((yield done)) and good
        if pod.lost(env.now):
            good = False
            yield env.timeout(max(until - env.now, 0.0))
    return good


def _end(leave: Callable[[bool], None], event: simpy.Event) -> None:
    leave(bool(event.value))


def _embed(
    shop: SimulatedShop, caller: Pod, work: AnswerWork, factor: float, until: float
) -> Steps:
    """Embed a photo by embedder and Triton. Return whether the vector came by `until`."""
    env = shop.env
    pod = shop.pick(EMBEDDER, caller)
    if pod is None:
        return False
    assert isinstance(pod, EmbedderPod)
    if pod.lost(env.now):
        yield env.timeout(max(until - env.now, 0.0))
        return False
    if (leave := pod.enter(until)) is None:
        return False
    done = yield pod.decode(work.embed * factor, until)
    if done:
        done = yield pod.infer(work.infer * factor, until)
    leave(bool(done))
    if pod.lost(env.now):
        yield env.timeout(max(until - env.now, 0.0))
        return False
    return done

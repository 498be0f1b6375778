"""Simulation of a cluster under load: requests arrive, and autoscalers add and remove pods."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

import simpy

from lab.capacity import answering
from lab.capacity.hpa import Autoscaler, AutoscalerBehaviour
from lab.capacity.inputs import EMBEDDER, GATEWAY, SERVICES, TRITON, AnswerWork, Assumed
from lab.capacity.pods import CPU, EmbedderPod, Engine, Pod, TritonPod
from lab.capacity.signals import ServiceSignals, Thresholds, wish

Steps: TypeAlias = Generator[simpy.Event, Any, None]


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """Number of pods: fixed, or by triggers."""

    name: str
    pods: Mapping[str, int]
    """Number of pods of each service at the start."""
    thresholds: Thresholds = field(default_factory=dict)
    """Triggers of each service. Empty: the number of pods is fixed."""
    behaviour: Mapping[str, AutoscalerBehaviour] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Load:
    """Request rate over time, and failures."""

    name: str
    seconds: float
    rate: Callable[[float], float]
    """Requests a second at a time of the load."""
    mix: Mapping[str, float]
    """Shares of the kinds of requests."""
    mix_at: Callable[[float], Mapping[str, float]] | None = None
    """Shares at a time of the load; `None`: always `mix`."""
    lose_at: float | None = None
    """Time at which a node is lost."""
    since: float = 60.0
    """Time from which answers count."""
    pace: float = 1.0
    """Factor by which pods start, stop and scale faster than in reality. Above 1, fewer requests
    simulate a long time.
    """


class Service:
    """The pods of one service."""

    def __init__(self, cluster: Cluster, name: str, wanted: int) -> None:
        self.cluster, self.name, self.wanted = cluster, name, wanted
        self.live: list[Pod] = []
        self.past: list[Pod] = []
        self.known: list[Pod] = []
        """Pods that callers may have in their lists."""
        self.sizes: list[tuple[float, int]] = []
        """Wanted numbers of pods, by the time from which they were wanted."""
        for _ in range(wanted):
            self._make(0.0)

    def scale(self, wanted: int) -> None:
        """Scale to this number of pods."""
        if wanted != self.wanted:
            self.sizes.append((self.cluster.env.now, wanted))
        self.wanted = wanted
        for _ in range(wanted - len(self.live)):
            self._make(self.cluster.start_of(self.name))
        for _ in range(len(self.live) - wanted):
            self._end()

    def pick(self, caller: Pod | None) -> Pod | None:
        """Return the next pod in a caller's round robin.

        Pods that the caller does not know yet are skipped.
        """
        known, random = self.known, self.cluster.random
        if not known:
            return None
        turn = random.randrange(len(known)) if caller is None else caller.turns.get(self.name, 0)
        now, unknown = self.cluster.env.now, self.cluster.assumed.unknown
        for _ in known:
            turn = (turn + 1) % len(known)
            age = now - known[turn].ready
            if age >= unknown or random.random() * unknown < age:
                break
        if caller is not None:
            caller.turns[self.name] = turn
        return known[turn]

    def replace(self, pod: Pod) -> None:
        """Give up a pod of a lost node and scale to the wanted number."""
        self.forget(pod)
        if pod in self.live:
            self.live.remove(pod)
            self.past.append(pod)
        self.scale(self.wanted)

    def forget(self, pod: Pod) -> None:
        if pod in self.known:
            self.known.remove(pod)

    def _make(self, after: float) -> None:
        pod = self.cluster.pod(self.name, after)
        self.live.append(pod)
        if after:
            self.cluster.env.timeout(after).callbacks.append(lambda _: self._ready(pod))
        else:
            pod.ready = -self.cluster.assumed.unknown
            self.known.append(pod)

    def _ready(self, pod: Pod) -> None:
        if pod in self.live:
            self.known.append(pod)

    def _end(self) -> None:
        """Remove one pod in a ReplicaSet's order: lost pods first, then unready ones, then the
        newest.
        """
        now = self.cluster.env.now
        pod = max(self.live, key=lambda each: (each.lost(now), each.ready > now, each.made))
        self.live.remove(pod)
        self.forget(pod)
        pod.leaves = now
        self.past.append(pod)


class Cluster:
    """All services, and the requests to them."""

    def __init__(
        self,
        load: Load,
        policy: ScalingPolicy,
        work: Mapping[str, AnswerWork],
        assumed: Assumed,
        *,
        seed: int,
        engine: Engine = CPU,
        at_once: int = 1,
    ) -> None:
        """`at_once`: calls that a pod of gateway, retriever or ranker works on at a time; more than
        its processors if `work` has the waits for them."""
        self.env = simpy.Environment()
        self.load, self.policy, self.engine = load, policy, engine
        self.assumed = assumed.faster(load.pace)
        self.random = Random(seed)
        self._placed, self._at_once = 0, at_once
        self.gone: set[int] = set()
        self.services: dict[str, Service] = {}
        for name in SERVICES:
            self.services[name] = Service(self, name, policy.pods[name])
        self.shop = answering.SimulatedShop(
            self.env, self.random, self._pick, work, assumed.deadline
        )
        self.counts: list[tuple[float, dict[str, int]]] = []
        """Number of existing pods over time."""

    def run(self) -> answering.Outcomes:
        """Simulate until the load is over."""
        self.env.process(self._arrivals())
        self.env.process(self._scrapes())
        for name, thresholds in self.policy.thresholds.items():
            self.env.process(self._scaled(name, thresholds))
        if self.load.lose_at is not None:
            self.env.process(self._loss(self.load.lose_at))
        self.env.run(until=self.load.seconds)
        return self.shop.outcomes

    def pod(self, name: str, after: float) -> Pod:
        """Return a new pod on the next node that is not lost.

        It is ready `after` seconds from now.
        """
        nodes = [each for each in range(self.assumed.nodes) if each not in self.gone]
        node = nodes[self._placed % len(nodes)]
        self._placed += 1
        ready = self.env.now + after
        if name == TRITON:
            return TritonPod(self.env, self.engine.instances, node, ready, engine=self.engine)
        if name == EMBEDDER:
            rows = self.engine.most
            triton = self._picking(TRITON)
            return EmbedderPod(self.env, 2, node, ready, triton=triton, rows=rows)
        return Pod(self.env, self._at_once, node, ready)

    def _picking(self, name: str) -> Callable[[Pod], TritonPod | None]:
        def pick(caller: Pod) -> TritonPod | None:
            found = self.services[name].pick(caller)
            assert found is None or isinstance(found, TritonPod)
            return found

        return pick

    def start_of(self, name: str) -> float:
        return self.assumed.start_triton if name == TRITON else self.assumed.start

    def _pick(self, name: str, caller: Pod | None) -> Pod | None:
        return self.services[name].pick(caller)

    def _arrivals(self) -> Steps:
        """Start requests as a Poisson process whose rate follows the load."""
        env, random, rate = self.env, self.random, self.load.rate
        while True:
            yield env.timeout(random.expovariate(rate(env.now)))
            mix = self.load.mix_at(env.now) if self.load.mix_at else self.load.mix
            kind = random.choices(list(mix), list(mix.values()))[0]
            env.process(answering.ask(self.shop, kind))

    def _scrapes(self) -> Steps:
        while True:
            now = self.env.now
            for service in self.services.values():
                for pod in service.live:
                    if pod.ready <= now and not pod.lost(now):
                        pod.samples.append(pod.sample())
                service.past = [
                    pod
                    for pod in service.past
                    if pod.samples and pod.samples[-1].at > now - self.assumed.window
                ]
            self.counts.append((now, {n: len(s.live) for n, s in self.services.items()}))
            yield self.env.timeout(self.assumed.scrape)

    def _scaled(self, name: str, thresholds: Mapping[str, float]) -> Steps:
        behaviour = self.policy.behaviour[name].faster(self.load.pace)
        scaler, service = Autoscaler(behaviour), self.services[name]
        yield self.env.timeout(self.random.uniform(2, 3) * self.assumed.sync)
        while True:
            seen = ServiceSignals(
                self.env.now,
                self.assumed.window,
                service.wanted,
                (*service.live, *service.past),
                tuple(service.live),
            )
            wanted = wish(name, thresholds, seen)
            service.scale(scaler.decide(self.env.now, service.wanted, wanted))
            yield self.env.timeout(self.assumed.sync)

    def _loss(self, at: float) -> Steps:
        """Stop the node of the gateway's first pod without notice, at a time."""
        yield self.env.timeout(at)
        node = self.services[GATEWAY].live[0].node
        self.gone.add(node)
        lost = [(s, pod) for s in self.services.values() for pod in s.live if pod.node == node]
        for _, pod in lost:
            pod.gone = self.env.now
        yield self.env.timeout(self.assumed.silent)
        for service, pod in lost:
            service.forget(pod)
        yield self.env.timeout(self.assumed.replaced - self.assumed.silent)
        for service, pod in lost:
            service.replace(pod)

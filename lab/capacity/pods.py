"""Pods: concurrency limits, queues and processors of one replica.

Work is served in the order of arrival, so its end is known at its arrival and costs the simulation
one event. Work that would begin after its caller's deadline is never begun.
"""

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from heapq import heapreplace
from math import inf
from typing import Any

import simpy

from servicekit.admission.concurrency import ConcurrencyLimit, Overloaded

MOST_CALLS = 200
"""…_MAX_CONCURRENT_CALLS."""
PARTY = "callers"


class Pod:
    """One replica of a service with its processors."""

    def __init__(
        self,
        env: simpy.Environment,
        processors: int,
        node: int = 0,
        ready: float = 0.0,
        machine: simpy.Resource | None = None,
    ) -> None:
        """`ready`: when it takes calls. `machine`: processors that it shares with other pods."""
        self.env, self.node, self.made, self.ready = env, node, env.now, ready
        self.processors = processors
        self.gone, self.leaves = inf, inf
        """Times at which its node was lost, and at which it was asked to end."""
        self.calls, self.spent = 0, 0.0
        """Calls in progress, and total seconds of ended calls."""
        self.turns: dict[str, int] = {}
        """Position of its round robin over the pods of each other service."""
        self.samples: deque[PodSample] = deque(maxlen=32)
        self._limit = ConcurrencyLimit(MOST_CALLS, clock=lambda: self.env.now)
        self._free = [env.now] * processors
        self._given = 0.0
        self._machine = machine
        self._own = simpy.Resource(env, processors) if machine else None

    def lost(self, now: float) -> bool:
        """Return whether the pod's node is lost."""
        return self.gone <= now

    def enter(self, until: float) -> Callable[[bool], None] | None:
        """Begin a call whose caller gives up at `until`. Return the function that ends it, which
        takes whether it succeeded; None if the call is rejected.
        """
        try:
            began = self._limit.enter(PARTY)
        except Overloaded:
            return None
        self.calls += 1
        return partial(self._leave, began, until - began)

    def _leave(self, began: float, given: float, ok: bool) -> None:
        self.calls -= 1
        self.spent += self.env.now - began
        self._limit.leave(PARTY, began, given, ok=ok)

    def work(self, seconds: float, until: float = inf) -> simpy.Event:
        """Return an event that fires with True when the work is done, or with False at `until`."""
        if self._machine:
            return self.env.process(self._shared(seconds, until))
        now = self.env.now
        start = max(now, self._free[0])
        finish = start + seconds
        if start < until:
            heapreplace(self._free, finish)
            self._given += seconds
        if finish <= until:
            return self.env.timeout(finish - now, True)
        return self.env.timeout(max(until - now, 0.0), False)

    def sample(self) -> "PodSample":
        return PodSample(self.env.now, self.calls, self.spent, self.used(), self._limit.limit)

    def wait(self) -> float:
        """Return the seconds that work which arrives now would wait."""
        return max(0.0, self._free[0] - self.env.now)

    def used(self) -> float:
        """Return the processor seconds used so far."""
        now = self.env.now
        return self._given - sum(max(0.0, at - now) for at in self._free)

    def _shared(self, seconds: float, until: float) -> Generator[simpy.Event, Any, bool]:
        assert self._own
        assert self._machine
        with self._own.request() as own:
            yield own
            with self._machine.request() as core:
                yield core
                if self.env.now >= until:
                    return False
                yield self.env.timeout(seconds)
        self._given += seconds
        return self.env.now <= until


@dataclass(slots=True)
class PodSample:
    """Metrics of a pod at one time, as Prometheus samples them."""

    at: float
    calls: int
    spent: float
    used: float
    limit: float
    """The pod's learned limit of concurrent calls."""
    waited: float = 0.0
    decoded: float = 0.0
    pending: int = 0
    queued: float = 0.0
    served: int = 0
    computed: float = 0.0


class EmbedderPod(Pod):
    """A pod of the embedder: decodes photos, and sends waiting ones to Triton in batches."""

    def __init__(
        self, *given: Any, triton: Callable[["Pod"], "TritonPod | None"], rows: int, **named: Any
    ) -> None:
        """`triton` picks a pod to ask; `rows`: most photos in one inference."""
        super().__init__(*given, **named)
        self._triton, self._rows = triton, rows
        self._places = 3  # EMBEDDER_PLACES
        self._waiting: deque[tuple[simpy.Event, float, float]] = deque()
        self.waited, self.decoded = 0.0, 0.0

    def sample(self) -> PodSample:
        return replace(super().sample(), waited=self.waited, decoded=self.decoded)

    def decode(self, seconds: float, until: float) -> simpy.Event:
        """Do `work` in the decoding processes, and count waiting and decoding photos."""
        self.waited += min(self.wait(), until - self.env.now)
        self.decoded += seconds
        return self.work(seconds, until)

    def infer(self, seconds: float, until: float) -> simpy.Event:
        """Return an event that fires with True when one photo's vector is there, or with False at
        `until`.
        """
        answer = self.env.event()
        self._waiting.append((answer, seconds, until))
        self.env.timeout(until - self.env.now).callbacks.append(lambda _: _settle(answer, False))
        self._send()
        return answer

    def _send(self) -> None:
        while self._places and self._waiting:
            batch: list[tuple[simpy.Event, float, float]] = []
            while self._waiting and len(batch) < self._rows:
                if not (each := self._waiting.popleft())[0].triggered:
                    batch.append(each)
            if not batch:
                return
            target = self._triton(self)
            if target is None:
                for answer, _, _ in batch:
                    _settle(answer, False)
                continue
            self._places -= 1
            target.infer(batch, partial(self._done, batch))

    def _done(self, batch: list[tuple[simpy.Event, float, float]], ok: bool) -> None:
        self._places += 1
        for answer, _, _ in batch:
            _settle(answer, ok)
        self._send()


def _settle(answer: simpy.Event, ok: bool) -> None:
    if not answer.triggered:
        answer.succeed(ok)


@dataclass(frozen=True, slots=True)
class Engine:
    """Timing of one Triton server."""

    instances: int = 2
    most: int = 4
    """Rows in a batch."""
    dynamic: bool = False
    """True if a batch can contain several requests."""
    delay: float = 0.0
    """Seconds that a batch waits for more requests."""
    a_batch: float = 0.0
    """Fixed seconds of a batch."""
    share: float = 1.0
    """Duration of a row relative to its processor time."""


CPU = Engine()
"""configs/cpu.pbtxt: two instances of one thread, no batching across requests."""
GPU = Engine(1, 32, dynamic=True, delay=0.002, a_batch=0.004, share=0.05)
"""configs/gpu.pbtxt, on a small inference GPU. The time of a batch is ASSUMED: 4 ms, and half a
millisecond a photo. One NVIDIA H200 took 9 ms for 32 photos (bench `gpu`); a small GPU was not
measured.
"""


class TritonPod(Pod):
    """A Triton pod: a queue, instances, and batches if batching is dynamic."""

    PATIENCE = 2.0
    """default_timeout_microseconds of its queue."""

    def __init__(self, *given: Any, engine: Engine = CPU, **named: Any) -> None:
        super().__init__(*given, **named)
        self.engine = engine
        self._queue: deque[tuple[float, float, int, Callable[[bool], None], float]] = deque()
        self._idle = engine.instances
        self._alarm = inf
        self.queued, self.served, self.computed = 0.0, 0, 0.0

    def sample(self) -> PodSample:
        return replace(
            super().sample(),
            pending=len(self._queue),  # nv_inference_pending_request_count
            queued=self.queued,
            served=self.served,
            computed=self.computed,
        )

    def infer(
        self, batch: list[tuple[simpy.Event, float, float]], done: Callable[[bool], None]
    ) -> None:
        """Send one request of several photos. Call `done` with whether it was answered."""
        until = max(each for _, _, each in batch)
        if self.lost(self.env.now):
            wait = self.env.timeout(until - self.env.now)
            wait.callbacks.append(lambda _: done(False))
            return
        seconds = sum(each for _, each, _ in batch)
        until = min(until, self.env.now + self.PATIENCE)
        self._queue.append((self.env.now, seconds, len(batch), done, until))
        self._start()

    def _start(self, _: object = None) -> None:
        while self._idle and self._queue and self._is_due():
            taken: list[tuple[float, Callable[[bool], None]]] = []
            rows, now = 0, self.env.now
            while self._queue and (not taken or self._joins(rows + self._queue[0][2])):
                since, seconds, count, done, until = self._queue.popleft()
                if until <= now:
                    done(False)
                    continue
                taken.append((seconds, done))
                rows += count
                self.queued += now - since
            if taken:
                self._run(taken)

    def _joins(self, rows: int) -> bool:
        return self.engine.dynamic and rows <= self.engine.most

    def _is_due(self) -> bool:
        """Return whether a batch is full or its oldest photo has waited for the engine's delay."""
        if not self.engine.delay:
            return True
        now, due = self.env.now, self._queue[0][0] + self.engine.delay
        if now >= due - 1e-9 or sum(each[2] for each in self._queue) >= self.engine.most:
            return True
        if not now < self._alarm <= due:
            self._alarm = due
            self.env.timeout(due - now).callbacks.append(self._start)
        return False

    def _run(self, taken: list[tuple[float, Callable[[bool], None]]]) -> None:
        self._idle -= 1
        engine = self.engine
        seconds = engine.a_batch + engine.share * sum(each for each, _ in taken)
        self.computed += seconds
        self.work(seconds).callbacks.append(partial(self._ran, taken))

    def _ran(self, taken: list[tuple[float, Callable[[bool], None]]], _: object) -> None:
        self._idle += 1
        self.served += len(taken)
        for _, done in taken:
            done(not self.lost(self.env.now))
        self._start()

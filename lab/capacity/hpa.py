"""Number of pods that Kubernetes' HorizontalPodAutoscaler requests, computed as in its code.

After pkg/controller/podautoscaler of Kubernetes 1.32: replica_calculator.go and horizontal.go. KEDA
passes its triggers to the same controller. Its cooldownPeriod applies only to scaling to zero,
which is not used here.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

TOLERANCE = 0.1
"""Tolerance: a ratio of use to goal this near to 1 changes nothing."""


def by_average(pods: int, total: float, threshold: float) -> int:
    """Return the pods that an external metric with a goal for each pod (AverageValue) asks for."""
    if _near(total / (threshold * pods)):
        return pods
    return math.ceil(total / threshold)


def by_value(pods: int, ready: int, value: float, threshold: float) -> int:
    """Return the pods that an external metric with one goal for all pods (Value) asks for."""
    ratio = value / threshold
    return pods if _near(ratio) else math.ceil(ratio * ready)


def by_cpu(pods: int, used: Sequence[float], unready: int, goal: float) -> int:
    """Return the pods for a goal of CPU use relative to the request. `unready` pods count as idle
    when scaling up. `goal` is a percentage of the request.
    """
    if not used:
        return pods
    ratio = _percent(used, len(used)) / goal
    if not (unready and ratio > 1):
        return pods if _near(ratio) else math.ceil(ratio * len(used))
    cautious = _percent(used, len(used) + unready) / goal
    if _near(cautious) or cautious < 1:
        return pods
    return max(math.ceil(cautious * (len(used) + unready)), pods)


def _percent(used: Sequence[float], pods: int) -> int:
    """Return the mean use in whole percent, rounded as the controller rounds it."""
    return int(100 * sum(used) / pods + 1e-9)


def _near(ratio: float) -> bool:
    return abs(1 - ratio) <= TOLERANCE


@dataclass(frozen=True, slots=True)
class Rule:
    """Maximum change of the number of pods within a period: the greater of both limits."""

    pods: int
    percent: float
    seconds: float


@dataclass(frozen=True, slots=True)
class AutoscalerBehaviour:
    """`minReplicas`, `maxReplicas` and `behavior` of an autoscaler."""

    least: int
    most: int
    up: Rule
    down: Rule
    down_window: float = 300.0
    """Stabilization window for scaling down, in seconds."""
    up_window: float = 0.0

    def faster(self, pace: float) -> "AutoscalerBehaviour":
        """Return the behaviour with all durations divided by `pace`."""
        return replace(
            self,
            up=replace(self.up, seconds=self.up.seconds / pace),
            down=replace(self.down, seconds=self.down.seconds / pace),
            down_window=self.down_window / pace,
            up_window=self.up_window / pace,
        )


@dataclass(slots=True)
class Autoscaler:
    """One HorizontalPodAutoscaler: converts wanted numbers of pods to actual ones."""

    behaviour: AutoscalerBehaviour
    wishes: deque[tuple[float, int]] = field(default_factory=deque)
    changes: deque[tuple[float, int]] = field(default_factory=deque)
    """Changes by time: pods added, or removed (negative)."""

    def decide(self, now: float, pods: int, wish: int) -> int:
        """Return the number of pods from `now` on."""
        steady = self._stable(now, pods, wish)
        if steady > pods:
            steady = min(steady, max(self._up_to(now, pods), pods))
        elif steady < pods:
            steady = max(steady, min(self._down_to(now, pods), pods))
        found = min(max(steady, self.behaviour.least), self.behaviour.most)
        if found != pods:
            self.changes.append((now, found - pods))
        return found

    def _stable(self, now: float, pods: int, wish: int) -> int:
        """Clamp the wanted number to the range of those within the two stabilization windows."""
        longest = max(self.behaviour.down_window, self.behaviour.up_window)
        while self.wishes and self.wishes[0][0] < now - longest:
            self.wishes.popleft()
        if not self.wishes:
            self.wishes.append((now, pods))  # like the controller at its start
        up = self._within(now - self.behaviour.up_window, wish)
        down = self._within(now - self.behaviour.down_window, wish)
        self.wishes.append((now, wish))
        return max(min(pods, max(down)), min(up))

    def _within(self, since: float, wish: int) -> list[int]:
        return [wish, *(each for at, each in self.wishes if at > since)]

    def _up_to(self, now: float, pods: int) -> int:
        rule = self.behaviour.up
        start = pods - self._changed(now - rule.seconds)
        return max(start + rule.pods, math.ceil(start * (1 + rule.percent / 100)))

    def _down_to(self, now: float, pods: int) -> int:
        rule = self.behaviour.down
        start = pods - self._changed(now - rule.seconds)
        return min(start - rule.pods, int(start * (1 - rule.percent / 100)))

    def _changed(self, since: float) -> int:
        while self.changes and self.changes[0][0] < since - 3600:
            self.changes.popleft()
        return sum(by for at, by in self.changes if at > since)

"""Signals of a service, computed as Prometheus does from samples, and the pods that they request.

Signals and their names are those of deploy/k8s/components/autoscaling.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from lab.capacity import hpa
from lab.capacity.inputs import EMBEDDER, GATEWAY, RETRIEVER, SERVICES, TRITON
from lab.capacity.pods import Pod, PodSample

Thresholds = Mapping[str, Mapping[str, float]]
"""Thresholds by service and trigger."""


@dataclass(frozen=True, slots=True)
class ServiceSignals:
    """Signals of one service at a time."""

    now: float
    window: float
    """Range of rates and averages, in seconds."""
    wanted: int
    """Wanted replicas of the Deployment."""
    pods: tuple[Pod, ...]
    """All pods that were scraped within the window, including ended ones."""
    live: tuple[Pod, ...]

    @property
    def ready(self) -> list[Pod]:
        return [pod for pod in self.live if pod.ready <= self.now and not pod.lost(self.now)]

    def samples(self, pod: Pod) -> list[PodSample]:
        return [each for each in pod.samples if each.at > self.now - self.window]

    def averages(self, name: str) -> list[float]:
        """Return avg_over_time(…) of each pod."""
        return [_mean(map(attrgetter(name), self.samples(pod))) for pod in self.pods]

    def rate(self, name: str) -> float:
        """Return sum(rate(…)) over all pods."""
        return sum(_rate(self.samples(pod), name) for pod in self.pods)

    def used(self) -> list[float]:
        """Return each ready pod's processors in use over its request, by its last two samples."""
        found = []
        for pod in self.ready:
            last = [each for each in pod.samples if each.at >= pod.ready][-2:]
            if len(last) == 2:
                found.append(_rate(last, "used") / pod.processors)
        return found


def _mean(values: Iterable[float]) -> float:
    given = list(values)
    return sum(given) / len(given) if given else 0.0


def _rate(samples: list[PodSample], name: str) -> float:
    if len(samples) < 2:
        return 0.0
    first, last = samples[0], samples[-1]
    change: float = getattr(last, name) - getattr(first, name)
    return change / (last.at - first.at)


def _averaged(value: Callable[[ServiceSignals], float]) -> Callable[[ServiceSignals, float], int]:
    return lambda seen, threshold: hpa.by_average(seen.wanted, value(seen), threshold)


def _calls(seen: ServiceSignals) -> float:
    """Return mean calls under way by Little's law: seconds of ended calls, per second."""
    return seen.rate("spent")


def _sampled(seen: ServiceSignals) -> float:
    return sum(seen.averages("calls"))


def _limit(seen: ServiceSignals) -> float:
    """Return the calls under way divided by each pod's learned limit, summed over pods."""
    averages = seen.averages("calls")
    return sum(
        each / pod.samples[-1].limit for each, pod in zip(averages, seen.pods, strict=True) if each
    )


def _queue(seen: ServiceSignals, threshold: float) -> int:
    served = seen.rate("served")
    value = seen.rate("queued") / served if served else 0.0
    return hpa.by_value(seen.wanted, len(seen.ready), value, threshold)


def _cpu(seen: ServiceSignals, threshold: float) -> int:
    used = seen.used()
    return hpa.by_cpu(seen.wanted, used, len(seen.live) - len(used), threshold)


TRIGGERS: Mapping[tuple[str, str], Callable[[ServiceSignals, float], int]] = {
    (EMBEDDER, "waiting"): _averaged(lambda seen: seen.rate("waited")),
    (EMBEDDER, "busy"): _averaged(lambda seen: seen.rate("decoded")),
    (TRITON, "pending"): _averaged(lambda seen: sum(seen.averages("pending"))),
    (TRITON, "queue"): _queue,
    (TRITON, "busy"): _averaged(lambda seen: seen.rate("computed")),
    **{(service, "calls"): _averaged(_calls) for service in (GATEWAY, RETRIEVER)},
    **{(service, "sampled calls"): _averaged(_sampled) for service in (GATEWAY, RETRIEVER)},
    **{(service, "limit"): _averaged(_limit) for service in (GATEWAY, RETRIEVER)},
    **{(service, "cpu"): _cpu for service in SERVICES},
}
"""Triggers, each of which returns a number of pods. No manifest uses `sampled`: it is the same
figure by the gauge, which has four samples a minute.
"""


def wish(service: str, thresholds: Mapping[str, float], seen: ServiceSignals) -> int:
    """Return the highest number of pods that any trigger asks for, as an HPA does."""
    return max(TRIGGERS[service, name](seen, each) for name, each in thresholds.items())


def by_processor(percent: float) -> Thresholds:
    """Return thresholds that scale every service by its processors alone."""
    return {service: {"cpu": percent} for service in SERVICES}

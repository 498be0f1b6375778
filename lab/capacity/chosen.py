"""Thresholds of the manifests of deploy/k8s/components/autoscaling, as chosen by the sweep."""

from collections.abc import Mapping

from lab.capacity import hpa
from lab.capacity.inputs import EMBEDDER, GATEWAY, RANKER, RETRIEVER, TRITON
from lab.capacity.signals import Thresholds

THRESHOLDS: Thresholds = {
    GATEWAY: {"calls": 1.0},
    RETRIEVER: {"calls": 0.3},
    RANKER: {"cpu": 60.0},
    EMBEDDER: {"waiting": 1.0, "busy": 1.4},
    TRITON: {"pending": 2.0, "queue": 0.02, "busy": 1.4},
}
"""Thresholds of the manifests: the cheapest of the sweep that reach the goal
(lab/research/autoscaling.md).
"""

RESERVE: Thresholds = {
    GATEWAY: {"limit": 0.5, "cpu": 90.0},
    RETRIEVER: {"limit": 0.5, "cpu": 90.0},
    EMBEDDER: {"cpu": 90.0},
}
"""Additional triggers with fixed thresholds: calls near the learned limit, and CPU in case
Prometheus does not respond.
"""


def with_reserve(some: Thresholds) -> Thresholds:
    """Return the thresholds with the reserve triggers that the manifests add."""
    return {name: {**each, **RESERVE.get(name, {})} for name, each in some.items()}


_UP = hpa.Rule(pods=2, percent=100, seconds=60)
_DOWN = hpa.Rule(pods=1, percent=25, seconds=60)
_PODS = hpa.AutoscalerBehaviour(2, 20, _UP, _DOWN)
BEHAVIOUR: Mapping[str, hpa.AutoscalerBehaviour] = {
    GATEWAY: _PODS,
    RETRIEVER: _PODS,
    RANKER: _PODS,
    EMBEDDER: hpa.AutoscalerBehaviour(2, 10, _UP, _DOWN),
    TRITON: hpa.AutoscalerBehaviour(1, 8, hpa.Rule(1, 100, 60), hpa.Rule(1, 0, 120), 600.0),
}
"""`minReplicas`, `maxReplicas` and `behavior` of the manifests."""

"""Sizes of the services of a cluster in a rush, for `make cluster`: ``python -m lab.rushes``.

Read a question from standard input as JSON (tests/cluster/scaled.py writes it); write for each seed
the changed sizes of each service, with the seconds since the rush began.
"""

import json
import sys
from typing import Any, TypeAlias

from lab.capacity.cluster import Cluster, Load, ScalingPolicy
from lab.capacity.hpa import AutoscalerBehaviour, Rule
from lab.capacity.inputs import SERVICES, USER, AnswerWork, Assumed

Changes: TypeAlias = list[tuple[float, int]]


def predicted(asked: Any) -> list[dict[str, Changes]]:
    """Return the sizes of each service for each seed."""
    return [_run(asked, seed) for seed in asked["seeds"]]


def _run(asked: Any, seed: int) -> dict[str, Changes]:
    before, lasting, after = asked["seconds"]
    usual, rush = asked["usual"], asked["rush"]

    def is_rush(now: float) -> bool:
        return bool(before <= now < before + lasting)

    load = Load(
        "a rush",
        before + lasting + after,
        lambda now: float((rush if is_rush(now) else usual)["rate"]),
        {"usual": 1.0},
        mix_at=lambda now: {"rush" if is_rush(now) else "usual": 1.0},
    )
    policy = ScalingPolicy(
        "signals", dict.fromkeys(SERVICES, 1), asked["thresholds"], behaviour(asked["behaviour"])
    )
    works = {name: AnswerWork(**asked[name]["work"]) for name in ("usual", "rush")}
    cluster = Cluster(
        load,
        policy,
        {**works, USER: works["usual"]},
        Assumed(**asked["assumed"]),
        seed=seed,
        at_once=asked["at_once"],
    )
    cluster.run()
    return {
        name: [(at - before, size) for at, size in service.sizes if at > before]
        for name, service in cluster.services.items()
    }


def behaviour(given: Any) -> dict[str, AutoscalerBehaviour]:
    """Return the behaviour of autoscalers for the simulation."""
    return {
        name: AutoscalerBehaviour(
            each["least"],
            each["most"],
            Rule(**each["up"]),
            Rule(**each["down"]),
            each["down_window"],
            each["up_window"],
        )
        for name, each in given.items()
    }


if __name__ == "__main__":
    json.dump(predicted(json.load(sys.stdin)), sys.stdout)

"""Clusters follow their load, and equal seeds give equal runs."""

from dataclasses import replace

import numpy as np
import pytest

from lab.capacity import runs
from lab.capacity.answering import ANSWERED, FAILED, SHED
from lab.capacity.chosen import BEHAVIOUR
from lab.capacity.cluster import Cluster, Load, ScalingPolicy
from lab.capacity.inputs import (
    GATEWAY,
    KINDS,
    PRODUCT,
    RANKER,
    RETRIEVER,
    SERVICES,
    TRITON,
    AnswerWork,
    Assumed,
    work,
)
from lab.capacity.scenarios import DAY, LOADS, MIX, SALE

WORK = {kind: work(kind) for kind in KINDS}
STEADY = Load("steady", 60, lambda _: 60.0, MIX, since=0)
TWO = dict.fromkeys(SERVICES, 2)


def made(load: Load, pods: dict[str, int], **more: object) -> Cluster:
    policy = ScalingPolicy("", pods, **more)  # type: ignore[arg-type]
    return Cluster(load, policy, WORK, Assumed(), seed=5)


@pytest.mark.slow
def test_the_same_seed_is_the_same_run() -> None:
    one, other = made(STEADY, TWO), made(STEADY, TWO)
    assert one.run() == other.run()
    assert one.shop.outcomes.ends.count(ANSWERED) > 3000


def test_an_answer_takes_the_sum_of_its_parts_where_nothing_waits() -> None:
    quiet = Load("quiet", 400, lambda _: 1.0, {PRODUCT: 1.0}, since=0)
    even = {PRODUCT: replace(WORK[PRODUCT], spread=0.0)}
    cluster = Cluster(quiet, ScalingPolicy("", TWO), {**WORK, **even}, Assumed(), seed=1)
    found = cluster.run()
    one: AnswerWork = WORK[PRODUCT]
    assert np.median(found.seconds) == pytest.approx(
        one.gateway + one.search + one.rank + one.hydrate
    )


def test_processors_are_used_as_the_figures_say() -> None:
    cluster = made(STEADY, TWO)
    answers = len(cluster.run().ends) / STEADY.seconds
    needs = runs.needs(answers, MIX)
    for service in (GATEWAY, RETRIEVER, RANKER):
        pods = cluster.services[service].live
        assert sum(pod.used() for pod in pods) / 60 == pytest.approx(needs[service], rel=0.1)


@pytest.mark.slow
def test_pods_come_with_the_load_and_go_after_their_window() -> None:
    load = Load("up", 900, lambda now: 250.0 if 100 < now < 200 else 20.0, MIX)
    quick = {name: {"cpu": 30.0} for name in SERVICES}
    cluster = made(load, {**TWO, TRITON: 1}, thresholds=quick, behaviour=BEHAVIOUR)
    cluster.run()
    pods = [(at, each[RETRIEVER]) for at, each in cluster.counts]
    most = max(each for _, each in pods)
    assert most > 3
    assert all(each == 2 for at, each in pods if at <= 100)
    # 300 s after the last wish for them, then a quarter of them a minute.
    assert dict(pods)[255.0] == most == dict(pods)[450.0]
    assert pods[-1][1] < most


def test_a_pod_takes_calls_once_it_has_started_and_is_found_little_by_little() -> None:
    cluster = made(STEADY, TWO)
    service = cluster.services[RANKER]
    cluster.env.run(until=1)
    service.scale(3)
    new, caller = service.live[-1], cluster.services[GATEWAY].live[0]

    def share() -> float:
        return sum(service.pick(caller) is new for _ in range(1000)) / 1000

    cluster.env.run(until=20.9)
    assert share() == 0
    cluster.env.run(until=21 + 33 / 2)
    assert share() == pytest.approx(1 / 5, abs=0.05), "half as often as others"
    cluster.env.run(until=60)
    assert share() == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.slow
def test_a_lost_node_costs_answers_until_callers_give_its_pods_up() -> None:
    load = replace(STEADY, lose_at=20.0)
    cluster = made(load, dict.fromkeys(SERVICES, 3))
    found = cluster.run()
    bad = [at for at, end in zip(found.began, found.ends, strict=True) if end != ANSWERED]
    assert bad
    assert min(bad) > 17.9
    assert max(bad) < 24.6
    assert FAILED in found.ends


@pytest.mark.slow
def test_too_few_pods_refuse_instead_of_queueing_for_ever() -> None:
    load = Load("flood", 40, lambda _: 400.0, MIX, since=0)
    found = made(load, {**TWO, GATEWAY: 1}).run()
    ends = np.array(found.ends)
    assert 0.3 < np.mean(ends == SHED) < 0.7
    assert max(found.seconds) <= Assumed().deadline


def test_the_pace_changes_how_pods_live_and_no_request() -> None:
    assert Assumed().faster(10).start == 2.0
    assert Assumed().faster(10).deadline == 2.0
    assert BEHAVIOUR[TRITON].faster(10).down_window == 60.0
    assert LOADS["a day"].seconds == DAY


def test_plans_and_summaries() -> None:
    plan = runs.planned(SALE, MIX)
    assert {name: need / plan[name] < 0.61 for name, need in runs.needs(SALE, MIX).items()} == (
        dict.fromkeys(SERVICES, True)
    )
    assert [each.name for each in runs.policies("flash sale")] == [
        *("signals", "CPU 60%", "fixed, by peak", "fixed, by mean")
    ]

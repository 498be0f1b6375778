"""The component `autoscaling`: its rules, each of them broken once; its queries, computed by
promtool on series that are written here; its thresholds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contracts import scaling
from tests.contracts.k8s import Document, main, of, pod, with_components
from tests.contracts.scaling import Change, Rule
from tests.contracts.test_alerts import promtool


@pytest.fixture(scope="module")
def made() -> list[Document]:
    return with_components("autoscaling")


@pytest.mark.parametrize("rule", scaling.RULES, ids=lambda rule: rule.__name__)
def test_it_keeps_to_each_rule(made: list[Document], rule: Rule) -> None:
    assert list(rule(made)) == []


def spec(documents: list[Document], name: str = "gateway") -> Any:
    return scaling.scalers(documents)[name]


def metadata(documents: list[Document], name: str = "gateway", place: int = 0) -> Any:
    return spec(documents, name)["triggers"][place]["metadata"]


def asks(documents: list[Document], query: str) -> None:
    metadata(documents)["query"] = query


def rules(documents: list[Document], direction: str) -> Any:
    return spec(documents)["advanced"]["horizontalPodAutoscalerConfig"]["behavior"][direction]


def deployment(documents: list[Document], name: str) -> Any:
    return of(documents, "Deployment")[name]["spec"]


def without_age(documents: list[Document]) -> None:
    for each in of(documents, "ConfigMap").values():
        each["data"].pop("RANKER_CONNECTION_AGE_SECONDS", None)


WINDOW = "stabilizationWindowSeconds"
OWN = 'namespace="sightline",service="gateway"'
BROKEN: list[tuple[Rule, str, Change]] = [
    (scaling.targets, "scaled are", lambda d: d.remove(of(d, "ScaledObject")["ranker"])),
    (scaling.targets, "no web", lambda d: spec(d).update(scaleTargetRef={"name": "web"})),
    (scaling.targets, "sets replicas", lambda d: deployment(d, "ranker").update(replicas=2)),
    (
        scaling.targets,
        "a second scaler",
        lambda d: d.append(
            {
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "x"},
                "spec": {"scaleTargetRef": {"name": "gateway"}},
            }
        ),
    ),
    (scaling.queries, "there is no sightline_x", lambda d: asks(d, f"sightline_x{{{OWN}}}")),
    (scaling.queries, "of all namespaces", lambda d: asks(d, "sum(sightline_streams)")),
    (scaling.queries, "another namespace", lambda d: asks(d, 'nv_inference_count{namespace="x"}')),
    (
        scaling.queries,
        "another service",
        lambda d: asks(d, 'sightline_streams{namespace="sightline",service="ranker"}'),
    ),
    (scaling.silence, "for nothing to do", lambda d: metadata(d).pop("ignoreNullValues")),
    (
        scaling.silence,
        "Utilization",
        lambda d: spec(d)["triggers"][0].update(metricType="Utilization"),
    ),
    (scaling.silence, "nothing adds pods", lambda d: spec(d)["triggers"].pop()),
    (scaling.silence, "never that full", lambda d: metadata(d, place=-1).update(value="150")),
    (scaling.behaviour, "0 to 20 pods", lambda d: spec(d).update(minReplicaCount=0)),
    (scaling.behaviour, "2 to 2 pods", lambda d: spec(d).update(maxReplicaCount=2)),
    (scaling.behaviour, "waits", lambda d: rules(d, "scaleUp").update({WINDOW: 60})),
    (scaling.behaviour, "pause", lambda d: rules(d, "scaleDown").update({WINDOW: 0})),
    (scaling.behaviour, "quarter", lambda d: rules(d, "scaleDown")["policies"][0].update(value=50)),
    (scaling.new_pods, "ranker: connections end after 0 s", without_age),
    (
        scaling.new_pods,
        "triton",
        lambda d: main(d, "triton")["args"].pop(),
    ),
    (
        scaling.disruption,
        "may be gone",
        lambda d: of(d, "PodDisruptionBudget")["ranker"]["spec"].update(maxUnavailable=1),
    ),
    (
        scaling.disruption,
        "beside pods that go",
        lambda d: pod(d, "ranker")["topologySpreadConstraints"][0].pop("matchLabelKeys"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "said", "change"), BROKEN, ids=[said for _, said, _ in BROKEN])
def test_each_rule_notices_what_breaks_it(
    made: list[Document], rule: Rule, said: str, change: Change
) -> None:
    changed = copy.deepcopy(made)
    change(changed)
    assert said in "; ".join(rule(changed))


# Thresholds


def test_another_threshold_would_be_noticed(made: list[Document]) -> None:
    same = scaling.thresholds(made)
    assert list(scaling.differences(made, same)) == []
    other = copy.deepcopy(same)
    other["gateway"]["calls"] += 0.5
    del other["triton"]["queue"]
    assert len(list(scaling.differences(made, other))) == 2


# Queries


def series(name: str, values: str, pod: str = "a", **labels: str) -> dict[str, str]:
    written = {"namespace": "sightline", "pod": pod, **labels}
    selector = ",".join(f'{label}="{value}"' for label, value in written.items())
    return {"series": f"{name}{{{selector}}}", "values": values}


def counter(name: str, a_second: float, pod: str = "a", **labels: str) -> dict[str, str]:
    return series(name, f"0+{a_second * 15:g}x20", pod, **labels)


SECONDS, FLIGHT = "sightline_call_seconds_total", "sightline_calls_in_flight"
LIMIT, STAGE = "sightline_concurrency_limit", "sightline_stage_seconds_sum"
TRITON = {"model": "lite0", "version": "1"}
G, E = {"service": "gateway"}, {"service": "embedder"}
CASES: list[tuple[str, str, list[dict[str, str]], float | None]] = [
    (
        "gateway",
        "calls",
        [
            counter(SECONDS, 3, **G),
            counter(SECONDS, 2, "b", **G),
            counter(SECONDS, 9, service="ranker"),
            counter(SECONDS, 9, **G | {"namespace": "staging"}),
        ],
        5,
    ),
    ("gateway", "calls", [counter(SECONDS, 0, **G)], 0),
    ("gateway", "calls", [], None),
    (
        "gateway",
        "limit",
        [
            series(FLIGHT, "100x20", **G),
            series(LIMIT, "200x20", **G),
            series(FLIGHT, "8x20", "b", **G),
            series(LIMIT, "8x20", "b", **G),
        ],
        1.5,
    ),
    ("embedder", "waiting", [counter(STAGE, 4, **E, stage="intake_queue")], 4),
    ("embedder", "waiting", [series(FLIGHT, "0x20", **E)], 0),
    ("embedder", "waiting", [], None),
    ("embedder", "busy", [counter(STAGE, 1.5, **E, stage="intake")], 1.5),
    ("triton", "pending", [series("nv_inference_pending_request_count", "6x20", **TRITON)], 6),
    (
        "triton",
        "queue",
        [
            counter("nv_inference_queue_duration_us", 500_000, **TRITON),
            counter("nv_inference_request_success", 10, **TRITON),
        ],
        0.05,
    ),
    (
        "triton",
        "busy",
        [
            counter("nv_inference_exec_count", 20, **TRITON),
            counter("nv_inference_compute_infer_duration_us", 2_400_000, **TRITON),
            counter("nv_inference_request_success", 80, **TRITON),
        ],
        0.6,
    ),
    (
        "triton",
        "busy",
        [
            counter(f"nv_inference_{each}", 0, **TRITON)
            for each in ("exec_count", "compute_infer_duration_us", "request_success")
        ],
        0,
    ),
]  # fmt: skip


def query(documents: list[Document], workload: str, trigger: str) -> str:
    (found,) = [
        each for each in scaling.triggers(spec(documents, workload)) if each["name"] == trigger
    ]
    return str(found["metadata"]["query"])


def test_queries_give_what_they_say(made: list[Document], tmp_path: Path) -> None:
    """Check that an idle service gives 0, and a service without samples gives no value."""
    asked = [
        {
            "interval": "15s",
            "input_series": given,
            "promql_expr_test": [
                {
                    "expr": query(made, workload, trigger),
                    "eval_time": "4m",
                    "exp_samples": [] if wanted is None else [{"labels": "{}", "value": wanted}],
                }
            ],
        }
        for workload, trigger, given, wanted in CASES
    ]
    tests = tmp_path / "queries.test.yaml"
    tests.write_text(yaml.safe_dump({"rule_files": [], "tests": asked}))
    promtool("test", "rules", str(tests))


def test_every_query_is_computed_above(made: list[Document]) -> None:
    same = {"retriever": "gateway"}
    asked = {
        (same.get(name, name), each["name"])
        for name, scaler in scaling.scalers(made).items()
        for each in scaling.triggers(scaler)
    }
    assert asked == {(workload, trigger) for workload, trigger, _, _ in CASES}
    for trigger in ("calls", "limit"):
        assert query(made, "retriever", trigger) == query(made, "gateway", trigger).replace(
            "gateway", "retriever"
        )

"""The stand-in for KEDA and the metrics server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.model import NotMeasured
from tests.cluster import scaled
from tests.cluster.parts.autoscalers import Sizes, scrape_jobs, targets
from tests.cluster.parts.scaling import COMPONENTS, _first, grown
from tests.cluster.parts.stage import rendered
from tests.cluster.scaled import MOST, OTHER, limits, patches
from tests.cluster.standins import metrics
from tests.contracts.k8s import Document, of
from tests.contracts.scaling import behaviours, thresholds

USED = 'container_cpu_usage_seconds_total{container="%s",namespace="sightline",pod="%s"} %s 17\n'
LABELS = {("sightline", "gateway-1"): {"app": "gateway"}, ("sightline", "ranker-1"): {"app": "r"}}


class Fixed(metrics.Prometheus):
    """A Prometheus of which one query has a value."""

    def value(self, query: str) -> float | None:
        return 2.5 if query == "sum(known)" else None


@pytest.fixture(scope="module")
def shipped() -> list[Document]:
    return rendered("medium", components=COMPONENTS)


@pytest.fixture(scope="module")
def changed(shipped: list[Document]) -> list[Document]:
    return rendered("medium", components=COMPONENTS, patches=patches(shipped))


def asked(path: str) -> Document | None:
    processor = metrics.Processor(lambda: "", lambda: LABELS)
    for now, seconds in ((10.0, "1.0"), (15.0, "3.5")):
        both = USED % ("gateway", "gateway-1", seconds) + USED % ("ranker", "ranker-1", "9")
        processor.take(now, both)
    known = {("gateway", "s0-prometheus"): "sum(known)", ("gateway", "s1-prometheus"): "sum(none)"}
    return metrics.answer(path, lambda: known, Fixed(""), processor)


def external(metric: str, scaled: str = "gateway") -> str:
    selector = f"labelSelector=scaledobject.keda.sh%2Fname%3D{scaled}"
    return f"/apis/external.metrics.k8s.io/v1beta1/namespaces/sightline/{metric}?{selector}"


def test_an_autoscaler_has_the_triggers_limits_and_behavior_of_its_scaled_object(
    shipped: list[Document],
) -> None:
    scaled = of(shipped, "ScaledObject")["embedder"]
    spec = metrics.autoscaler(scaled)["spec"]
    assert spec["scaleTargetRef"]["name"] == "embedder"
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
    waiting, busy, cpu = spec["metrics"]
    assert waiting["external"]["target"] == {"type": "AverageValue", "averageValue": "1"}
    assert busy["external"]["metric"]["name"] == "s1-prometheus"
    assert cpu["resource"]["target"] == {"type": "Utilization", "averageUtilization": 90}
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300
    triton = metrics.autoscaler(of(shipped, "ScaledObject")["triton"])["spec"]["metrics"]
    assert triton[1]["external"]["target"] == {"type": "Value", "value": "0.02"}


def test_external_metrics_are_values_of_the_trigger_s_query() -> None:
    found = asked(external("s0-prometheus"))
    assert found is not None
    assert [one["value"] for one in found["items"]] == ["2500m"]


@pytest.mark.parametrize(
    "path",
    [
        external("s1-prometheus"),
        external("s0-prometheus", "another"),
        external("s9-prometheus"),
        "/apis",
        "/healthz",
    ],
)
def test_a_metric_without_a_value_is_missing(path: str) -> None:
    assert asked(path) is None


def test_pod_metrics_are_the_rate_between_the_last_two_reads_of_the_selected_pods() -> None:
    where = "/apis/metrics.k8s.io/v1beta1/namespaces/sightline/pods"
    found = asked(f"{where}?labelSelector=app%3Dgateway")
    assert found is not None
    (one,) = found["items"]
    assert one["metadata"]["name"] == "gateway-1"
    assert one["containers"] == [{"name": "gateway", "usage": {"cpu": "500000000n", "memory": "0"}}]
    every = asked(where)
    assert every is not None
    assert len(every["items"]) == 2


@pytest.mark.parametrize("group", metrics.GROUPS)
def test_the_groups_name_their_resources(group: str) -> None:
    found = asked(f"/apis/{group}/v1beta1")
    assert found is not None
    assert found["groupVersion"] == f"{group}/v1beta1"


def test_a_pod_monitor_becomes_a_job_that_keeps_its_pods_and_port(shipped: list[Document]) -> None:
    (job,) = scrape_jobs(shipped, Path("pods.json"))
    kept = [each["regex"] for each in job["relabel_configs"] if each.get("action") == "keep"]
    assert kept == ["sightline", "metrics"]
    made = [each["target_label"] for each in job["relabel_configs"] if "target_label" in each]
    assert made == ["job", "namespace", "pod"]


def test_the_ports_of_running_pods_are_found_with_their_labels() -> None:
    port = {"name": "metrics", "containerPort": 9090}
    pod: Document = {
        "metadata": {"namespace": "n", "name": "p", "labels": {"app.kubernetes.io/name": "x"}},
        "spec": {"containers": [{"ports": [port]}]},
        "status": {"podIP": "10.0.0.1", "phase": "Running"},
    }
    pending = {**pod, "status": {"phase": "Pending"}}
    (found,) = targets([pod, pending])
    assert found["targets"] == ["10.0.0.1:9090"]
    assert found["labels"]["__meta_kubernetes_pod_label_app_kubernetes_io_name"] == "x"
    assert found["labels"]["__meta_kubernetes_pod_container_port_name"] == "metrics"


def test_the_run_changes_thresholds_that_it_names_and_no_others(
    shipped: list[Document], changed: list[Document]
) -> None:
    before, after = thresholds(shipped), thresholds(changed)
    differ = {
        (name, trigger)
        for name, each in before.items()
        for trigger, value in each.items()
        if after[name][trigger] != value and trigger != "cpu"
    }
    assert differ == set(OTHER)
    simulated = limits(changed)
    assert simulated["gateway"]["cpu"] == pytest.approx(before["gateway"]["cpu"])
    assert {name: each["most"] for name, each in behaviours(changed).items()} == MOST


def test_without_the_laboratory_nothing_is_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaled, "LAB", Path("/nowhere"))
    with pytest.raises(NotMeasured, match="no environment"):
        scaled.predicted({})


def test_sizes_are_noted_when_they_change() -> None:
    sizes = Sizes()
    for wanted in (1, 1, 2):
        meta = {"namespace": "sightline", "name": "gateway"}
        sizes.look([{"metadata": meta, "spec": {"replicas": wanted}}])
    assert [size for _, size in sizes.since(0.0, "gateway")] == [1, 2]
    assert sizes.now() == {"gateway": 2}


def test_a_workload_grew_if_its_size_rose_since_and_not_if_it_fell() -> None:
    sizes = Sizes()
    sizes.changes = [(1.0, "gateway", 2), (5.0, "embedder", 2), (6.0, "gateway", 1)]
    before = {"gateway": 2, "embedder": 1}
    assert grown(sizes, before, 4.0) == ["embedder"]
    assert grown(sizes, {}, 0.0) == ["embedder", "gateway"]


def test_the_first_time_of_a_size_is_counted_from_the_change_of_load() -> None:
    changes = [(12.0, 2), (30.0, 3), (150.0, 2), (170.0, 1)]
    assert (_first(changes, 2, 0.0), _first(changes, 2, 100.0)) == (12.0, 50.0)
    assert _first(changes, 4, 0.0) is None

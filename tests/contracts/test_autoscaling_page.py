"""docs/operate/autoscaling.md: its table is the manifests', its snippets are applied to them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.contracts import scaling
from tests.contracts.k8s import K8S, OLDEST, ROOT, Document, of, render

PAGE = (ROOT / "docs/operate/autoscaling.md").read_text("utf-8")
BLOCKS: list[Any] = [
    yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
]
WORDS = {
    "calls": "concurrent calls",
    "limit": "concurrent calls ÷ learned limit",
    "cpu": "CPU ÷ CPU request",
    "waiting": "photos waiting for a decoder",
    "pending": "waiting requests",
    "queue": "waiting time of a request",
}
AT_WORK = {"embedder": "busy decoders", "triton": "busy model instances"}
UNITS = {"cpu": "{:g}%", "queue": "{:g} s"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    """Return the base with every overlay snippet of the page."""
    folder = tmp_path_factory.mktemp("page") / "k8s"
    shutil.copytree(K8S, folder)
    overlay = folder / "overlays" / "yours"
    overlay.mkdir()
    written: Document = {"kind": "Kustomization", "resources": ["../../base"]}
    for block in BLOCKS:
        if {"components", "patches", "replacements"} & set(block):
            written |= block
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(written))
    return render(overlay)


def test_its_table_is_that_of_the_manifests() -> None:
    rows = []
    for name in scaling.SCALED:
        file = K8S / "components/autoscaling"
        found = [
            each for each in file.glob("*/scaling.yaml") if f"name: {name}\n" in each.read_text()
        ]
        (spec,) = [
            each["spec"]
            for each in yaml.safe_load_all(found[0].read_text())
            if each["metadata"]["name"] == name
        ]
        for trigger in spec["triggers"]:
            given = trigger["metadata"]
            figure = float(given.get("threshold") or given["value"])
            shown = UNITS.get(trigger["name"], "{:g}").format(figure)
            signal = WORDS.get(trigger["name"]) or AT_WORK[name]
            pods = f"{spec['minReplicaCount']} to {spec['maxReplicaCount']}"
            rows.append(f"| {name} | {signal} | {shown} | {pods} |")
    table = "\n".join(rows)
    assert f"--- |\n{table}\n<!-- end -->" in PAGE, table


def test_its_snippets_do_what_they_say(made: list[Document]) -> None:
    scalers = scaling.scalers(made)
    addresses = {
        trigger["metadata"]["serverAddress"]
        for scaler in scalers.values()
        for trigger in scaling.triggers(scaler)
    }
    assert addresses == {"http://prometheus.metrics:9090"}
    assert not [name for name in of(made, "ConfigMap") if name.startswith("prometheus")]
    assert scalers["gateway"]["maxReplicaCount"] == 40
    assert scaling.thresholds(made)["gateway"]["calls"] == 2


def test_kubernetes_own_autoscaler_asks_for_the_same() -> None:
    (hpa,) = [block for block in BLOCKS if block.get("kind") == "HorizontalPodAutoscaler"]
    kubernetes_validate.validate(hpa, OLDEST, strict=True)
    (adapter,) = [block["externalRules"] for block in BLOCKS if "externalRules" in block]
    file = K8S / "components/autoscaling/gateway/scaling.yaml"
    spec = yaml.safe_load(file.read_text())["spec"]
    (calls,) = [each["metadata"] for each in spec["triggers"] if each["name"] == "calls"]
    external = hpa["spec"]["metrics"][0]["external"]
    assert external["target"]["averageValue"] == calls["threshold"]
    assert external["metric"]["name"] == adapter[0]["name"]["as"]
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (
        spec["minReplicaCount"],
        spec["maxReplicaCount"],
    )
    series = adapter[0]["seriesQuery"].partition("{")[0]
    assert series in scaling.known_metrics()
    service = external["metric"]["selector"]["matchLabels"]["service"]
    labels = f'namespace="sightline",service="{service}"'
    asked = adapter[0]["metricsQuery"].replace("<<.Series>>", series)
    assert asked.replace("<<.LabelMatchers>>", labels) == calls["query"].strip()


def test_it_speaks_of_metrics_that_there_are() -> None:
    assert set(re.findall(r"sightline_\w+", PAGE)) <= scaling.known_metrics() | {"sightline_calls"}
    assert str(Path("operate/autoscaling.md")) in (ROOT / "mkdocs.yml").read_text()

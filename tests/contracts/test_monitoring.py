"""The files for Prometheus, Grafana and Kubernetes match their sources, are valid for each of them,
and query existing metrics.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.monitoring import generate, slo
from deploy.monitoring.boards import reading
from deploy.monitoring.boards.model import UNITS
from tests.contracts.k8s import OURS, ROOT, TOGETHER, WORKLOADS, of, overlay, with_components
from tests.contracts.test_alerts import promtool
from tests.contracts.test_compose import complaints, load
from tests.contracts.test_guides import commands, typed
from tests.monitoring import expressions, names

MOST_BYTES = 200_000
"""Maximum bytes of a dashboard: `kubectl apply` also writes it into an annotation, whose limit
is 262,144."""
BOARDS = {board.name: board for board in generate.boards()}
SEEN = ("vision", "vision-worker")
"""Processes of the optional service."""
REFERENCE = (ROOT / "docs/reference/metrics.md").read_text("utf-8")


def test_the_generated_files_are_those_that_their_sources_make_now() -> None:
    stale = [path for path, text in generate.files().items() if path.read_text("utf-8") != text]
    assert not stale, "run: make monitoring"
    kept = {path.stem for path in (generate.HERE / "dashboards").iterdir()}
    assert kept == set(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_one_by_grafanas_own_schema(name: str) -> None:
    text = (generate.HERE / "dashboards" / f"{name}.json").read_text("utf-8")
    register_default_plugins()
    read = Dashboard.from_json(json.loads(text))
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == json.loads(text)
    assert len(text) <= MOST_BYTES
    assert 8 <= len(read.uid or "") <= 40


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("", None),
        ("unites: s", TypeError),
        ("limits: {nothing: red}", KeyError),
        ("limits: {degraded: red}", None),
    ],
)
def test_a_panel_has_only_keys_and_objectives_that_there_are(
    line: str, error: type[Exception] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "HERE", tmp_path)
    panel = f"{{title: Load, says: What JOBS take., unit: s, queries: {{'': sum(JOBS)}}, {line}}}"
    rows = (
        f"title: B\nsays: b\nterms: {{JOBS: PROCESSES}}\nrows:\n- title: R\n  panels: [{panel}]\n"
    )
    (tmp_path / "b.yaml").write_text(rows)
    if error is not None:
        with pytest.raises(error):
            reading.board("b", slo.read())
        return
    (made,) = reading.board("b", slo.read()).panels
    assert made.queries[0].expr == f"sum({reading.PROCESSES})"
    assert line == "" or made.limits == {slo.read().slos["degraded"].allowed: "red"}


@pytest.mark.parametrize("name", BOARDS)
def test_panels_lie_beside_one_another_and_have_a_source_that_is_chosen(name: str) -> None:
    board = json.loads((generate.HERE / "dashboards" / f"{name}.json").read_text("utf-8"))
    panels = [each for each in board["panels"] if each["type"] != "row"]
    covered: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not covered & cells, panel["title"]
        covered |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}
    assert len({panel["id"] for panel in panels}) == len(panels) == len(BOARDS[name].panels)
    variables = [each["name"] for each in board["templating"]["list"]]
    assert variables[:3] == ["datasource", "namespace", "catalog"]
    used = set(re.findall(r"\$(\w+)", json.dumps([panel["targets"] for panel in panels])))
    assert used - {"__rate_interval", "__range"} <= {*variables}


@pytest.mark.parametrize(
    "panel",
    [panel for board in BOARDS.values() for panel in board.panels],
    ids=lambda each: each.title,
)
def test_a_panel_explains_its_figure_in_its_unit(panel: Any) -> None:
    assert len(panel.says.split()) >= 6
    assert panel.says.rstrip().endswith(".")
    assert panel.unit in UNITS
    for line in commands(panel.says):
        typed(line)


def test_every_expression_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"a{n}", "expr": each} for n, each in enumerate(expressions())]
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))
    assert len(rules) > 150
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


def test_every_metric_that_is_asked_for_is_in_the_reference_and_none_there_is_idle() -> None:
    recorded = {
        rule["record"]
        for group in generate.rules()["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    asked = {name for each in expressions() for name in names(each)}
    listed = set(re.findall(r"^\| `(\w+)`", REFERENCE, re.M))
    assert asked - recorded <= listed
    others = yaml.safe_load((generate.HERE / "others.yaml").read_text("utf-8"))
    assert {name for metrics in others.values() for name in metrics} <= asked
    assert recorded - asked == {"sightline:slo_good:bool"} - asked


def test_what_latency_promises_can_be_counted() -> None:
    """Check that the latency objective's limit is a bucket of the histogram."""
    from servicekit.telemetry import RPC_SECONDS

    (limit,) = re.findall(r'le="(.+?)"', slo.read().slos["latency"].good)
    assert float(limit) in RPC_SECONDS._upper_bounds
    assert f"within {float(limit) * 1000:.0f} ms" in slo.read().slos["latency"].promise


# Kubernetes


def test_the_component_scrapes_every_process_and_brings_rules_and_dashboards() -> None:
    made = [*with_components("monitoring"), of(overlay("small"), "Deployment")[TOGETHER]]
    made += [of(with_components("vision"), "Deployment")[name] for name in SEEN]
    (monitor,) = of(made, "PodMonitor").values()
    wanted = monitor["spec"]["selector"]["matchLabels"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    jobs = set()
    for name, deployment in of(made, "Deployment").items():
        template = deployment["spec"]["template"]
        assert wanted.items() <= template["metadata"]["labels"].items(), name
        ports = [
            p["name"] for each in template["spec"]["containers"] for p in each.get("ports", ())
        ]
        assert endpoint["port"] in ports, name
        jobs.add(template["metadata"]["labels"][monitor["spec"]["jobLabel"]])
    assert jobs == {TOGETHER, *WORKLOADS, *SEEN} == {*generate.PROCESSES.split("|")}
    (rule,) = of(made, "PrometheusRule").values()
    groups = {group["name"] for group in rule["spec"]["groups"]}
    assert {"sightline-index", "sightline-slo-alerts", "sightline-pods"} <= groups
    shown = {
        key: json.loads(text)["uid"]
        for each in of(made, "ConfigMap").values()
        if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
        for key, text in each["data"].items()
    }
    assert shown == {f"{name}.json": f"sightline-{name}" for name in BOARDS}
    assert {each["metadata"].get("namespace") for each in made if each["kind"] != "Namespace"} == {
        "sightline"
    }


# Compose


def mounted(service: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the files of this repository that a service mounts, each with its place."""
    for each in service["volumes"]:
        source, target, *_ = (
            (each["source"], each["target"]) if isinstance(each, dict) else each.split(":")
        )
        if source.startswith((".", str(ROOT))):
            yield source, target


def test_compose_takes_the_file_and_scrapes_every_process() -> None:
    whole = load("compose.yaml", "compose.monitoring.yaml")
    assert complaints(whole) == []
    services, plain = whole["services"], load("compose.yaml")["services"]
    assert "configs" not in whole, "podman-compose does not mount them"
    files = {
        target: ROOT / source
        for name in ("prometheus", "grafana")
        for source, target in mounted(services[name])
    }
    assert all(each.exists() for each in files.values())
    scraped = yaml.safe_load(files["/etc/prometheus/prometheus.yml"].read_text("utf-8"))
    found = {each["job_name"]: each for each in scraped["scrape_configs"]}
    for name in SEEN:  # a name that is not there has no address, and is not scraped
        assert found.pop(name)["dns_sd_configs"] == [{"names": [name], "type": "A", "port": 9090}]
    jobs = {name: each["static_configs"][0]["targets"][0] for name, each in found.items()}
    assert set(jobs) == {*WORKLOADS, "milvus"}
    for name, target in jobs.items():
        assert target.startswith(f"{name}:")
        assert set(services[name]["networks"]) & set(services["prometheus"]["networks"]), name
    for name in OURS:
        ports = {v for k, v in services[name]["environment"].items() if k.endswith("METRICS_PORT")}
        assert {str(port) for port in ports} == {jobs[name].partition(":")[2]}
        services[name]["environment"] = plain[name]["environment"]
        assert services[name] == plain[name]
    for name in ("prometheus", "grafana"):
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", services[name]["image"])
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["read_only"]
    assert services["grafana"]["ports"] == ["127.0.0.1:3000:3000"]


def test_the_page_names_files_and_objectives_that_there_are() -> None:
    text = (ROOT / slo.PAGE).read_text("utf-8")
    for file in re.findall(r"-f (\S+\.yaml)", text):
        assert (ROOT / file).is_file()
    (component,) = re.findall(r"^components: \[../../(.+)\]$", text, re.M)
    assert (ROOT / "deploy/k8s" / component / "kustomization.yaml").is_file()
    for name, one in slo.read().slos.items():
        (row,) = re.findall(rf"^\| \[{name}\]\(#{name}\) .*$", text, re.M)
        assert f"{one.objective:g}%" in row
    for board in BOARDS.values():
        assert f"| {board.title.removeprefix('Sightline / ')} |" in text

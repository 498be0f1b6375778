"""The component that collects traces: every process sends them, to one configured place."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.contracts.k8s import (
    K8S,
    ONCE,
    OURS,
    PODS,
    ROOT,
    TIMED,
    TOGETHER,
    Document,
    main,
    of,
    pod,
    render,
    settings_of,
    with_components,
)
from tests.contracts.settings import loaded
from tests.contracts.test_k8s_network import peers

NAME = "otel-collector"
PAGE = (ROOT / "docs/operate/tracing.md").read_text()


@pytest.fixture(scope="module")
def made() -> list[Document]:
    return with_components("tracing")


def config(made: list[Document]) -> Document:
    (volume,) = pod(made, NAME)["volumes"]
    held = of(made, "ConfigMap")[volume["configMap"]["name"]]["data"]
    (file,) = [arg.removeprefix("--config=") for arg in main(made, NAME)["args"]]
    (mount,) = main(made, NAME)["volumeMounts"]
    found: Document = yaml.safe_load(held[str(Path(file).relative_to(mount["mountPath"]))])
    return found


@pytest.mark.parametrize("name", [*OURS, *TIMED])
def test_every_process_sends_to_the_collector(
    made: list[Document], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = "ranker-worker" if name in TIMED else name  # whose settings a training has
    settings = loaded(process, settings_of(made, name), monkeypatch)
    offered = {each["name"]: each["port"] for each in of(made, "Service")[NAME]["spec"]["ports"]}
    assert settings.traces_endpoint == f"http://{NAME}:{offered['otlp']}"


def test_triton_sends_to_the_collector_as_the_page_says(
    base: list[Document], made: list[Document]
) -> None:
    before, after = (main(documents, "triton")["args"] for documents in (base, made))
    assert after[: len(before)] == before
    added = after[len(before) :]
    assert "\n".join(added) in PAGE
    offered = {each["name"]: each["port"] for each in of(made, "Service")[NAME]["spec"]["ports"]}
    url = f"url=http://{NAME}:{offered['otlp-http']}/v1/traces"
    assert f"--trace-config=opentelemetry,{url}" in added


def test_the_collector_listens_where_it_is_called_and_probed(made: list[Document]) -> None:
    given, container = config(made), main(made, NAME)
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    protocols = given["receivers"]["otlp"]["protocols"]
    (reader,) = given["service"]["telemetry"]["metrics"]["readers"]
    assert ports == {
        "otlp": int(protocols["grpc"]["endpoint"].split(":")[1]),
        "otlp-http": int(protocols["http"]["endpoint"].split(":")[1]),
        "metrics": reader["pull"]["exporter"]["prometheus"]["port"],
        "health": int(given["extensions"]["health_check"]["endpoint"].split(":")[1]),
    }
    for each in of(made, "Service")[NAME]["spec"]["ports"]:
        assert ports[each["targetPort"]] == each["port"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "health"


def test_its_pipeline_is_bounded_and_names_what_there_is(made: list[Document]) -> None:
    given = config(made)
    pipeline = given["service"]["pipelines"]["traces"]
    assert pipeline["processors"] == ["memory_limiter", "batch"]  # the limit comes first
    for kind, names in pipeline.items():
        assert set(names) == set(given[kind])
    assert given["service"]["extensions"] == list(given["extensions"])
    assert main(made, NAME)["resources"]["limits"]["memory"]


def test_one_config_map_says_where_traces_go(made: list[Document]) -> None:
    named = set(re.findall(r"\$\{env:(\w+)\}", yaml.safe_dump(config(made))))
    assert named == set(settings_of(made, NAME))
    assert config(made)["exporters"]["otlp"]["endpoint"] == "${env:TRACES_BACKEND}"


def test_its_image_is_a_release_and_its_pod_is_restricted(made: list[Document]) -> None:
    spec, container = pod(made, NAME), main(made, NAME)
    assert re.fullmatch(r"otel/opentelemetry-collector:\d+\.\d+\.\d+", container["image"])
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == main(made, "gateway")["securityContext"]


def test_all_pods_may_send_to_it_and_it_to_the_backend_alone(
    base: list[Document], made: list[Document]
) -> None:
    names = {TOGETHER, *PODS} - set(ONCE)
    ours = {(name, NAME, 4318 if name == "triton" else 4317) for name in names}
    backend = (NAME, "backend", 4317)
    added = flows_of(made, "ingress", "from") - flows_of(base, "ingress", "from")
    assert {(other, mine, port) for mine, other, port in added} == ours
    assert flows_of(made, "egress", "to") - flows_of(base, "egress", "to") == {*ours, backend}


def flows_of(documents: list[Document], way: str, key: str) -> set[tuple[str, str, object]]:
    found = set()
    for policy in of(documents, "NetworkPolicy").values():
        spec = policy["spec"]
        expressions = spec["podSelector"].get("matchExpressions", [])
        labels = spec["podSelector"].get("matchLabels", {})
        names = expressions[0]["values"] if expressions else list(labels.values()) or ["every pod"]
        for rule in spec.get(way) or []:
            for port in rule["ports"]:
                found |= {(mine, who, port["port"]) for mine in names for who in ends(rule, key)}
    return found


def ends(rule: Document, key: str) -> list[str]:
    backend = [{"namespaceSelector": {"matchLabels": {"sightline/traces": "true"}}}]
    return ["backend"] if rule[key] == backend else list(peers(rule, key))


def test_the_overlay_of_the_page_names_another_backend(tmp_path: Path) -> None:
    (snippet,) = re.findall(r"```yaml\n(# kustomization.yaml\n.*?)```", PAGE, re.DOTALL)
    copied = shutil.copytree(K8S, tmp_path / "k8s")
    overlay = copied / "overlays" / "yours"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(snippet)
    documents = render(overlay)
    assert settings_of(documents, NAME)["TRACES_BACKEND"] == "tempo.observability:4317"
    assert settings_of(documents, "gateway")["GATEWAY_TRACES_SHARE"] == "0.05"

"""The agents' server on Kubernetes (the component agents) and in compose.agents.yaml."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from sightline_agents.cli import app
from sightline_agents.serving import LIVE
from tests.contracts.k8s import (
    K8S,
    ROOT,
    Document,
    added,
    main,
    of,
    pod,
    settings_of,
    with_components,
)
from tests.contracts.k8s_schemas import VERSIONS, problems
from tests.contracts.policies import links, network, pods
from tests.contracts.policies.cluster import Cluster
from tests.contracts.test_compose import complaints, gigabytes, load
from tests.contracts.test_k8s_network import flows

PARTS = ("token", "tls", "autoscaling")
ALL = ("agents", *(f"agents/{part}" for part in PARTS))


@pytest.fixture(scope="module")
def made() -> list[Document]:
    return with_components("agents", "single-node-claims")


@pytest.fixture(scope="module")
def whole() -> list[Document]:
    return with_components("production", "certificates", *ALL, "single-node-claims")


def variables() -> set[str]:
    """Return the variables that `sightline-agents http` reads."""
    command = typer.main.get_command(app).commands["http"]  # type: ignore[attr-defined]
    return {str(option.envvar) for option in command.params if option.envvar}


def started(environment: dict[str, str]) -> dict[str, Any]:
    """Return the options that the command reads from an environment, as its image sets it."""
    command = typer.main.get_command(app).commands["http"]  # type: ignore[attr-defined]
    image = {"SIGHTLINE_AGENTS_HOST": "0.0.0.0"}  # noqa: S104 - inside a container
    with pytest.MonkeyPatch.context() as patch:
        for key, value in (image | environment).items():
            patch.setenv(key, value)
        found: dict[str, Any] = command.make_context("http", []).params
    return found


@pytest.mark.when("deploy", "docs", "agents")
def test_every_variable_is_an_option_and_the_options_are_valid(
    made: list[Document], whole: list[Document]
) -> None:
    for documents in (made, whole):
        assert set(settings_of(documents, "agents")) <= variables()
    read = started(settings_of(made, "agents"))
    assert read["target"] == "gateway:8600"
    ports = {each["name"]: each["containerPort"] for each in main(made, "agents")["ports"]}
    assert ports == {"http": read["port"], "metrics": read["metrics_port"]}
    assert read["anonymous_token_file"] is None
    (service,) = of(made, "Service")["agents"]["spec"]["ports"]
    assert service["targetPort"] == "http"
    assert {"agents", "agents.sightline.svc"} <= set(read["name"]), "agents in the cluster name it"


@pytest.mark.when("deploy", "docs", "agents")
def test_its_pods_keep_to_the_policies(made: list[Document], whole: list[Document]) -> None:
    for documents in (made, whole, with_components("one-process", "single-node-claims", *ALL[:2])):
        rules = (*pods.RULES, *links.RULES, *network.RULES)
        found = [each for rule in rules for each in rule(Cluster(documents))]
        assert [each for each in found if "agents" in each] == []


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_kubernetes_takes_its_documents(whole: list[Document], version: str) -> None:
    ours = [each for each in whole if each["metadata"]["name"].startswith("agents")]
    assert len(ours) == 7
    assert [found for each in ours if (found := problems(each, version))] == []


def test_probes_check_the_process_alone(made: list[Document]) -> None:
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert main(made, "agents")[probe]["httpGet"] == {"path": LIVE, "port": "http"}


def test_callers_reach_it_and_it_reaches_the_gateway_alone(made: list[Document]) -> None:
    incoming = {flow for flow in flows(made, "ingress", "from") if "agents" in flow}
    assert incoming == {("agents", "callers", 8690), ("gateway", "agents", 8600)}
    outgoing = {flow for flow in flows(made, "egress", "to") if flow[0] == "agents"}
    assert outgoing == {("agents", "gateway", 8600), ("agents", "all", 8600)}


def test_it_holds_no_key_but_the_token_of_anonymous_requests(
    made: list[Document], whole: list[Document]
) -> None:
    assert "secret" not in str(pod(made, "agents"))
    held = {
        each["name"]: each["secret"] for each in pod(whole, "agents")["volumes"] if "secret" in each
    }
    assert held["token"] == {"secretName": "agents-token", "defaultMode": 0o440}
    assert held["gateway-ca"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}], "not the key"
    mounts = {each["name"]: each["mountPath"] for each in main(whole, "agents")["volumeMounts"]}
    settings = settings_of(whole, "agents")
    assert settings["SIGHTLINE_AGENTS_ANONYMOUS_TOKEN_FILE"] == f"{mounts['token']}/token"
    assert settings["SIGHTLINE_CA_FILE"] == f"{mounts['gateway-ca']}/ca.crt"
    readme = (K8S / "README.md").read_text()
    assert re.search(r"^\| `agents-token` \| `token` \|", readme, re.MULTILINE)
    (certificate,) = (
        each["spec"] for name, each in of(whole, "Certificate").items() if name == "gateway-tls"
    )
    assert certificate["secretName"] == held["gateway-ca"]["secretName"]
    assert settings["SIGHTLINE_TARGET"].partition(":")[0] in certificate["dnsNames"]


def test_it_is_scaled_by_kubernetes_own_autoscaler(
    made: list[Document], whole: list[Document]
) -> None:
    assert of(made, "Deployment")["agents"]["spec"]["replicas"] == 2
    assert "replicas" not in of(whole, "Deployment")["agents"]["spec"]
    scaler = of(whole, "HorizontalPodAutoscaler")["agents"]["spec"]
    assert scaler["scaleTargetRef"] == {
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "agents"
    }  # fmt: skip
    assert scaler["minReplicas"] == 2
    assert main(whole, "agents")["resources"]["requests"]["cpu"], "utilization is a part of it"


def test_compose_runs_it_as_kubernetes_does(made: list[Document]) -> None:
    file = load("compose.yaml", "compose.agents.yaml")
    assert complaints(file) == []
    alone = load("compose.yaml")["services"]
    assert set(file["services"]) - set(alone) == {"agents"}
    service = file["services"]["agents"]
    assert all(file["services"][name] == alone[name] for name in alone)
    assert service["ports"] == ["127.0.0.1:8690:8690"]
    assert service["networks"] == ["outside", "inside"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    limit = main(made, "agents")["resources"]["limits"]["memory"]
    assert gigabytes(service["mem_limit"]) == gigabytes(limit)
    environment = {key: str(value) for key, value in service["environment"].items()}
    assert set(environment) <= variables()
    read = started(environment)
    assert (read["port"], read["public_address"]) == (8690, None)
    assert f"127.0.0.1:{read['port']}{LIVE}" in service["healthcheck"]["test"][-1]
    assert service["image"].rpartition(":")[2] == alone["gateway"]["image"].rpartition(":")[2]


@pytest.mark.when("deploy", "docs", "agents")
def test_the_page_shows_files_secrets_and_lines_that_work(tmp_path: Path) -> None:
    page = (ROOT / "docs/integrate/agents.md").read_text("utf-8")
    (lines,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    documents = added(tmp_path, lines)
    settings = settings_of(documents, "agents")
    assert settings["SIGHTLINE_AGENTS_PUBLIC_ADDRESS"] == "https://shop.example"
    assert started({**settings, "SIGHTLINE_CA_FILE": ""})["public_address"]
    rules = (*pods.RULES, *links.RULES, *network.RULES)
    assert [each for rule in rules for each in rule(Cluster(documents))] == []
    (composed,) = re.findall(r"^docker compose (.+) up ", page, re.MULTILINE)
    assert composed == "-f compose.yaml -f compose.agents.yaml"
    (secret,) = re.findall(r"create secret generic (\S+) --from-file=token", page)
    assert (
        f"secretName: {secret}," in (K8S / "components/agents/token/kustomization.yaml").read_text()
    )

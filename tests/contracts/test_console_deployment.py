"""The console on Kubernetes (the component console) and in compose.console.yaml."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from sightline_console.cli import app
from sightline_console.screens import product_files, product_photos
from sightline_console.screens.visit import READ_AT_ONCE
from sightline_console.web import forms, sessions, tasks
from sightline_console.web.guard import LIVE
from tests.contracts.k8s import ROOT, Document, added, main, of, pod, settings_of, with_components
from tests.contracts.k8s_schemas import VERSIONS, problems
from tests.contracts.policies import links, network, pods
from tests.contracts.policies.cluster import Cluster
from tests.contracts.test_compose import complaints, gigabytes, interpolate, load
from tests.contracts.test_k8s_network import flows

ALL = ("console", "console/tls")
RULES = (*pods.RULES, *links.RULES, *network.RULES)


@pytest.fixture(scope="module")
def made() -> list[Document]:
    return with_components("console", "single-node-claims")


@pytest.fixture(scope="module")
def whole() -> list[Document]:
    return with_components("production", "certificates", *ALL, "single-node-claims")


def variables() -> set[str]:
    """Return the variables that `sightline-console` reads."""
    return {str(each.envvar) for each in typer.main.get_command(app).params if each.envvar}


def started(environment: dict[str, str]) -> dict[str, Any]:
    """Return the options that the command reads from an environment, as its image sets it."""
    image = {"SIGHTLINE_CONSOLE_HOST": "0.0.0.0"}  # noqa: S104 - inside a container
    with pytest.MonkeyPatch.context() as patch:
        for key, value in (image | environment).items():
            patch.setenv(key, value)
        found: dict[str, Any] = typer.main.get_command(app).make_context("console", []).params
    return found


@pytest.mark.when("deploy", "docs", "console")
def test_every_variable_is_an_option_and_the_options_are_valid(
    made: list[Document], whole: list[Document]
) -> None:
    for documents in (made, whole):
        assert set(settings_of(documents, "console")) <= variables()
    read = started(settings_of(made, "console"))
    assert read["target"] == "gateway:8600"
    ports = {each["name"]: each["containerPort"] for each in main(made, "console")["ports"]}
    assert ports == {"http": read["port"]}
    (service,) = of(made, "Service")["console"]["spec"]["ports"]
    assert service["targetPort"] == "http"
    assert {"console", "console.sightline.svc"} <= set(read["name"])


@pytest.mark.when("deploy", "docs", "console")
def test_its_pod_keeps_to_the_policies(made: list[Document], whole: list[Document]) -> None:
    for documents in (made, whole, with_components("one-process", "single-node-claims", ALL[0])):
        found = [each for rule in RULES for each in rule(Cluster(documents))]
        assert [each for each in found if "console" in each] == []


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_kubernetes_takes_its_documents(whole: list[Document], version: str) -> None:
    ours = [each for each in whole if each["metadata"]["name"].startswith("console")]
    assert len(ours) == 5
    assert [found for each in ours if (found := problems(each, version))] == []


def test_probes_check_the_process_alone(made: list[Document]) -> None:
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert main(made, "console")[probe]["httpGet"] == {"path": LIVE, "port": "http"}


def test_callers_reach_it_and_it_reaches_the_gateway_alone(made: list[Document]) -> None:
    incoming = {flow for flow in flows(made, "ingress", "from") if "console" in flow}
    assert incoming == {("console", "callers", 8695), ("gateway", "console", 8600)}
    outgoing = {flow for flow in flows(made, "egress", "to") if flow[0] == "console"}
    assert outgoing == {("console", "gateway", 8600), ("console", "all", 8600)}


def test_it_holds_no_key_and_no_session_of_another_pod(
    made: list[Document], whole: list[Document]
) -> None:
    assert "secret" not in str(pod(made, "console"))
    held = [each["secret"] for each in pod(whole, "console")["volumes"] if "secret" in each]
    assert [each["items"] for each in held] == [[{"key": "ca.crt", "path": "ca.crt"}]]
    spec = of(made, "Deployment")["console"]["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")


def test_compose_runs_it_as_kubernetes_does(made: list[Document]) -> None:
    file = load("compose.yaml", "compose.console.yaml")
    assert complaints(file) == []
    alone = load("compose.yaml")["services"]
    assert set(file["services"]) - set(alone) == {"console"}
    service = file["services"]["console"]
    assert all(file["services"][name] == alone[name] for name in alone)
    assert service["ports"] == ["127.0.0.1:8695:8695"]
    assert service["networks"] == ["outside", "inside"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    limit = main(made, "console")["resources"]["limits"]["memory"]
    assert gigabytes(service["mem_limit"]) == gigabytes(limit)
    environment = {key: str(value) for key, value in service["environment"].items()}
    assert set(environment) <= variables()
    read = started(environment)
    assert (read["port"], read["public_address"]) == (8695, None)
    assert f"127.0.0.1:{read['port']}{LIVE}" in service["healthcheck"]["test"][-1]
    assert service["image"].rpartition(":")[2] == alone["gateway"]["image"].rpartition(":")[2]


def test_with_an_identity_provider_it_holds_its_secret_and_reaches_public_addresses() -> None:
    documents = with_components("single-node-claims", "console", "console/oidc")
    assert [each for rule in RULES for each in rule(Cluster(documents)) if "console" in each] == []
    read = settings_of(documents, "console")
    (held,) = [each for each in pod(documents, "console")["volumes"] if "secret" in each]
    (mount,) = [
        each for each in main(documents, "console")["volumeMounts"] if each["name"] == held["name"]
    ]
    (item,) = held["secret"]["items"]
    assert read["SIGHTLINE_CONSOLE_OIDC_SECRET_FILE"] == f"{mount['mountPath']}/{item['path']}"
    assert set(read) <= variables()
    (rule,) = of(documents, "NetworkPolicy")["console-oidc"]["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 443}]
    assert "10.0.0.0/8" in rule["to"][0]["ipBlock"]["except"]


def test_compose_mounts_the_secret_of_the_identity_provider_where_it_is_read() -> None:
    file = yaml.safe_load((ROOT / "compose.console.yaml").read_text("utf-8"))
    given = interpolate(file, {"CONSOLE_OIDC_SECRET_FILE": "/srv/secret"})
    service = given["services"]["console"]
    assert given["secrets"] == {"console-oidc": {"file": "/srv/secret"}}
    path = service["environment"]["SIGHTLINE_CONSOLE_OIDC_SECRET_FILE"]
    assert path == f"/run/secrets/{service['secrets'][0]}"
    assert (
        started(interpolate(file, {})["services"]["console"]["environment"])["oidc_secret_file"]
        is None
    )


@pytest.mark.when("deploy", "docs", "console")
def test_the_page_shows_files_and_lines_that_work(tmp_path: Path) -> None:
    page = (ROOT / "docs/merchandise/console.md").read_text("utf-8")
    (lines,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    documents = added(tmp_path, lines)
    settings = settings_of(documents, "console")
    assert settings["SIGHTLINE_CONSOLE_PUBLIC_ADDRESS"] == "https://console.example"
    assert started({**settings, "SIGHTLINE_CA_FILE": ""})["public_address"]
    assert [each for rule in RULES for each in rule(Cluster(documents))] == []
    (composed,) = re.findall(r"^docker compose (.+) up ", page, re.MULTILINE)
    assert composed == "-f compose.yaml -f compose.console.yaml"


@pytest.mark.when("deploy", "console", "compose.console.yaml")
def test_the_files_of_all_imports_at_once_have_a_place(made: list[Document]) -> None:
    each = product_files.MOST_BYTES + product_files.LARGEST_REJECTED
    needed = tasks.AT_ONCE * each + READ_AT_ONCE * product_files.MOST_BYTES
    needed += sessions.PACKED_BYTES + forms.PHOTOS_AT_ONCE * product_photos.MOST_BYTES
    (volume,) = [one for one in pod(made, "console")["volumes"] if one["name"] == "tmp"]
    assert int(volume["emptyDir"]["sizeLimit"].removesuffix("Mi")) * 2**20 >= needed
    (tmp,) = load("compose.console.yaml")["services"]["console"]["tmpfs"]
    assert int(tmp.partition("size=")[2].removesuffix("m")) * 2**20 >= needed

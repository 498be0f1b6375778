"""The optional service of cameras on Kubernetes (the component vision) and in compose.vision.yaml:
it is as complete and as guarded as the others, and nothing of it is there without it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from servicekit.keys.keyring import read_keys, signing_keys
from tests.certificates import named
from tests.contracts.k8s import (
    ADDED,
    FOLDERS,
    K8S,
    OPTIONAL,
    ROOT,
    Document,
    added,
    installed,
    job,
    main,
    of,
    overlay,
    pod,
    settings_of,
    with_components,
)
from tests.contracts.k8s_schemas import VERSIONS, problems
from tests.contracts.policies.cluster import Cluster
from tests.contracts.policies.links import references
from tests.contracts.settings import loaded
from tests.contracts.test_compose import SECRETS, complaints, gigabytes, given, load, targets
from tests.contracts.test_k8s_network import flows
from tests.contracts.test_k8s_overlays import printed
from tests.contracts.test_k8s_policies import RULES
from tests.peers import SEEING

pytestmark = pytest.mark.when("deploy", "docs", "compose.vision.yaml", "services/vision")

PARTS = ("vision", "vision-worker")
PEERS = ("gateway", "embedder", "retriever", "ranker")
SMALL = ("vision", "vision/claims", "vision/claims/single-node")
PLACES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "volumes": (("shared-claims", "vision", "vision/claims"), ("base",)),
    "small": (SMALL, ("overlays/small",)),
    "medium": (SMALL, ("overlays/medium",)),
}
"""Components and the overlay that they are added to; with prod they are OPTIONAL."""


@pytest.fixture(scope="module")
def whole() -> list[Document]:
    """Return prod with every folder of the component."""
    return with_components("vision", *FOLDERS["vision"], bases=("overlays/prod",))


@pytest.fixture(scope="module")
def made() -> list[Document]:
    return with_components(*PLACES["volumes"][0])


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_it_keeps_to_the_policies_wherever_it_is_added(place: str) -> None:
    components, bases = PLACES[place]
    cluster = Cluster(with_components(*components, bases=bases))
    assert [each for rule in RULES for each in rule(cluster)] == []


@pytest.mark.parametrize("name", ["base", "small", "production-own-milvus"])
def test_without_the_component_nothing_of_it_is_there(name: str) -> None:
    documents = [each for each in overlay(name) if "roles.sh" not in each.get("data", {})]
    assert not re.search(r"(?<![a-z])vision", str(documents).lower())


def test_without_its_file_compose_has_nothing_of_it() -> None:
    assert "vision" not in (ROOT / "compose.yaml").read_text().lower()


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_kubernetes_takes_its_documents(whole: list[Document], version: str) -> None:
    ours = [each for each in whole if each["metadata"]["name"].startswith("vision")]
    assert len(ours) > 15
    assert [found for each in ours if (found := problems(each, version))] == []


def test_it_is_asked_for_its_own_service(made: list[Document], whole: list[Document]) -> None:
    port, service = ADDED["vision"]
    container = main(made, "vision")
    assert container["livenessProbe"]["grpc"] == {"port": port}
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["grpc"] == {"port": port, "service": service}
        assert main(whole, "vision")[probe]["grpc"]["port"] == 8620
    assert settings_of(made, "gateway")["GATEWAY_VISION_TARGET"] == f"vision:{port}"


def test_its_tables_are_made_once_a_release_and_its_pods_wait(made: list[Document]) -> None:
    image = main(made, "vision")["image"]
    release = image.rpartition(":")[2].replace(".", "-")
    assert job(made, "vision-migrate")["metadata"]["name"] == f"vision-migrate-{release}"
    (container,) = job(made, "vision-migrate")["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "vision.migrate"]
    for name in PARTS:
        assert main(made, name)["image"] == image == container["image"]
        assert settings_of(made, name)["VISION_MIGRATIONS"] == "wait"


def test_the_network_lets_it_call_its_peers_and_its_tables_alone(made: list[Document]) -> None:
    incoming = {flow for flow in flows(made, "ingress", "from") if str(flow).count("vision")}
    assert incoming == {
        ("vision", "gateway", 8605), ("vision", "all", 8605),
        *(("embedder", name, 8601) for name in PARTS),
        *(("retriever", name, 8602) for name in PARTS),
        ("ranker", "vision", 8603), ("all", "vision", 8603),
    }  # fmt: skip
    outgoing = {flow for flow in flows(made, "egress", "to") if "vision" in str(flow)}
    assert outgoing == {
        ("gateway", "vision", 8605),
        *((name, peer, 8601) for name in PARTS for peer in ("embedder", "all")),
        *((name, peer, 8602) for name in PARTS for peer in ("retriever", "all")),
        *(("vision", peer, 8603) for peer in ("ranker", "all")),
        *((name, "stores", 5432) for name in (*PARTS, "vision-migrate")),
    }  # fmt: skip


# Production


@pytest.mark.parametrize("name", PARTS)
def test_nothing_that_production_asks_for_is_missing(
    whole: list[Document], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(name, settings_of(whole, name), monkeypatch)
    assert settings.mode == "production"  # type: ignore[attr-defined]
    assert list(settings.unsafe()) == []


@pytest.mark.parametrize("name", [*PARTS, *PEERS])
def test_both_ends_of_a_pair_have_its_key_and_nobody_else(whole: list[Document], name: str) -> None:
    (volume,) = [each for each in pod(whole, name)["volumes"] if each["name"] == "peer-keys"]
    sources = {"vision-peer-keys": volume["secret"]} if "secret" in volume else {
        each["secret"]["name"]: each["secret"] for each in volume["projected"]["sources"]
    }  # fmt: skip
    held = {each["key"]: each["path"] for each in sources["vision-peer-keys"]["items"]}
    calls = {f"{one}-{other}.key": f"{other}.key" for one, other in SEEING if one == name}
    answers = {f"{one}-{other}.key": f"{one}.key" for one, other in SEEING if other == name}
    assert held == calls | answers
    if name in PEERS:
        (before,) = [
            each for each in pod(overlay("prod"), name)["volumes"] if each["name"] == "peer-keys"
        ]
        own = {key: value for key, value in sources["peer-keys"].items() if key != "name"}
        assert own == {
            key: value
            for key, value in before["secret"].items()
            if key not in ("secretName", "defaultMode")
        }


@pytest.mark.parametrize("name", PARTS)
def test_a_certificate_names_its_process(whole: list[Document], name: str) -> None:
    certificate = of(whole, "Certificate")[f"peer-tls-{name}"]["spec"]
    assert certificate["uris"] == [named(name)]
    serves = name in ADDED
    assert certificate.get("dnsNames", []) == ([name] if serves else [])
    assert certificate["usages"] == [*(["server auth"] if serves else []), "client auth"]


def test_the_script_makes_every_secret_of_its_own(whole: list[Document], tmp_path: Path) -> None:
    script = printed("vision")
    wanted = {
        name
        for one in Cluster(whole).workloads()
        for kind, name, _ in references(one)
        if kind == "Secret" and ("vision" in name or name == "webhook-keys")
    }
    issued = {each["spec"]["secretName"] for each in of(whole, "Certificate").values()}
    assert {name for name, _ in script} == wanted - issued
    pairs = {(f"{one}-{other}.key") for one, other in SEEING}
    assert {key for name, key in script if name == "vision-peer-keys"} == pairs
    url = script["vision-database", "url"]
    assert re.fullmatch(r"postgresql\+psycopg://vision:\w+@postgres:5432/vision", url)
    for place, value in script.items():
        if place != ("vision-database", "url"):
            assert re.fullmatch("[0-9a-f]{64}\n", value)
            (file := tmp_path / "key").write_text(value)
            signing_keys(file)().sign((), b"")
    assert not {name for name, _ in printed()} & {name for name, _ in script}


def test_it_is_scaled_as_the_retriever_and_its_worker_is_not(whole: list[Document]) -> None:
    scalers = of(whole, "ScaledObject")
    assert "vision-worker" not in scalers
    own = str(scalers["vision"]["spec"]["triggers"]).replace("vision", "retriever")
    assert own == str(scalers["retriever"]["spec"]["triggers"])
    assert "replicas" not in of(whole, "Deployment")["vision"]["spec"]
    assert of(whole, "PodDisruptionBudget")["vision"]["spec"]["maxUnavailable"] == "10%"


def test_its_backups_are_where_its_worker_keeps_them(whole: list[Document]) -> None:
    worker = settings_of(whole, "vision-worker")
    assert settings_of(whole, "vision-backups")["VISION_BACKUPS"] == worker["VISION_BACKUPS"]
    catalog = settings_of(whole, "retriever-worker")
    places = (worker["VISION_PHOTOS_URL"], catalog["RETRIEVER_PHOTOS_URL"])
    assert len(set(places)) == 2, "each would delete the other's photos"


def test_one_pod_of_the_server_suits_one_node() -> None:
    documents = with_components(*SMALL, bases=("overlays/medium",))
    assert of(documents, "Deployment")["vision"]["spec"]["replicas"] == 1
    for claim in ("vision-photos", "vision-backups"):
        assert of(documents, "PersistentVolumeClaim")[claim]["spec"]["accessModes"] == [
            "ReadWriteOnce"
        ]


# Compose


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    return load("compose.yaml", "compose.vision.yaml")


def test_compose_adds_it_and_changes_nothing_else_but_keys(composed: dict[str, Any]) -> None:
    assert complaints(composed) == []
    alone = load("compose.yaml")["services"]
    assert set(composed["services"]) - set(alone) == set(PARTS)
    for name, before in alone.items():
        now = dict(composed["services"][name])
        if name in (*PEERS, "postgres"):
            now["secrets"] = now["secrets"][: len(before["secrets"])]
        if name == "gateway":
            assert now["environment"].pop("GATEWAY_VISION_TARGET") == "vision:8605"
        assert now == before, name


@pytest.mark.parametrize("name", PARTS)
def test_compose_runs_it_as_kubernetes_does(
    composed: dict[str, Any], made: list[Document], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = composed["services"][name]
    assert "ports" not in service
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    limit = main(made, name)["resources"]["limits"]["memory"]
    assert gigabytes(service["mem_limit"]) == gigabytes(limit)
    settings = loaded(name, given(service), monkeypatch)
    assert settings.embedder_target == "embedder:8601"  # type: ignore[attr-defined]
    tag = composed["services"]["gateway"]["image"].rpartition(":")[2]
    assert service["image"] == f"sightline/vision:{tag}"


@pytest.mark.parametrize("name", [*PARTS, *PEERS])
def test_in_compose_both_ends_of_a_pair_have_its_key(composed: dict[str, Any], name: str) -> None:
    held = targets(composed["services"][name])
    folder = "/run/secrets/peers"
    calls = {f"{folder}/{other}.key": f"{one}-{other}-key" for one, other in SEEING if one == name}
    answers = {
        f"{folder}/{one}.key": f"{one}-{other}-key" for one, other in SEEING if other == name
    }
    wanted = calls | answers
    assert {path: held.get(path) for path in wanted} == wanted


def test_its_secrets_are_made_where_they_are_asked_for(
    composed: dict[str, Any], tmp_path: Path
) -> None:
    subprocess.run([ROOT / "deploy/secrets.sh", tmp_path], check=True)
    before = {path.name for path in (tmp_path / SECRETS).iterdir()}
    assert not any("vision" in name for name in before)
    subprocess.run([ROOT / "deploy/secrets.sh", tmp_path], env={
        "PATH": "/usr/bin:/bin", "VISION": "1"
    }, check=True)  # fmt: skip
    after = {path.name for path in (tmp_path / SECRETS).iterdir()}
    assert after == {Path(each["file"]).name for each in composed["secrets"].values()}
    for name in (*PARTS, *PEERS):  # as the service reads them
        held = targets(composed["services"][name])
        for variable, path in composed["services"][name].get("environment", {}).items():
            if variable.endswith("_KEYS_FILE"):
                file = composed["secrets"][held[path]]["file"]
                assert len(read_keys(tmp_path / file)) == 1, variable


# The page


def test_the_page_shows_files_and_lines_that_work(tmp_path: Path) -> None:
    page = (ROOT / "docs/operate/vision.md").read_text("utf-8")
    (lines,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    documents = added(tmp_path, lines)
    assert [each for rule in RULES for each in rule(Cluster(documents))] == []
    assert settings_of(documents, "vision")["VISION_MODE"] == "production"
    assert settings_of(documents, "vision")["VISION_WEBHOOK_HOSTS"] == "alerts.shop.example"
    (composed,) = re.findall(r"^docker compose (.+) up ", page, re.MULTILINE)
    assert composed == "-f compose.yaml -f compose.vision.yaml"
    for folder in re.findall(r"components/(vision[\w/-]*)", lines):
        assert (K8S / "components" / folder / "kustomization.yaml").exists()


def test_it_is_among_the_optional_components() -> None:
    assert {*PARTS} <= set(of(installed(OPTIONAL), "Deployment"))

"""The Kubernetes base, rendered by kubectl and checked as a cluster would read it.

No cluster is needed: the schemas are Kubernetes' own (kubernetes-validate), strict, so that a field
in the wrong place fails; what the schemas can't say is asserted here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.contracts.settings import CLASSES, loaded, variables
from tests.contracts.test_images import FILES

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
OLDEST = "1.30"
"""The sleep of preStop came with it."""

SERVED = {
    "gateway": (8600, "sightline.gateway.v1.RecommendationService"),
    "embedder": (8601, "sightline.embedder.v1.EmbeddingService"),
    "retriever": (8602, "sightline.retriever.v1.ProductService"),
    "ranker": (8603, "sightline.ranker.v1.RankingService"),
}
WORKERS = {"retriever-worker": "retriever.worker", "ranker-worker": "ranker.worker"}
OURS = [*SERVED, *WORKERS]
WORKLOADS = [*OURS, "triton"]
TIMED = ["ranker-train"]
"""CronJobs."""
PODS = [*WORKLOADS, *TIMED]

ARROWS = {
    ("callers", "gateway", 8600),
    ("gateway", "embedder", 8601),
    ("gateway", "retriever", 8602),
    ("gateway", "ranker", 8603),
    ("retriever-worker", "embedder", 8601),
    ("ranker-worker", "retriever", 8602),
    ("embedder", "triton", 8001),
    ("retriever", "stores", 5432),
    ("retriever", "stores", 19530),
    ("retriever-worker", "stores", 5432),
    ("retriever-worker", "stores", 19530),
    ("ranker", "stores", 5432),
    ("ranker-worker", "stores", 5432),
    ("ranker-train", "retriever", 8602),
    ("ranker-train", "stores", 5432),
}
"""Who calls whom, and nothing else may."""

Document = dict[str, Any]


def render(folder: Path) -> list[Document]:
    """What `kubectl apply -k` would send."""
    assert shutil.which("kubectl"), "kubectl is missing: make tools"
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="module")
def base() -> list[Document]:
    return render(K8S / "base")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    """The example overlay. Debian 12's kubectl (1.20) knows a base only under its former name."""
    folder = tmp_path_factory.mktemp("k8s") / "k8s"
    shutil.copytree(K8S, folder)
    version = subprocess.run(
        ["kubectl", "version", "--client"], capture_output=True, text=True, check=True
    ).stdout
    if re.search(r"v1\.(1\d|20)\.", version):
        file = folder / "overlays/example/kustomization.yaml"
        file.write_text(file.read_text().replace("\nresources:\n", "\nbases:\n"))
    return render(folder / "overlays/example")


def of(documents: list[Document], kind: str) -> dict[str, Document]:
    """The documents of a kind by name."""
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == kind}


def pod(documents: list[Document], name: str) -> Document:
    if name in TIMED:
        timed = of(documents, "CronJob")[name]["spec"]["jobTemplate"]["spec"]
        return dict(timed["template"]["spec"])
    spec: Document = of(documents, "Deployment")[name]["spec"]["template"]["spec"]
    return spec


def containers(spec: Document) -> list[Document]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def main(documents: list[Document], name: str) -> Document:
    """A workload's own container."""
    (container,) = pod(documents, name)["containers"]
    assert container["name"] == name
    found: Document = container
    return found


def settings_of(documents: list[Document], name: str) -> dict[str, str]:
    """What stands in the ConfigMaps that a workload takes its environment from."""
    maps = of(documents, "ConfigMap")
    found: dict[str, str] = {}
    for source in main(documents, name).get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]["data"]
    return found


@pytest.mark.parametrize("version", [OLDEST, "1.32", kubernetes_validate.latest_version()])
def test_every_document_is_what_kubernetes_expects(
    base: list[Document], example: list[Document], version: str
) -> None:
    assert len(base) > 40
    for document in [*base, *example]:
        kubernetes_validate.validate(document, version, strict=True)


def test_a_field_in_the_wrong_place_would_be_noticed(base: list[Document]) -> None:
    wrong = yaml.safe_load(yaml.safe_dump(of(base, "Deployment")["gateway"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFilesystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, OLDEST, strict=True)


def test_everything_is_in_a_namespace_that_restricts_its_pods(base: list[Document]) -> None:
    (namespace,) = of(base, "Namespace").values()
    name = namespace["metadata"]["name"]
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    others = [each for each in base if each["kind"] != "Namespace"]
    assert {each["metadata"]["namespace"] for each in others} == {name}


def test_each_workload_has_what_belongs_to_it(base: list[Document]) -> None:
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        assert sorted(of(base, kind)) == sorted(WORKLOADS), kind
    assert sorted(of(base, "ServiceAccount")) == sorted(PODS)
    assert sorted(of(base, "CronJob")) == sorted(TIMED)
    assert {each["kind"] for each in base} == {
        "ConfigMap", "CronJob", "Deployment", "Namespace", "NetworkPolicy", "PersistentVolumeClaim",
        "PodDisruptionBudget", "Service", "ServiceAccount",
    }  # fmt: skip


@pytest.mark.parametrize("name", WORKLOADS)
def test_selectors_find_exactly_the_pods_of_their_workload(base: list[Document], name: str) -> None:
    deployment = of(base, "Deployment")[name]["spec"]
    own = {"app.kubernetes.io/name": name}
    assert own.items() <= deployment["template"]["metadata"]["labels"].items()
    assert deployment["selector"]["matchLabels"] == own
    assert of(base, "Service")[name]["spec"]["selector"] == own
    assert of(base, "PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"] == own
    for spread in deployment["template"]["spec"]["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"] == own


@pytest.mark.parametrize("name", PODS)
def test_pods_are_restricted(base: list[Document], name: str) -> None:
    spec = pod(base, name)
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False, "a Service gateway would set GATEWAY_PORT=tcp://…"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    for container in containers(spec):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
    for volume in spec["volumes"]:
        assert {"emptyDir", "persistentVolumeClaim", "secret"} & set(volume), volume
        assert volume.get("emptyDir", {"sizeLimit": ""}).keys() >= {"sizeLimit"}, volume


@pytest.mark.parametrize("name", PODS)
def test_no_pod_talks_to_kubernetes(base: list[Document], name: str) -> None:
    account = of(base, "ServiceAccount")[name]
    assert account["automountServiceAccountToken"] is False
    assert pod(base, name)["serviceAccountName"] == name
    assert not [each for each in base if "Role" in each["kind"]]


@pytest.mark.parametrize("name", WORKLOADS)
def test_callers_see_every_pod_and_not_a_virtual_address(base: list[Document], name: str) -> None:
    service = of(base, "Service")[name]["spec"]
    assert service["clusterIP"] == "None"
    offered = {port["name"]: port["containerPort"] for port in main(base, name)["ports"]}
    for port in service["ports"]:
        assert offered[port["targetPort"]] == port["port"]
    assert ("grpc" in [port["name"] for port in service["ports"]]) == (name not in WORKERS)


@pytest.mark.parametrize("name", SERVED)
def test_alive_is_the_process_and_ready_is_the_service(base: list[Document], name: str) -> None:
    port, service = SERVED[name]
    container = main(base, name)
    assert container["livenessProbe"]["grpc"] == {"port": port}
    assert container["readinessProbe"]["grpc"] == {"port": port, "service": service}
    assert container["startupProbe"]["grpc"] == {"port": port, "service": service}
    proto = ROOT / "protos" / Path(*service.split(".")[:-1])
    named = f"service {service.rsplit('.', 1)[-1]} {{"
    assert any(named in file.read_text() for file in proto.glob("*.proto"))


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_is_probed_where_it_serves_metrics(base: list[Document], name: str) -> None:
    container = main(base, name)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/metrics", "port": "metrics"}
    prefix = name.split("-", maxsplit=1)[0].upper()
    (port,) = container["ports"]
    environment = settings_of(base, name)
    assert environment[f"{prefix}_WORKER_METRICS_PORT"] == str(port["containerPort"])
    assert container.get("command", ["python", "-m", WORKERS[name]])[-1] == WORKERS[name]


def test_triton_is_probed_and_has_a_gpu_and_its_models(base: list[Document]) -> None:
    container = main(base, "triton")
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    repository = {mount["name"]: mount for mount in container["volumeMounts"]}["repository"]
    assert repository["readOnly"] is True
    assert f"--model-repository={repository['mountPath']}" in container["args"]
    (models,) = pod(base, "triton")["initContainers"]
    assert models["command"][-1].rstrip("/") == repository["mountPath"]
    for argument in container["args"]:
        if argument.startswith("--model-config-name="):
            name = argument.split("=")[1]
            assert list(ROOT.glob(f"deploy/triton/models/*/configs/{name}.pbtxt"))


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_has_time_to_end_what_it_does(base: list[Document], name: str) -> None:
    environment = settings_of(base, name)
    container = main(base, name)
    before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if name in SERVED:
        assert before > 0, "callers would meet a server that is gone"
        drain = float(environment[f"{name.upper()}_DRAIN_SECONDS"])
        # The gateway drains its calls, then hands over its answer records for as long again.
        needed = before + drain * (2 if name == "gateway" else 1)
    elif name == "triton":
        (exit_timeout,) = [a for a in container["args"] if a.startswith("--exit-timeout-secs=")]
        needed = before + float(exit_timeout.split("=")[1])
    else:
        needed = 10
    assert pod(base, name)["terminationGracePeriodSeconds"] >= needed + 5


@pytest.mark.parametrize("name", PODS)
def test_resources_are_asked_for_and_memory_is_bounded(base: list[Document], name: str) -> None:
    for container in containers(pod(base, name)):
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert "cpu" not in container["resources"]["limits"], (
            "a CPU limit throttles; it protects no one"
        )


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_drained_node_takes_one_pod_of_a_workload_at_most(
    base: list[Document], name: str
) -> None:
    """A budget of minAvailable would never let the only pod of a worker be moved."""
    assert of(base, "PodDisruptionBudget")[name]["spec"]["maxUnavailable"] == 1
    assert of(base, "Deployment")[name]["spec"]["replicas"] == (2 if name in SERVED else 1)
    spreads = pod(base, name)["topologySpreadConstraints"]
    assert "kubernetes.io/hostname" in [spread["topologyKey"] for spread in spreads]


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_of_its_process(base: list[Document], name: str) -> None:
    given = set(settings_of(base, name)) | {
        each["name"] for each in main(base, name).get("env", [])
    }
    assert given
    assert given - variables(name) == set()


@pytest.mark.parametrize("name", OURS)
def test_every_process_starts_with_its_settings(
    base: list[Document], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings_of(base, name)
    settings = loaded(name, given, monkeypatch)
    ports = {port["name"]: port["containerPort"] for port in main(base, name)["ports"]}
    if name in SERVED:
        assert (settings.port, settings.metrics_port) == (ports["grpc"], ports["metrics"])
    for key, value in given.items():
        if key.endswith("_TARGET"):
            host, port = value.split(":")
            offered = of(base, "Service")[host]["spec"]["ports"]
            assert int(port) in [each["port"] for each in offered], key
        if key.endswith(("_URL", "_STORE", "_FILE")):
            mounts = [mount["mountPath"] for mount in main(base, name)["volumeMounts"]]
            assert any(value.startswith(mount) for mount in mounts), f"{key} is on no volume"


def test_all_processes_serve_the_same_catalogs(base: list[Document]) -> None:
    catalogs = {settings_of(base, name)[f"{name.split('-')[0].upper()}_CATALOGS"] for name in OURS}
    assert len(catalogs) == 1


def test_settings_hold_no_secret(base: list[Document]) -> None:
    for name in OURS:
        for key in settings_of(base, name):
            assert not re.search(r"PASSWORD|TOKEN|SECRET|DATABASE_URL", key), key


def secrets(documents: list[Document]) -> set[tuple[str, str]]:
    """(name, key) of every Secret that some pod needs."""
    found = set()
    for name in PODS:
        for each in main(documents, name).get("env", []):
            if reference := each.get("valueFrom", {}).get("secretKeyRef"):
                found.add((reference["name"], reference["key"]))
    return found


def test_every_secret_is_documented_and_in_the_example(
    base: list[Document], example: list[Document]
) -> None:
    wanted = secrets(base)
    keyed = [v["secret"]["secretName"] for v in pod(base, "ranker")["volumes"] if "secret" in v]
    assert keyed == ["ranker-pseudonym-key"]
    key_file = settings_of(base, "ranker")["RANKER_KEY_FILE"]
    wanted.add((keyed[0], Path(key_file).name))
    assert len(wanted) == 4
    text = (K8S / "README.md").read_text()
    for name, key in wanted:
        assert re.search(rf"\| `{name}` \| `{re.escape(key)}` \|", text), name
    given = {
        (re.sub(r"-[a-z0-9]{10}$", "", name), key)
        for name, secret in of(example, "Secret").items()
        for key in secret.get("data", {}) | secret.get("stringData", {})
    }
    assert given == wanted


def test_the_key_is_readable_by_the_ranker_alone(base: list[Document]) -> None:
    (volume,) = [v for v in pod(base, "ranker")["volumes"] if "secret" in v]
    assert volume["secret"]["defaultMode"] == 0o440
    users = [name for name in PODS if "ranker-pseudonym-key" in str(pod(base, name))]
    assert users == ["ranker"]


def test_only_the_worker_and_the_server_of_a_service_share_its_volume(
    base: list[Document],
) -> None:
    claims = {
        name: [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod(base, name)["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        for name in PODS
    }
    assert claims == {
        "gateway": [],
        "embedder": [],
        "triton": [],
        "retriever": ["retriever-photos", "retriever-backups"],
        "retriever-worker": ["retriever-photos", "retriever-backups"],
        "ranker": ["ranker-models"],
        "ranker-worker": ["ranker-models", "ranker-exports"],
        "ranker-train": ["ranker-models"],
    }
    declared = of(base, "PersistentVolumeClaim")
    assert set(declared) == {claim for shared in claims.values() for claim in shared}
    assert all(c["spec"]["accessModes"] == ["ReadWriteMany"] for c in declared.values())


def test_a_training_is_asked_for_by_time_and_never_twice_at_once(base: list[Document]) -> None:
    timed = of(base, "CronJob")["ranker-train"]["spec"]
    assert timed["concurrencyPolicy"] == "Forbid"
    assert timed["jobTemplate"]["spec"]["backoffLimit"] == 0
    labels = timed["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "ranker-train"
    container = main(base, "ranker-train")
    assert container["command"] == ["python", "-m", "ranker.train"]
    assert container["args"] == ["--catalog", settings_of(base, "ranker-worker")["RANKER_CATALOGS"]]
    assert settings_of(base, "ranker-train") == settings_of(base, "ranker-worker")


# The network


def peers(rule: Mapping[str, Any], key: str) -> Iterator[str]:
    """Whom a rule names: a workload, or what a namespace's label says of it."""
    for peer in rule[key]:
        if "podSelector" in peer and "namespaceSelector" not in peer:
            yield peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
            continue
        ((label, value),) = peer["namespaceSelector"]["matchLabels"].items()
        yield {
            "sightline/caller": "callers",
            "sightline/stores": "stores",
            "sightline/scrape": "scrapers",
            "kubernetes.io/metadata.name": f"{value}",
        }[label]


def flows(documents: list[Document], way: str, key: str) -> set[tuple[str, str, Any]]:
    """(workload, other end, port) of all that one direction's rules allow."""
    found = set()
    for policy in of(documents, "NetworkPolicy").values():
        spec = policy["spec"]
        labels = spec["podSelector"].get("matchLabels", {})
        mine = labels.get("app.kubernetes.io/name", "every pod")
        for rule in spec.get(way) or []:
            assert rule.get(key), "a rule without peers allows everybody"
            assert rule.get("ports"), "a rule without ports allows every port"
            found |= {(mine, who, p["port"]) for who in peers(rule, key) for p in rule["ports"]}
    return found


def test_nothing_is_allowed_by_default(base: list[Document]) -> None:
    everything = of(base, "NetworkPolicy")["nothing"]["spec"]
    assert everything["podSelector"] in ({}, None)
    assert sorted(everything["policyTypes"]) == ["Egress", "Ingress"]
    assert not everything.get("ingress")
    assert not everything.get("egress")


@pytest.mark.parametrize(
    ("way", "key", "here", "arrow", "further"),
    [
        (
            "ingress",
            "from",
            set(PODS),
            lambda mine, other, port: (other, mine, port),
            {("scrapers", "every pod", "metrics")},
        ),
        (
            "egress",
            "to",
            set(PODS),
            lambda mine, other, port: (mine, other, port),
            {("every pod", "kube-system", 53)},
        ),
    ],
)
def test_the_network_allows_the_arrows_of_the_design_and_no_other(
    base: list[Document],
    way: str,
    key: str,
    here: set[str],
    arrow: Callable[[str, str, Any], tuple[str, str, Any]],
    further: set[tuple[str, str, Any]],
) -> None:
    allowed = {arrow(*flow) for flow in flows(base, way, key)}
    end = 1 if way == "ingress" else 0
    assert allowed - further == {each for each in ARROWS if each[end] in here}
    assert further <= allowed


# Images


def images(documents: list[Document]) -> dict[str, str]:
    """Image and tag."""
    found = {}
    for name in PODS:
        for container in containers(pod(documents, name)):
            image, _, tag = container["image"].rpartition(":")
            assert image, f"{container['image']} has no tag"
            found[image] = tag
    return found


def test_images_are_those_that_make_images_builds_and_a_safe_triton(
    base: list[Document], example: list[Document]
) -> None:
    found = images(base)
    year, month = re.fullmatch(
        r"(\d\d)\.(\d\d)-py3", found.pop("nvcr.io/nvidia/tritonserver")
    ).groups()  # type: ignore[union-attr]
    assert (int(year), int(month)) >= (25, 7), "older ones have published vulnerabilities"
    assert set(found) == {f"sightline/{name}" for name in (*FILES, "ranker-train")}
    assert set(found.values()) == {
        re.search(r'version = "(.+)"', (ROOT / "pyproject.toml").read_text())[1]
    }  # type: ignore[index]
    ours = {image for image in images(example) if "tritonserver" not in image}
    assert ours == {f"registry.example.com/{image}" for image in found}


def test_the_words_of_the_readme_are_those_of_the_base(base: list[Document]) -> None:
    text = (K8S / "README.md").read_text()
    for name in PODS:
        assert f"`{name}`" in text
    for label in re.findall(r"sightline/\w+", (K8S / "base/network.yaml").read_text()):
        assert label in text
    assert f"Kubernetes {OLDEST}" in text
    assert set(CLASSES) == set(OURS)


def test_with_spaces_the_embedder_writes_what_triton_reads(tmp_path: Path) -> None:
    folder = tmp_path / "k8s"
    shutil.copytree(K8S, folder)
    overlay = folder / "overlays/spaces"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        "resources: [../../base]\ncomponents: [../../components/spaces]\n"
    )
    made = render(overlay)
    mounts = {}
    for name in ("embedder", "triton"):
        (volume,) = [each for each in pod(made, name)["volumes"] if each["name"] == "spaces"]
        claim = volume["persistentVolumeClaim"]["claimName"]
        assert of(made, "PersistentVolumeClaim")[claim]["spec"]["accessModes"] == ["ReadWriteMany"]
        (mounts[name],) = [
            each for each in main(made, name)["volumeMounts"] if each["name"] == "spaces"
        ]
    assert not mounts["embedder"].get("readOnly")
    assert mounts["triton"]["readOnly"]
    assert "--model-repository=/spaces/models" in main(made, "triton")["args"]
    (settings,) = [
        each["data"]
        for each in made
        if each["kind"] == "ConfigMap" and "EMBEDDER_SPACES" in each["data"]
    ]
    assert settings["EMBEDDER_SPACES"] == mounts["embedder"]["mountPath"]
    before = {(each["kind"], each["metadata"]["name"]) for each in render(K8S / "base")}
    added = {(each["kind"], each["metadata"]["name"]) for each in made} - before
    assert {kind for kind, _ in added} <= {"PersistentVolumeClaim", "ConfigMap"}

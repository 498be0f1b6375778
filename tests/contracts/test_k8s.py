"""The Kubernetes base and overlays, rendered by kubectl and checked as a cluster would read them.

No cluster is needed: the schemas are Kubernetes' own (kubernetes-validate), strict, so that a field
in the wrong place fails; what the schemas can't say is asserted here.
"""

from __future__ import annotations

import re

import pytest

from tests.contracts.k8s import (
    ALONE,
    K8S,
    OLDEST,
    ONCE,
    OURS,
    PODS,
    ROOT,
    TIMED,
    TOGETHER,
    WORKLOADS,
    Document,
    containers,
    job,
    main,
    of,
    overlay,
    pod,
    settings_of,
    template,
    with_components,
)
from tests.contracts.settings import CLASSES
from tests.contracts.test_images import FILES


@pytest.mark.when("deploy")
@pytest.mark.slow
def test_everything_is_in_a_namespace_that_restricts_its_pods(whole: list[Document]) -> None:
    labels = of(whole, "Namespace")["sightline"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    others = [each for each in whole if each["kind"] != "Namespace"]
    elsewhere = {each["kind"] for each in others if each["metadata"]["namespace"] != "sightline"}
    assert elsewhere <= {"Milvus", "NetworkPolicy", "ServiceAccount"}, "of the operator's Milvus"


def test_each_workload_has_what_belongs_to_it(base: list[Document]) -> None:
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert sorted(of(base, kind)) == sorted(WORKLOADS), kind
    assert sorted(of(base, "Service")) == sorted([*WORKLOADS, "gateway-admin"])
    assert sorted(of(base, "ServiceAccount")) == sorted(PODS)
    assert sorted(of(base, "CronJob")) == sorted(TIMED)
    assert len(of(base, "Job")) == len(ONCE)
    assert {each["kind"] for each in base} == {
        "ConfigMap", "CronJob", "Deployment", "Job", "Namespace", "NetworkPolicy",
        "PodDisruptionBudget", "Service", "ServiceAccount",
    }  # fmt: skip


SHARED = {
    "gateway": [],
    "embedder": [],
    "triton": [],
    "retriever": ["retriever-photos", "retriever-backups"],
    "retriever-worker": ["retriever-photos", "retriever-backups"],
    "ranker": ["ranker-models"],
    "ranker-worker": ["ranker-models", "ranker-exports"],
    "ranker-train": ["ranker-models"],
    "retriever-migrate": [],
    "ranker-migrate": [],
}


@pytest.mark.parametrize("component", ["shared-claims", "single-node-claims"])
def test_only_the_worker_and_the_server_of_a_service_share_its_volume(component: str) -> None:
    made = with_components(component)
    claims = {
        name: [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod(made, name)["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        for name in PODS
    }
    assert claims == SHARED
    declared = of(made, "PersistentVolumeClaim")
    assert set(declared) == {claim for shared in claims.values() for claim in shared}
    mode = "ReadWriteMany" if component == "shared-claims" else "ReadWriteOnce"
    assert all(claim["spec"]["accessModes"] == [mode] for claim in declared.values())


def test_pods_that_share_what_one_node_may_mount_are_on_one_node() -> None:
    made = with_components("single-node-claims")
    for service in ("retriever", "ranker"):
        for name in [name for name in ALONE[service] if SHARED[name]]:
            (term,) = pod(made, name)["affinity"]["podAffinity"][
                "requiredDuringSchedulingIgnoredDuringExecution"
            ]
            wanted = term["labelSelector"]["matchLabels"]
            assert term["topologyKey"] == "kubernetes.io/hostname"
            assert wanted == {"sightline/claims": service}
            assert wanted.items() <= template(made, name)["metadata"]["labels"].items()


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


@pytest.mark.parametrize("name", ONCE)
def test_tables_are_made_once_a_release_by_its_image_and_who_needs_them_waits(
    base: list[Document], name: str
) -> None:
    service, made = name.removesuffix("-migrate"), job(base, name)
    container = main(base, name)
    assert container["command"] == ["python", "-m", f"{service}.migrate"]
    assert container["image"] == main(base, service)["image"]
    release = container["image"].rpartition(":")[2].replace(".", "-")
    assert made["metadata"]["name"] == f"{name}-{release}", "a Job of that name can't be changed"
    assert made["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    assert made["spec"]["ttlSecondsAfterFinished"] > 0
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == name
    prefix = service.upper()
    assert name in (ROOT / "docs/operate/upgrading.md").read_text()
    url = settings_of(base, name)[f"{prefix}_DATABASE_URL_FILE"]
    for waiting in (service, f"{service}-worker"):
        settings = settings_of(base, waiting)
        assert settings[f"{prefix}_DATABASE_URL_FILE"] == url
        assert settings[f"{prefix}_MIGRATIONS"] == "wait"
        started = main(base, waiting)["startupProbe"]
        assert started["failureThreshold"] * started["periodSeconds"] >= 3600


# Images


def images(documents: list[Document]) -> dict[str, str]:
    """Return image and tag."""
    found = {}
    for name in PODS:
        for container in containers(pod(documents, name)):
            image, _, tag = container["image"].rpartition(":")
            assert image, f"{container['image']} has no tag"
            found[image] = tag
    return found


def test_images_are_those_that_make_images_builds(
    base: list[Document], example: list[Document]
) -> None:
    found = images(base)
    built = {*FILES, "ranker-train", "triton"}
    assert set(found) == {
        f"sightline/{name}" for name in built - {TOGETHER, "agents", "console", "vision"}
    }
    assert f"sightline/{TOGETHER}" in images(overlay("small"))
    assert set(found.values()) == {
        re.search(r'version = "(.+)"', (ROOT / "pyproject.toml").read_text())[1]
    }  # type: ignore[index]
    assert images(example) == {f"registry.example.com/{image}": found[image] for image in found}


def test_the_words_of_the_readme_are_those_of_the_base(base: list[Document]) -> None:
    text = (K8S / "README.md").read_text()
    for name in PODS:
        assert f"`{name}`" in text
    networks = "".join(path.read_text() for path in K8S.glob("base/*/network.yaml"))
    for label in re.findall(r'(sightline/\w+): "true"', networks):
        assert label in text
    assert f"Kubernetes {OLDEST}" in text
    assert set(CLASSES) == set(OURS)


def test_with_spaces_the_embedder_writes_what_triton_reads() -> None:
    made = with_components("spaces")
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
    before = {(each["kind"], each["metadata"]["name"]) for each in overlay("base")}
    added = {(each["kind"], each["metadata"]["name"]) for each in made} - before
    assert {kind for kind, _ in added} <= {"PersistentVolumeClaim", "ConfigMap"}

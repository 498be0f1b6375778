"""The Jobs of `sightline preflight` for real overlays: what they need, and what a cluster takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sightline_client.cli.work.preflight import jobs, needs
from sightline_client.cli.work.preflight.kubectl import documents
from tests.contracts.k8s import (
    FOLDERS,
    K8S,
    OWN,
    ROOT,
    Document,
    main,
    of,
    overlay,
    template,
    with_components,
)
from tests.contracts.k8s_schemas import VERSIONS, problems
from tests.contracts.policies import pods
from tests.contracts.policies.cluster import Cluster

pytestmark = pytest.mark.when("deploy", "client")
WORKER = {"preflight-retriever-1": "retriever-worker", "preflight-ranker-1": "ranker-worker"}


def made(name: str) -> list[Document]:
    found = overlay(name)
    return [
        *jobs.stores(found, "sightline", "1", 60),
        jobs.images(found, "sightline", "1", 60),
    ]


def test_it_reads_an_overlay_as_kubectl_renders_it() -> None:
    assert documents(str(K8S / "overlays" / OWN)) == overlay(OWN)


@pytest.mark.parametrize("name", [OWN, "medium", "prod"])
def test_its_jobs_are_accepted_and_as_restricted_as_what_they_stand_for(name: str) -> None:
    found = made(name)
    assert {each["metadata"]["name"] for each in found} == {*WORKER, "preflight-images-1"}
    for version in (VERSIONS[0], VERSIONS[-1]):
        assert [each for one in found for each in problems(one, version)] == []
    rules = (pods.resources, pods.restricted, pods.volumes, pods.no_cluster_access, pods.secrets)
    assert [each for rule in rules for each in rule(Cluster(found))] == []


@pytest.mark.parametrize("name", [OWN, "medium"])
def test_a_worker_s_job_has_its_settings_and_may_call_what_it_calls(name: str) -> None:
    found, shipped = made(name), overlay(name)
    for each, worker in WORKER.items():
        spec = of(found, "Job")[each]["spec"]["template"]["spec"]
        container = spec["containers"][0]
        assert container["image"] == main(shipped, worker)["image"]
        service = worker.removesuffix("-worker")
        assert (ROOT / f"services/{service}/src/{service}/preflight.py").exists()
        assert container["command"] == ["python", "-m", f"{service}.preflight"]
        settings = {one["name"]: one["value"] for one in container["env"]}
        assert f"{service.upper()}_DATABASE_URL_FILE" in settings
        mounted = {one["mountPath"] for one in container["volumeMounts"]}
        assert {"/etc/sightline/database", "/tmp"} <= mounted  # noqa: S108 - in the pod
        labels = template(shipped, worker)["metadata"]["labels"]
        allowed = [
            str(rule)
            for policy in of(shipped, "NetworkPolicy").values()
            if policy["metadata"]["namespace"] == "sightline"
            and jobs._selects(policy["spec"]["podSelector"], labels)
            for rule in policy["spec"].get("egress") or ()
        ]
        egress = of(found, "NetworkPolicy")[each]["spec"]["egress"]
        assert sorted(map(str, egress)) == sorted(allowed)
        assert any("5432" in rule for rule in allowed)


def test_it_knows_what_the_overlay_of_a_first_install_needs() -> None:
    found = overlay(OWN)
    assert needs.namespace(found) == "sightline"
    assert needs.gpus(found) == [needs.Gpus(1, 1, {})]
    assert needs.storage_classes(found) == {""}
    assert needs.kinds(found)["cert-manager.io/v1"] == {"Certificate", "Issuer"}
    wanted = needs.secrets(found, "sightline")
    assert wanted["retriever-database"] == {"url"}
    assert wanted["gateway-keys"] == {"keys.toml"}
    assert "gateway-embedder.key" in wanted["peer-keys"]
    assert not {"gateway-tls", "peer-tls-gateway", "object-store"} & set(wanted)
    assert len(needs.images(found, "sightline")) == 7


def test_it_knows_the_keys_that_several_secrets_share_a_folder_of() -> None:
    found = with_components("vision", *FOLDERS["vision"], bases=("overlays/prod",))
    wanted = needs.secrets(found, "sightline")
    assert {"gateway-vision.key", "vision-retriever.key"} <= wanted["vision-peer-keys"]
    assert "gateway-ranker.key" in wanted["peer-keys"]


def test_a_namespace_of_another_name_is_found(tmp_path: Path) -> None:
    text = yaml.safe_dump_all([{**overlay(OWN)[-1]}, *overlay("embedder")])
    (tmp_path / "one.yaml").write_text(text.replace("namespace: sightline", "namespace: shop"))
    assert needs.namespace(documents(str(tmp_path / "one.yaml"))) == "shop"

"""The overlay of a first production install: one file has all that is the shop's own."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import botocore.session
import pytest
import yaml

from sightline_client.cli.work.preflight import needs
from tests.contracts.k8s import (
    FOLDERS,
    K8S,
    OWN,
    ROOT,
    Document,
    main,
    of,
    overlay,
    pod,
    pods,
    render,
)
from tests.contracts.k8s_schemas import CUSTOM
from tests.contracts.policies.cluster import Cluster
from tests.contracts.policies.links import references
from tests.contracts.test_k8s_overlays import printed

FOLDER = K8S / "overlays" / OWN
FURTHER = ("vision/tracing", "vision/autoscaling")
OWN_FOLDERS = {"vision": [each for each in FOLDERS["vision"] if each not in FURTHER]}
"""Folders of a component that suit the overlay, which has neither traces nor KEDA."""
GIVEN: dict[str, str] = yaml.safe_load((FOLDER / "installation.yaml").read_text())["data"]


def changed(folder: Path, values: dict[str, str], *components: str) -> list[Document]:
    """Return the overlay with other values in its file, and further components."""
    shutil.copytree(K8S, folder / "k8s")
    shutil.copytree(K8S.parent / "monitoring", folder / "monitoring")
    path = folder / "k8s/overlays" / OWN / "installation.yaml"
    document = yaml.safe_load(path.read_text())
    document["data"] = values
    path.write_text(yaml.safe_dump(document))
    listed = path.with_name("kustomization.yaml")
    document = yaml.safe_load(listed.read_text())
    for each in components:
        names = [each, *OWN_FOLDERS.get(each, ())]
        document["components"] += [f"../../components/{name}" for name in names]
    listed.write_text(yaml.safe_dump(document))
    return render(path.parent)


def text(documents: list[Document]) -> str:
    return "\n".join(map(str, documents))


def test_one_file_has_every_value_that_is_a_shops_own(tmp_path: Path) -> None:
    """Check that nothing of the given values is left once all are changed, and no placeholder."""
    values = {
        key: re.sub(r"shop|example|eu-central|^10\.20", lambda found: f"9{found[0]}9", value)
        for key, value in GIVEN.items()
    }
    values |= {"endpoint": "https://s3.9", "storeNetwork": "10.9.2.0/24", "credentials": "/9/aws"}
    assert all(values[key] != GIVEN[key] for key in GIVEN)
    made = text(changed(tmp_path / "other", values, "vision"))
    shipped = text(changed(tmp_path / "shipped", GIVEN, "vision"))
    for key, value in GIVEN.items():
        assert value in shipped, key
        assert values[key] in made, key
        assert not value or value not in made, key
    assert not re.search(r"your-|192\.0\.2\.|registry\.example", made)
    assert "installation" not in {each["metadata"]["name"] for each in overlay(OWN)}


@pytest.mark.parametrize(
    ("endpoint", "photo"),
    [
        ("", "https://shop-sightline.s3.amazonaws.com/photos/1"),
        ("https://s3.shop.example", "https://s3.shop.example/shop-sightline/photos/1"),
    ],
)
def test_the_client_of_the_buckets_takes_the_endpoint_in_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str, photo: str
) -> None:
    """Check that an empty one is none, and that the credentials' file may be absent."""
    documents = changed(tmp_path, GIVEN | {"endpoint": endpoint, "credentials": ""}, "vision")
    settings = [each.get("data", {}) for each in of(documents, "ConfigMap").values()]
    stores = [each for each in settings if "AWS_DEFAULT_REGION" in each]
    assert len(stores) == 9
    (environment,) = {
        tuple(sorted((key, value) for key, value in each.items() if key.startswith("AWS_")))
        for each in stores
    }
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (*environment, ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(name, value)
    asked = {"Bucket": "shop-sightline", "Key": "photos/1"}
    url = botocore.session.Session().create_client("s3").generate_presigned_url("get_object", asked)
    assert url.partition("?")[0] == photo


def test_all_images_are_of_its_registry() -> None:
    images = {
        container["image"]
        for each in Cluster(overlay(OWN)).workloads()
        for container in each.containers
    }
    assert images
    assert all(each.startswith(f"{GIVEN['registry']}/") for each in images)


@pytest.mark.parametrize(
    "component",
    ["agents", "console", "autoscaling", "http", "kafka-events", "monitoring", "tracing", "vision"],
)
def test_a_component_can_be_added_and_other_people_s_images_stay_theirs(
    tmp_path: Path, component: str
) -> None:
    images = {
        container["image"]
        for each in Cluster(changed(tmp_path, GIVEN, component)).workloads()
        for container in each.containers
    }
    others = {each for each in images if not each.startswith(f"{GIVEN['registry']}/")}
    assert not {each.rpartition("/")[0] for each in others} - {"otel"}
    assert bool(others) == (component == "tracing")


def test_it_needs_cert_manager_and_no_other_operator() -> None:
    groups = {each["apiVersion"] for each in overlay(OWN)} & {*CUSTOM, "milvus.io/v1beta1"}
    assert groups == {"cert-manager.io/v1"}


def test_it_runs_triton_on_a_gpu_and_keeps_nothing_on_shared_volumes() -> None:
    (triton,) = pod(overlay(OWN), "triton")["containers"]
    assert triton["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert not of(overlay(OWN), "PersistentVolumeClaim")
    assert not of(overlay(OWN), "StatefulSet")
    assert {"retriever-backups", "ranker-backup"} <= set(pods(overlay(OWN)))


def test_a_promoted_model_reaches_the_index_which_a_million_products_need() -> None:
    worker = main(overlay(OWN), "ranker-worker")
    assert needs.environment(overlay(OWN), worker)["RANKER_PUBLISH"] == "true"


@pytest.mark.when("deploy")
def test_its_secrets_are_those_that_the_page_creates() -> None:
    """Check the Secrets of secrets.sh, of cert-manager and of the page's two commands together."""
    documents = overlay(OWN)
    mounted = {
        name
        for one in Cluster(documents).workloads()
        for kind, name, _ in references(one)
        if kind == "Secret"
    }
    url = "postgresql+psycopg://x:y@db.example:5432/x"
    made = {
        name
        for name, _ in printed(
            RETRIEVER_DATABASE_URL=url, RANKER_DATABASE_URL=url, MILVUS_TOKEN="a:b"
        )
    }
    issued = {each["spec"]["secretName"] for each in of(documents, "Certificate").values()}
    assert mounted - made - issued == {"gateway-keys"}


def test_the_page_is_short_and_names_every_value_s_subject() -> None:
    page = (ROOT / "docs/operate/first-install.md").read_text()
    assert len(page.split()) <= 1_500
    for step in (
        "installation.yaml",
        "secrets.sh",
        "sightline preflight",
        "apply -k",
        "helm upgrade",
    ):
        assert step in page

"""The Helm chart: what it renders is what kustomize renders, for its switches and values too."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.chart import generate, overlays
from tests.contracts.k8s import OWN, Document, containers, of, overlay, pod, template
from tests.contracts.test_releases import Machine
from tests.tools import tool

pytestmark = [pytest.mark.when("deploy"), pytest.mark.slow]
HELM = tool("helm")
Named = dict[tuple[str, str], Document]


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate.chart(tmp_path_factory.mktemp("chart"))


def helm(*arguments: str, given: Any = None) -> subprocess.CompletedProcess[str]:
    text = None if given is None else json.dumps(given)
    values = [] if given is None else ["--values=-"]
    return subprocess.run(
        [HELM, *arguments, *values], input=text, capture_output=True, text=True, check=False
    )


def made(
    chart: Path, given: Any = None, namespace: str = "sightline", packed: Path | None = None
) -> list[Document]:
    """Return what the chart, or its archive, renders with the example's values and others."""
    example, source = f"--values={chart}/values.example.yaml", str(packed or chart)
    done = helm("template", "x", source, f"--namespace={namespace}", example, given=given)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def named(documents: list[Document]) -> Named:
    """Return documents by name, without what only the chart adds: the hash in a Job's name, and the
    hashes of ConfigMaps, which kustomize has in their names."""
    found = {}
    for each in documents:
        name = each["metadata"]["name"]
        if each["kind"] == "Job":
            name = each["metadata"]["name"] = re.sub(r"(-\d+-\d+-\d+)-[0-9a-f]{8}$", r"\1", name)
        if each["kind"] in ("Deployment", "CronJob", "Job"):
            spec = each["spec"].get("jobTemplate", each)["spec"]
            notes = spec["template"]["metadata"].pop("annotations", {})
            assert all(key.startswith("checksum/") for key in notes)
        found[each["kind"], name] = each
    assert len(found) == len(documents)
    return found


def kustomized(values: dict[str, str] | None = None, *turned: str) -> Named:
    return named(overlays.plain(overlays.rendered(values or overlays.installation(), *turned)))


def test_with_the_values_of_the_overlay_it_is_the_overlay(chart: Path) -> None:
    shipped = named(overlays.plain(overlay(OWN)))
    assert named(made(chart)) == shipped
    assert len(shipped) > 70


@pytest.mark.parametrize("switch", overlays.TOGGLES)
def test_a_switch_is_a_component_of_the_overlay(chart: Path, switch: str) -> None:
    there = overlays.TOGGLES[switch][1]
    turned = named(made(chart, {switch: {"enabled": not there}}))
    assert turned == kustomized(None, switch)
    assert turned != named(made(chart))


@pytest.mark.parametrize("others", [("backups",), ("certificates",), tuple(overlays.TOGGLES)])
def test_switches_together_are_the_components_of_all(chart: Path, others: tuple[str, ...]) -> None:
    turned = {"vision", *others}
    given = {name: {"enabled": not overlays.TOGGLES[name][1]} for name in turned}
    assert named(made(chart, given)) == kustomized(None, *sorted(turned))


def test_a_shop_without_cameras_gives_no_buckets_for_them(chart: Path) -> None:
    empty = {"buckets": {"vision": "", "visionBackups": ""}}
    assert named(made(chart, empty)) == kustomized()
    example = f"--values={chart}/values.example.yaml"
    done = helm("template", "x", str(chart), example, given=empty | {"vision": {"enabled": True}})
    assert done.returncode != 0
    assert re.search(r"buckets\.vision\w* is missing", done.stderr)


def test_other_values_arrive_where_the_overlay_s_do(chart: Path) -> None:
    given = {key: re.sub("shop|example", "other", each) for key, each in
             overlays.installation().items()}  # fmt: skip
    given |= {"databaseNetwork": "10.9.0.0/16", "milvusNetwork": "fd00::/8", "region": "us-east-1"}
    given |= {"endpoint": "https://s3.other", "storeNetwork": "10.9.2.0/24", "credentials": ""}
    values = yaml.safe_load(generate.example(given))
    assert named(made(chart, values)) == kustomized(given)


ROLE = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/ranker"}


def test_a_role_of_a_service_account_is_a_patch_of_the_overlay(chart: Path) -> None:
    wanted = kustomized()
    wanted["ServiceAccount", "ranker"]["metadata"]["annotations"] = ROLE
    assert named(made(chart, {"serviceAccountAnnotations": {"ranker": ROLE}})) == wanted


def test_what_people_change_further_is_changed_and_nothing_else(chart: Path) -> None:
    digest = f"sha256:{'ab' * 32}"
    given = {
        "images": {
            "tag": "1.2.3",
            "digests": {"triton": digest},
            "pullSecrets": [{"name": "pull"}],
        },
        "replicas": {"retriever-worker": 2, "triton": 3},
        "resources": {
            "gateway": {"requests": {"cpu": "3"}},
            "triton": {"limits": {"memory": "9Gi"}},
        },
        "gpu": {"count": 2, "nodeSelector": {"gpu": "l4"}},
        "storageClass": "fast",
        "secrets": {"retriever-database": "our-database", "gateway-tls": "our-tls"},
        "settings": {"gateway": {"GATEWAY_PORT": "8700", "GATEWAY_X": "1"}},
        "database": {"port": 6432},
        "milvus": {"port": 443},
        "buckets": {"port": 9000},
        "hosts": ["a.example", "b.example"],
    }  # fmt: skip
    documents = made(chart, given, namespace="shop")
    assert {each["metadata"]["namespace"] for each in documents} == {"shop"}
    assert of(documents, "Deployment")["retriever-worker"]["spec"]["replicas"] == 2
    triton = pod(documents, "triton")
    assert triton["containers"][0]["image"].endswith(f"/triton@{digest}")
    assert triton["containers"][0]["resources"]["limits"] == {"memory": "9Gi", "nvidia.com/gpu": 2}
    assert triton["nodeSelector"] == {"gpu": "l4"}
    gateway = pod(documents, "gateway")
    assert all(each["image"].endswith("/gateway:1.2.3") for each in containers(gateway))
    assert gateway["containers"][0]["resources"]["requests"]["cpu"] == "3"
    held = {each["name"]: each.get("secret", {}).get("secretName") for each in gateway["volumes"]}
    assert held["tls"] == "our-tls"
    worker = {each["name"]: each for each in pod(documents, "retriever-worker")["volumes"]}
    assert worker["database"]["secret"]["secretName"] == "our-database"
    claim = worker["tmp"]["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert claim["storageClassName"] == "fast"
    settings = of(documents, "ConfigMap")["gateway"]["data"]
    assert (settings["GATEWAY_PORT"], settings["GATEWAY_X"]) == ("8700", "1")
    for name, port in (("postgres-uri", 6432), ("milvus-uri", 443), ("object-store", 9000)):
        rules = of(documents, "NetworkPolicy")[name]["spec"]["egress"]
        assert {each["port"] for rule in rules for each in rule["ports"]} == {port}
    certificate = of(documents, "Certificate")["gateway-tls"]["spec"]
    assert certificate["secretName"] == "our-tls"
    assert certificate["dnsNames"][-2:] == ["a.example", "b.example"]
    assert "gateway.shop.svc" in certificate["dnsNames"]
    assert "sightline" not in str(certificate["dnsNames"])
    for account in of(documents, "ServiceAccount").values():
        assert account["imagePullSecrets"] == [{"name": "pull"}]


def test_a_changed_setting_replaces_the_pods_that_read_it_and_no_others(chart: Path) -> None:
    before, after = made(chart), made(chart, {"settings": {"ranker": {"RANKER_X": "1"}}})
    changed = {
        name for name in of(before, "Deployment") if template(before, name) != template(after, name)
    }
    assert changed == {"ranker"}
    bucket = made(chart, {"buckets": {"photos": "s3://other/photos"}})
    changed = {name for name in of(before, "Deployment")
               if template(before, name) != template(bucket, name)}  # fmt: skip
    assert changed == {"retriever", "retriever-worker"}
    assert not set(of(before, "Job")) & set(of(after, "Job")), "a Job can't be changed"


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"images": {"registry": ""}}, "images/registry"),
        ({"image": {"registry": "x"}}, "additional properties 'image' not allowed"),
        ({"replicas": {"gatewy": 2}}, "additional properties 'gatewy' not allowed"),
        ({"replicas": {"gateway": "two"}}, "got string, want integer"),
        ({"buckets": {"photos": "/data/photos"}}, "buckets/photos"),
        ({"milvus": {"uri": "milvus:19530"}}, "milvus/uri"),
        ({"hosts": ["a'b"]}, "hosts/0"),
        ({"database": {"network": "10.0.0.1"}}, "database/network"),
        ({"secrets": {"gateway-tls": ""}}, "secrets/gateway-tls"),
        ({"milvus": {"network": "999.1.1.1/99"}}, "milvus/network"),
        ({"milvus": {"network": "10.0.0.0/33"}}, "milvus/network"),
        ({"images": {"digests": {"gatewy": f"sha256:{'ab' * 32}"}}}, "'gatewy' not allowed"),
        ({"images": {"digests": None}}, "missing property 'digests'"),
        ({"secrets": None}, "missing property 'secrets'"),
        ({"secrets": {"gateway-tls": None}}, "missing property 'gateway-tls'"),
        ({"buckets": {"endpoint": "store.example"}}, "buckets/endpoint"),
        ({"serviceAccountAnnotations": {"rankr": {}}}, "'rankr' not allowed"),
        ({"settings": {"gateway": {"GATEWAY_PORT": 8600}}}, "settings/gateway/GATEWAY_PORT"),
    ],
)
def test_a_value_that_would_not_work_is_refused_by_its_name(
    chart: Path, given: Any, said: str
) -> None:
    example = f"--values={chart}/values.example.yaml"
    done = helm("template", "x", str(chart), example, given=given)
    assert done.returncode != 0
    assert said in done.stderr


def test_helm_lint_finds_nothing_and_every_value_is_described(chart: Path) -> None:
    done = helm("lint", "--strict", str(chart), f"--values={chart}/values.example.yaml")
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout
    without = helm("template", "x", str(chart))
    assert "images/registry" in without.stderr, "what a shop has to give is named"
    text = (chart / "values.yaml").read_text()
    values = yaml.safe_load(text)
    schema = json.loads((chart / "values.schema.json").read_text())
    for key, value in values.items():
        described = schema["properties"][key]
        assert "description" in described or all(
            "description" in described["properties"][name] for name in value
        )
    assert text.count("# ") > 25
    assert (chart / "Chart.yaml").read_text().count(generate.version()) == 2
    assert (chart / "LICENSE").exists()


def test_make_chart_writes_the_archive_too() -> None:
    asked = ["make", "--dry-run", "chart"]
    planned = subprocess.run(asked, cwd=generate.ROOT, capture_output=True, text=True, check=True)
    assert "deploy/release.sh chart" in planned.stdout


def test_a_release_packs_it_into_an_archive_that_helm_takes(chart: Path, tmp_path: Path) -> None:
    machine, bytes_ = Machine(tmp_path), set()
    shutil.copytree(chart, tmp_path / "dist/chart/sightline")
    packed = tmp_path / f"dist/chart/sightline-{generate.version()}.tgz"
    for _ in range(2):
        done = machine.step("chart")
        assert done.returncode == 0, done.stderr
        bytes_.add(packed.read_bytes())
    assert len(bytes_) == 1
    assert named(made(chart, packed=packed)) == named(made(chart))

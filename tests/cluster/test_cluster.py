"""The parts of `make cluster` that need no cluster, and, where one can start, its shortest part."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.chaos.model import NotMeasured
from tests.cluster import results
from tests.cluster.__main__ import main
from tests.cluster.parts import PARTS
from tests.cluster.parts.medium import (
    INSTALLS,
    PROMISED_CPUS,
    PROMISED_GIB,
    memory,
    quantity,
    requests,
)
from tests.cluster.parts.pages import blocks, prepared
from tests.cluster.parts.restore import PAGE as RESTORE_PAGE
from tests.cluster.parts.restore import commands
from tests.cluster.parts.stage import Stage, images, rendered
from tests.cluster.parts.thirdparty import rendered as third_rendered
from tests.cluster.standins import definitions, names, policies, services, volumes
from tests.cluster.tools import (
    INSIDE,
    ROOT,
    Busy,
    Given,
    NoCluster,
    Tools,
    alone,
    check_machine,
    find,
)
from tests.contracts.k8s import OVERLAYS, Document, containers, of, overlay, pod

MINUTES = 3


def test_kubeconfig_comes_before_the_tools_and_what_is_missing_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.touch()
    assert find({"KUBECONFIG": str(config), "CLUSTER_TOOLS": str(tmp_path)}) == Given(config)
    with pytest.raises(NoCluster, match="which is no file"):
        find({"KUBECONFIG": str(tmp_path / "missing")})
    with pytest.raises(NoCluster, match=r"no cluster\.sh: set KUBECONFIG"):
        find({"CLUSTER_TOOLS": str(tmp_path)})
    (tmp_path / "cluster.sh").touch()
    assert find({"CLUSTER_TOOLS": str(tmp_path)}) == Tools(tmp_path)


def test_without_a_cluster_it_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv(INSIDE, raising=False)
    monkeypatch.setenv("CLUSTER_TOOLS", str(tmp_path))
    assert main([]) == 0
    said = capsys.readouterr().out
    assert said.startswith("NOT MEASURED: ")
    assert "KUBECONFIG" in said
    assert "CLUSTER_TOOLS" in said


def test_an_unknown_part_is_named_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["smal"])
    said = capsys.readouterr().err
    assert "no part smal" in said
    assert all(name in said for name in PARTS)


def test_a_second_run_at_once_is_refused_with_the_process_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with alone(), pytest.raises(Busy, match=f"process {os.getpid()} runs"), alone():
        pass
    with alone():
        pass


def test_too_little_memory_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda command: command)
    monkeypatch.setattr(Path, "exists", lambda self: True)
    monkeypatch.setattr("psutil.virtual_memory", type("Memory", (), {"available": 2**30}))
    with pytest.raises(NoCluster, match=r"1\.0 GiB of memory are available; a cluster takes 3"):
        check_machine()


def test_missing_tools_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda command: None if command == "etcd" else command)
    with pytest.raises(NoCluster, match=r"apt-get install .*etcd-server"):
        check_machine()


class Shelf:
    """A node with these images."""

    def __init__(self, *held: str) -> None:
        self.held = held

    def images(self) -> set[str]:
        return set(self.held)


def test_an_image_that_is_not_there_is_named_with_what_makes_it() -> None:
    node: Any = Shelf("docker.io/sightline/gateway:1")
    stage = Stage(node, [])
    stage.load_images("sightline/gateway:1")
    with pytest.raises(NotMeasured, match=r"no image sightline/ranker:1: make images"):
        stage.load_images("sightline/gateway:1", "sightline/ranker:1")


def test_a_run_lowers_requests_of_processor_time_and_nothing_else() -> None:
    shipped, run = overlay("medium"), rendered("medium")
    for name in of(shipped, "Deployment"):
        for ours, theirs in zip(
            containers(pod(shipped, name)), containers(pod(run, name)), strict=True
        ):
            assert theirs["resources"].get("limits") == ours["resources"].get("limits")
            assert theirs["securityContext"] == ours["securityContext"]
            assert theirs.get("livenessProbe") == ours.get("livenessProbe")
            assert (
                theirs["resources"]["requests"]["memory"]
                == (ours["resources"]["requests"]["memory"])
            )
    assert images(shipped) == images(run)


def test_each_custom_kind_of_the_overlays_gets_a_definition() -> None:
    documents = [each for name in OVERLAYS for each in overlay(name)]
    made = {each["spec"]["names"]["kind"] for each in definitions.definitions(documents)}
    assert made == {each["kind"] for each in documents if definitions.custom(each)}
    assert "ScaledObject" in made


class Kept:
    """The objects of a mirror."""

    def __init__(self, *objects: Document) -> None:
        self.objects = objects

    def all(self) -> list[Document]:
        return list(self.objects)

    def get(self, namespace: str, name: str) -> Document | None:
        wanted = (namespace, name)
        found = (each for each in self.objects if wanted == key(each))
        return next(found, None)


def key(document: Document) -> tuple[str, str]:
    return document["metadata"]["namespace"], document["metadata"]["name"]


def service(name: str, address: str) -> Document:
    return {
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"clusterIP": address, "ports": [{"name": "grpc", "port": 80}]},
    }


def ends(name: str, *endpoints: Document) -> Document:
    labels = {"kubernetes.io/service-name": name}
    return {
        "metadata": {"namespace": "shop", "name": f"{name}-1", "labels": labels},
        "ports": [{"name": "grpc", "port": 8600}],
        "endpoints": list(endpoints),
    }


def end(address: str, *, ready: bool = True, host: str = "") -> Document:
    named = {"hostname": host} if host else {}
    return {"addresses": [address], "conditions": {"ready": ready}, **named}


def test_a_headless_service_has_the_addresses_of_its_ready_pods() -> None:
    known = Kept(service("gateway", "None"), service("web", "10.96.0.9"))
    slices = Kept(ends("gateway", end("10.0.0.2"), end("10.0.0.3", ready=False, host="gateway-1")))
    look: Any = lambda label: names.addresses(label, known, slices)  # type: ignore[arg-type]  # noqa: E731
    assert look("gateway.shop") == ["10.0.0.2"]
    assert look("gateway-1.gateway.shop") == []
    assert look("web.shop") == ["10.96.0.9"]
    assert look("missing.shop") is None


def test_a_service_address_is_divided_evenly_over_its_ready_pods() -> None:
    made = services.rules(
        [service("web", "10.96.0.9"), service("gateway", "None")],
        [ends("web", end("10.0.0.2"), end("10.0.0.3"), end("10.0.0.4", ready=False))],
    )
    assert [rule.split("--to-destination ")[1] for rule in made] == [
        "10.0.0.2:8600",
        "10.0.0.3:8600",
    ]
    assert "--probability 0.50000" in made[0]
    assert "--probability" not in made[1]


def test_a_claim_gets_a_volume_of_its_size_and_modes() -> None:
    claim = {
        "metadata": {"namespace": "shop", "name": "photos", "uid": "7"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "20Gi"}},
        },
    }
    made = volumes.volume(claim, Path("/volumes/photos"))
    assert made["spec"]["capacity"] == {"storage": "20Gi"}
    assert made["spec"]["claimRef"]["uid"] == "7"
    assert made["spec"]["hostPath"]["path"] == "/volumes/photos"


def policy(selector: Document, **spec: Any) -> Document:
    return {"metadata": {"namespace": "shop"}, "spec": {"podSelector": selector, **spec}}


def test_a_pod_is_open_only_for_what_its_policies_name() -> None:
    gateway = policies.Pod("shop", {"name": "gateway"}, "10.0.0.2", {"grpc": 8600})
    embedder = policies.Pod("shop", {"name": "embedder"}, "10.0.0.3", {"grpc": 8601})
    caller = policies.Pod("web", {"name": "page"}, "10.0.0.4", {})
    rule = {
        "from": [{"podSelector": {"matchLabels": {"name": "gateway"}}}],
        "ports": [{"protocol": "TCP", "port": "grpc"}],
    }
    closed = policy({}, policyTypes=["Ingress", "Egress"])
    open_ = policy({"matchLabels": {"name": "embedder"}}, policyTypes=["Ingress"], ingress=[rule])
    cluster = policies.Cluster(
        [gateway, embedder, caller], {"shop": {}, "web": {}}, [closed, open_], "10.0.0.1"
    )
    made = policies.rules(embedder, cluster)
    assert "-A INPUT -s 10.0.0.2 -p tcp -m tcp --dport 8601 -j ACCEPT" in made
    assert "-A INPUT -j DROP" in made
    assert "-A OUTPUT -j DROP" in made
    assert not any("10.0.0.4" in line for line in made)
    assert not any("DROP" in line for line in policies.rules(caller, cluster)), "no policy is there"


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, True),
        ({"matchLabels": {"a": "1"}}, True),
        ({"matchLabels": {"a": "2"}}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, False),
        ({"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "b", "operator": "Exists"}]}, False),
    ],
)
def test_label_selectors(selector: Document, matches: bool) -> None:
    assert policies.selects(selector, {"a": "1"}) is matches


def test_each_kubectl_line_of_the_handbook_is_run() -> None:
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.strip().startswith("kubectl ")]
    ran = "\n".join(prepared(block)[0] for block in blocks(text))
    assert len(lines) > 15
    for line in lines:
        word = line.split()[-1]
        assert word in ran or "overlays" in word, line


def test_quantities_are_numbers() -> None:
    assert [quantity(each) for each in ("2", "250m", "1Gi", "64Mi")] == [
        2,
        0.25,
        2**30,
        64 * 2**20,
    ]


def test_memory_is_that_of_the_installation_by_container() -> None:
    name = 'container_memory_working_set_bytes{container="ranker",namespace="%s",pod="%s"} %s 17'
    lines = [name % each for each in (("sightline", "a", "1e+06"), ("sightline", "b", "5"))]
    other = name % ("elsewhere", "c", "7")
    assert memory("\n".join([*lines, other])) == {"ranker": 1_000_005}


def test_medium_requests_4_cpus_and_8_gib() -> None:
    cpus, sizes = zip(*requests(overlay("medium")).values(), strict=True)
    assert sum(cpus) <= PROMISED_CPUS
    assert sum(sizes) <= PROMISED_GIB * 2**30
    assert "4 cores, 8 GiB" in (ROOT / "deploy/k8s/README.md").read_text("utf-8")


def test_the_third_party_s_overlay_is_in_its_namespace_and_registry(tmp_path: Path) -> None:
    documents = third_rendered(tmp_path)
    assert {each["metadata"].get("namespace", "shop") for each in documents} == {"shop"}
    assert all(each.startswith("registry.example.com/shop/") for each in images(documents))
    made = subprocess.run(
        [ROOT / "deploy/k8s/secrets.sh"],
        env={**os.environ, "NAMESPACE": "shop"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "namespace: sightline" not in made


def test_the_transcript_has_the_commands_of_the_first_install() -> None:
    first = (ROOT / "docs/operate/first-install.md").read_text("utf-8")
    assert all(each in first for each in INSTALLS[:3])
    made = results.transcript([("kubectl get pods", "a\nb\n"), ("kubectl apply", "x\n" * 70)])
    assert made.splitlines()[1:4] == ["$ kubectl get pods", "a", "b"]
    assert "... 64 more lines" in made
    page = results.INSTALLED.read_text("utf-8").partition("<!-- end of make cluster -->")[0]
    assert [each for each in INSTALLS if f"$ {each}\n" in page] == list(INSTALLS)


def test_the_page_has_commands_to_copy_and_to_restore() -> None:
    copy, back = commands(RESTORE_PAGE.read_text("utf-8"))
    assert "keep.sh save" in copy[1]
    assert "cronjob/ranker-backup" in copy[2]
    assert "keep.sh restore" in back[0]
    assert "cronjob/ranker-restore" in back[1]


def test_the_page_has_a_table_for_each_part_that_ran() -> None:
    row = {"promise": "a | b", "verdict": "MET", "measured": "1 s"}
    made = results.tables({"small": {"seconds": 3.2, "rows": [row]}}, ["overlays", "small"])
    assert "**`small`**, 3 s" in made
    assert "| a \\| b | MET | 1 s |" in made
    assert "overlays" not in made


def running() -> Tools:
    """Return the tools of this machine. Skip the test if it cannot start a cluster now."""
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    try:
        found = find(environment)
        assert isinstance(found, Tools)
        check_machine()
        with alone():
            return found
    except (NoCluster, Busy) as error:
        pytest.skip(f"NOT MEASURED: {error}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["a cluster starts", pytest.param("overlays begins", marks=pytest.mark.full)]
)
def test_an_interrupted_run_says_so_and_leaves_nothing(line: str) -> None:
    """Interrupt it while the cluster starts, and again a part."""
    found = running()
    begun = subprocess.Popen(
        [sys.executable, "-u", "-m", "tests.cluster", "overlays"],
        cwd=ROOT,
        env={**os.environ, "CLUSTER_TOOLS": str(found.folder), "PYTHONPATH": "deploy/local"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert begun.stdout is not None
    while line not in begun.stdout.readline():
        assert begun.poll() is None
    begun.send_signal(signal.SIGINT)
    said = begun.communicate(timeout=60)[0]
    assert begun.returncode == 130, said
    assert "Interrupted" in said
    kept = [each for each in psutil.process_iter(["cmdline"]) if cluster_s(each)]
    assert kept == []
    assert ".cache/cluster" not in Path("/proc/mounts").read_text()
    assert not Path("/sys/class/net/br-node-1").exists()


def cluster_s(process: psutil.Process) -> bool:
    """Return whether a process is one of a cluster that this repository started."""
    return str(ROOT / ".cache/cluster") in " ".join(process.info["cmdline"] or ())


@pytest.mark.full
def test_every_overlay_is_applied_to_a_real_cluster_and_a_pod_runs() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    running()
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster", "overlays"],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT / "deploy/local")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60 * MINUTES * 3,
    )
    said = done.stdout + done.stderr
    for name in OVERLAYS:
        assert any(f"{name}: applied" in line and " MET " in line for line in said.splitlines()), (
            said
        )
    assert "runs under Pod Security" in said
    assert not Path("/sys/fs/cgroup/memory/kubepods").exists()

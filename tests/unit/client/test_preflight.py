"""`sightline preflight`, with a kubectl that answers as a cluster does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sightline_client.cli import app
from sightline_client.cli.work.preflight import jobs, running
from sightline_client.cli.work.preflight.kubectl import Kubectl
from tests.unit.client.command_line import PROGRAM
from tests.waiting import SECONDS

KUBECTL = f"""#!{sys.executable} -SE
import json, os, re, sys, time
here = __file__.rpartition("/")[0]
asked, given = " ".join(sys.argv[1:]), ""
if "--filename=-" in asked:
    given = sys.stdin.read()
with open(here + "/asked", "a") as log:
    log.write(json.dumps([asked, given]) + "\\n")
if asked.startswith("patch --local"):
    print(given)
    sys.exit()
for pattern, (out, error, *held) in json.load(open(here + "/answers.json")).items():
    if re.search(pattern, asked):
        while held and not os.path.exists(here + "/go"):
            open(here + "/held", "a").write(pattern)
            time.sleep(0.01)
        if held:
            open(here + "/held", "a").write("ended")
        print(out)
        print(error, file=sys.stderr)
        sys.exit(1 if error else 0)
sys.exit("Error from server (NotFound): nothing is known of " + asked)
"""
RESTRICTED = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def forbidden(verb: str, resource: str, group: str, where: str) -> list[str]:
    """Return what kubectl says of a call that its user may not make."""
    return [
        "",
        f'Error from server (Forbidden): {resource} is forbidden: User "ana" cannot {verb} resource'
        f' "{resource}" in API group "{group}" {where}',
    ]


def workload(name: str, *command: str, **more: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": name}
    container = {
        "name": name,
        "image": f"shop/{name}:1",
        "command": list(command),
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "resources": {"limits": {"nvidia.com/gpu": 2} if name == "triton" else {}},
        "securityContext": {},
        "volumeMounts": [
            {"name": "database", "mountPath": "/etc/database"},
            {"name": "tls", "mountPath": "/etc/tls"},
            {"name": "tmp", "mountPath": "/scratch"},
        ],
    }
    claim = {"spec": {"accessModes": ["ReadWriteOnce"]}}
    volumes = [
        {"name": "database", "secret": {"secretName": "retriever-database"}},
        {"name": "tls", "secret": {"secretName": "issued-tls"}},
        {"name": "tmp", "ephemeral": {"volumeClaimTemplate": claim}},
    ]
    pod = {"securityContext": RESTRICTED, "containers": [container], "volumes": volumes, **more}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }


WANTED = [
    workload("gateway"),
    workload("triton"),
    workload(
        "retriever-worker", "python", "-m", "retriever.worker", imagePullSecrets=[{"name": "pull"}]
    ),
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "shop"},
        "data": {"RETRIEVER_DATABASE_URL_FILE": "/etc/database/url"},
    },
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "worker", "namespace": "shop"},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "retriever-worker"}},
            "egress": [{"ports": [{"port": 5432}]}],
        },
    },
    {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "tls", "namespace": "shop"},
        "spec": {"secretName": "issued-tls"},
    },
]  # fmt: skip


def items(*found: dict[str, Any]) -> list[str]:
    return [json.dumps({"items": found}), ""]


def kinds(*names: str) -> list[str]:
    return [json.dumps({"resources": [{"kind": name} for name in names]}), ""]


def pod(of: str, phase: str = "Succeeded", **status: Any) -> dict[str, Any]:
    containers = [{"name": f"images-{n}", "image": f"shop/{n}:1"} for n in range(3)]
    meta = {"name": f"preflight-{of}", "labels": {"sightline/preflight-of": of}}
    return {"metadata": meta, "spec": {"containers": containers},
            "status": {"phase": phase, **status}}  # fmt: skip


def pulled(*states: dict[str, Any]) -> dict[str, Any]:
    statuses = [{"name": f"images-{n}", **state} for n, state in enumerate(states)]
    return pod("images", "Pending", containerStatuses=statuses)


HAS: dict[str, Any] = {"imageID": "sha256:1"}
LOG = [
    {"check": "port", "subject": "db:5432", "problem": "", "fix": ""},
    {"check": "milvus", "subject": "milvus", "problem": "too old", "fix": "upgrade it"},
]
END = '{"end": true}'
DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}
CLASS = {"metadata": {"name": "fast", "annotations": DEFAULT}}
GOOD: dict[str, list[str]] = {
    "version": [json.dumps({"serverVersion": {"gitVersion": "v1.31.4-gke.1"}}), ""],
    "--raw /api/v1$": kinds("ConfigMap"),
    "--raw /apis/apps/v1$": kinds("Deployment"),
    "--raw /apis/networking": kinds("NetworkPolicy"),
    "--raw /apis/cert-manager": kinds("Certificate"),
    "get storageclasses": items(CLASS),
    "get nodes": items({"status": {"allocatable": {"nvidia.com/gpu": "4"}}}),
    "get namespace shop": ["namespace/shop", ""],
    "get secrets": ["retriever-database url\n", ""],
    "create ": ["created", ""],
    "get pods": items(pulled(HAS, HAS, HAS), pod("retriever")),
    "logs ": [f"{json.dumps(LOG[0])}\n{END}", ""],
    "delete ": ["", ""],
}


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00a", b"a: ["])
def test_a_manifest_that_can_not_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "all.yaml"
    if content is not None:
        file.write_bytes(content)
    result = CliRunner().invoke(app, ["preflight", str(file)])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stderr


class Cluster:
    """A folder with the stub, which comes first on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.code = folder, 0
        (folder / "kubectl").write_text(KUBECTL)
        (folder / "kubectl").chmod(0o755)

    def check(self, *arguments: str, **changed: list[str] | None) -> Result:
        """Run the command; `changed`: other answers, or None for what is not known."""
        self.answer(**changed)
        given = {"apiVersion": "v1", "kind": "List", "items": WANTED}
        return CliRunner().invoke(app, ["preflight", "-", *arguments], input=json.dumps(given))

    def answer(self, **changed: list[str] | None) -> None:
        """Set what the stub answers."""
        patterns = {"kinds": "--raw /apis/cert-manager", "version": "version"}
        answers = dict(GOOD)
        for name, answer in changed.items():
            pattern = patterns.get(name) or next(each for each in GOOD if name in each)
            answers.pop(pattern)
            answers |= {pattern: answer} if answer else {}
        (self.folder / "answers.json").write_text(json.dumps(answers))
        (self.folder / "asked").unlink(missing_ok=True)

    def results(self, *arguments: str, **changed: list[str] | None) -> dict[str, tuple[str, ...]]:
        """Return outcome, problem and fix of each check, by its name; several are joined."""
        done = self.check("--json", *arguments, **changed)
        self.code = done.exit_code
        found: dict[str, tuple[str, ...]] = {}
        for each in json.loads(done.stdout)["results"]:
            found[each["check"]] = (
                *found.get(each["check"], ()),
                each["outcome"], each["problem"], each["fix"],
            )  # fmt: skip
        return found

    def asked(self) -> list[tuple[str, str]]:
        lines = (self.folder / "asked").read_text().splitlines()
        return [(asked, given) for asked, given in map(json.loads, lines)]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(running, "PAUSE", 0.01)
    return Cluster(tmp_path)


def test_a_cluster_that_has_everything_passes(cluster: Cluster) -> None:
    done = cluster.check("--context", "prod")
    assert done.exit_code == 0, done.output
    assert "0 failed, 0 not checked" in done.stdout
    for check in ("kubernetes", "kind", "storage", "gpu", "namespace", "secret", "image", "port"):
        assert f"✓ {check}  " in done.stdout, check
    calls = [asked for asked, _ in cluster.asked() if not asked.startswith("patch")]
    assert all(each.startswith("--context=prod ") for each in calls)
    assert "delete job,networkpolicy" in calls[-1], "nothing is left"


@pytest.mark.parametrize(
    ("check", "changed", "problem", "fix"),
    [
        ("kubernetes", {"version": [json.dumps({"serverVersion": {"gitVersion": "v1.29.9"}}), ""]},
         "too old", "1.30"),
        ("kind", {"kinds": None}, "does not know Certificate", "cert-manager 1.16"),
        ("storage", {"storageclasses": items()}, "no storage class is the default", "annotate"),
        ("gpu", {"nodes": items({"status": {"allocatable": {"nvidia.com/gpu": "3"}}})},
         "the nodes have 3", "device plugin"),
        ("namespace", {"get namespace": None}, "does not exist", "kubectl create namespace shop"),
        ("secret", {"get secrets": ["other key", ""]}, "does not exist", "secrets.sh"),
        ("secret", {"get secrets": ["retriever-database ca.crt", ""]}, "lacks url", "secrets.sh"),
        ("milvus", {"logs": [f"{json.dumps(LOG[1])}\n{END}", ""]}, "too old", "upgrade it"),
        ("settings", {"logs": ["1 invalid setting(s):\n  RETRIEVER_MILVUS_URI", ""]},
         "RETRIEVER_MILVUS_URI", "correct the settings"),
    ],
)  # fmt: skip
def test_each_lack_is_a_failure_with_its_fix(
    cluster: Cluster, check: str, changed: dict[str, Any], problem: str, fix: str
) -> None:
    found = cluster.results(**changed)[check]
    assert "failed" in found
    assert any(problem in each for each in found), found
    assert any(fix in each for each in found), found
    assert cluster.code == 1


def gpu_node(count: int, *, unschedulable: bool = False, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": labels},
        "spec": {"unschedulable": True} if unschedulable else {},
        "status": {"allocatable": {"nvidia.com/gpu": str(count)}},
    }


@pytest.mark.parametrize(
    ("nodes", "passes"),
    [
        ([gpu_node(2, gpu="l4"), gpu_node(3, gpu="l4")], True),
        ([gpu_node(1, gpu="l4")] * 4, False),
        ([gpu_node(4, gpu="l4", unschedulable=True)], False),
        ([gpu_node(4, gpu="t4")], False),
        ([gpu_node(2, gpu="l4"), gpu_node(2)], False),
    ],
)
def test_gpus_count_on_nodes_that_take_a_pod(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, Any]], passes: bool
) -> None:
    triton = WANTED[1]["spec"]["template"]["spec"]
    monkeypatch.setitem(triton, "nodeSelector", {"gpu": "l4"})
    assert (cluster.results("--no-job", nodes=items(*nodes))["gpu"][0] == "passed") is passes


def test_an_image_that_can_not_be_pulled_is_the_only_one_that_fails(cluster: Cluster) -> None:
    refused = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no basic auth"}}}
    ended = {"state": {"terminated": {"reason": "StartError"}}}
    found = cluster.results(pods=items(pulled(HAS, refused, ended), pod("retriever")))["image"]
    assert found[::3] == ("passed", "failed", "passed")
    assert found[4] == "no basic auth"
    assert "imagePullSecret" in found[5]


@pytest.mark.parametrize(
    ("changed", "right", "check"),
    [
        ({"nodes": forbidden("list", "nodes", "", "at the cluster scope")},
         "list nodes (whole cluster)", "gpu"),
        ({"storageclasses": forbidden("list", "storageclasses", "storage.k8s.io",
                                      "at the cluster scope")},
         "list storageclasses.storage.k8s.io (whole cluster)", "storage"),
        ({"get secrets": forbidden("list", "secrets", "", 'in the namespace "shop"')},
         "list secrets (namespace shop)", "secret"),
        ({"create": forbidden("create", "jobs", "batch", 'in the namespace "shop"')},
         "create jobs.batch (namespace shop)", "image"),
    ],
)  # fmt: skip
def test_without_a_right_a_check_neither_passes_nor_fails_and_the_right_is_named(
    cluster: Cluster, changed: dict[str, Any], right: str, check: str
) -> None:
    found = cluster.results(**changed)[check]
    assert found[0] == "not checked"
    assert found[1] == f"you lack the right: {right}"
    assert cluster.code == 3
    assert not [each for each in found if each == "failed"]


@pytest.mark.parametrize(
    "said",
    [
        'admission webhook "validate.kyverno" denied the request: limits.cpu is required',
        '(Forbidden): jobs.batch "preflight-images-1" is forbidden: exceeded quota: q',
    ],
)
def test_a_job_that_the_cluster_refuses_fails_beside_what_was_found(
    cluster: Cluster, said: str
) -> None:
    found = cluster.results(create=["", f"Error from server {said}"])
    assert found["kubernetes"][0] == "passed"
    assert found["job"][0] == "failed"
    assert said in found["job"][1]
    assert cluster.code == 1


def test_without_the_right_to_logs_images_are_checked_nevertheless(cluster: Cluster) -> None:
    found = cluster.results(logs=forbidden("get", "pods/log", "", 'in the namespace "shop"'))
    assert found["image"][::3] == ("passed",) * 3
    assert found[running.STORES][:2] == (
        "not checked", "you lack the right: get pods/log (namespace shop)",
    )  # fmt: skip


def test_buckets_of_a_role_that_jobs_do_not_have_are_not_checked(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = {"check": "bucket", "subject": "s3://a", "problem": "NoCredentialsError", "fix": "x"}
    logs = {"logs": [f"{json.dumps(bucket)}\n{END}", ""]}
    assert cluster.results(**logs)["bucket"][0] == "not checked"
    assert cluster.code == 3
    for path, outcome in (("", "not checked"), ("/etc/credentials", "failed")):
        monkeypatch.setitem(WANTED[3], "data", {"AWS_SHARED_CREDENTIALS_FILE": path})
        assert cluster.results(**logs)["bucket"][0] == outcome


def test_a_log_that_can_not_be_read_is_a_failure(cluster: Cluster) -> None:
    found = cluster.results(logs=["", "container not found"])
    assert found["image"][0] == "passed"
    assert found["job"][:2] == ("failed", "container not found")


def test_a_pod_that_does_not_start_says_why_and_is_not_counted(cluster: Cluster) -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "message": "0/3 nodes: Insufficient cpu",
    }
    waits = pod("retriever", "Pending", conditions=[condition])
    cluster.answer(**{"get pods": items(waits)})
    wanted = jobs.stores(WANTED, "shop", "1", 10)
    run = running.JobRun(Kubectl(), "shop", "1", [*wanted], 0)
    (found,) = run.results(lambda _: None)
    assert (found.outcome, found.problem) == ("not checked", "0/3 nodes: Insufficient cpu")


def test_pulls_may_end_one_after_another_and_are_tried_again_meanwhile() -> None:
    job = jobs.images(WANTED, "shop", "1", 10)
    assert job["spec"]["activeDeadlineSeconds"] > 10, "its pod is read before it is deleted"
    run = running.JobRun(Kubectl(), "shop", "1", [job], 10)
    refused = {"state": {"waiting": {"reason": "ErrImagePull", "message": "refused"}}}
    pulling: dict[str, Any] = {"state": {"waiting": {"reason": "ContainerCreating"}}}
    assert not run._decided(pulled(refused, pulling, pulling))
    assert not run._decided(pulled(pulling, HAS, pulling))
    assert run._decided(pulled(pulling, HAS, refused))
    assert not run._decided(pod("retriever", "Running"))


@pytest.mark.parametrize(
    ("status", "rest", "said"),
    [
        ({}, "Traceback (most recent call last):\nUnicodeError: label too long", "label too long"),
        ({"containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled"}}}]}, "",
         "OOMKilled"),
        ({"reason": "Evicted", "message": "low on ephemeral-storage"}, "", "low on ephemeral"),
    ],
)  # fmt: skip
def test_a_check_that_does_not_reach_its_end_fails(
    cluster: Cluster, status: dict[str, Any], rest: str, said: str
) -> None:
    pods = items(pulled(HAS, HAS, HAS), pod("retriever", "Failed", **status))
    found = cluster.results(**{"get pods": pods, "logs": [f"{json.dumps(LOG[0])}\n{rest}", ""]})
    assert found["port"][0] == "passed"
    assert found["settings"][0] == "failed"
    assert said in found["settings"][1]
    assert cluster.code == 1


def test_jobs_are_not_run_before_their_secrets_are_there(cluster: Cluster) -> None:
    cluster.check(**{"get secrets": ["", ""]})
    assert not [asked for asked, _ in cluster.asked() if "create" in asked]
    assert cluster.check("--no-job").exit_code == 3


def test_a_job_has_what_its_worker_has_but_for_volumes_and_certificates(cluster: Cluster) -> None:
    cluster.check()
    (given,) = [given for asked, given in cluster.asked() if " create " in asked]
    made = {each["metadata"]["name"].split("-")[1] + each["kind"]: each
            for each in json.loads(given)["items"]}  # fmt: skip
    spec = made["retrieverJob"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["command"] == ["python", "-m", "retriever.preflight"]
    assert container["image"] == "shop/retriever-worker:1"
    settings = {"name": "RETRIEVER_DATABASE_URL_FILE", "value": "/etc/database/url"}
    assert container["env"] == [settings]
    assert [each["name"] for each in container["volumeMounts"]] == ["database", "tmp"]
    assert [*spec["volumes"][1]] == ["name", "emptyDir"], "no disk is made for it"
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert made["imagesJob"]["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    policy = made["retrieverNetworkPolicy"]["spec"]
    assert policy["egress"] == [{"ports": [{"port": 5432}]}]
    marks = policy["podSelector"]["matchLabels"]
    assert marks.items() <= made["retrieverJob"]["spec"]["template"]["metadata"]["labels"].items()


def test_a_job_pulls_as_its_worker_s_account_does() -> None:
    account = {"kind": "ServiceAccount", "metadata": {"name": "worker"},
               "imagePullSecrets": [{"name": "of-account"}]}  # fmt: skip
    worker = workload("retriever-worker", serviceAccountName="worker")
    _, job = jobs.stores([worker, account], "shop", "1", 10)
    assert job["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "of-account"}]


def test_a_job_runs_on_the_nodes_of_its_worker_after_its_policy_is_there() -> None:
    place = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "shop"}],
        "affinity": {"x": 1},
    }
    policy, job = jobs.stores([workload("retriever-worker", **place)], "shop", "1", 10)
    assert (policy["kind"], job["kind"]) == ("NetworkPolicy", "Job")
    assert place.items() <= job["spec"]["template"]["spec"].items()


def test_jobs_that_can_not_be_deleted_are_named_with_how(cluster: Cluster) -> None:
    done = cluster.check(**{"delete": ["", "connection lost"]})
    assert done.exit_code == 0
    assert "connection lost" in done.stderr
    assert "kubectl -n shop delete job,networkpolicy -l sightline/preflight" in done.stderr


def test_jobs_can_be_printed_for_who_applies_them_otherwise(cluster: Cluster) -> None:
    done = cluster.check("--print-jobs")
    assert {each["kind"] for each in json.loads(done.stdout)["items"]} == {"Job", "NetworkPolicy"}
    assert [asked[:5] for asked, _ in cluster.asked()] == ["patch"]


def test_a_cluster_that_does_not_answer_is_one_sentence(cluster: Cluster) -> None:
    done = cluster.check(version=["", "The connection to the server 10.0.0.1:6443 was refused"])
    assert done.exit_code == 1
    assert "10.0.0.1:6443 was refused" in done.stderr


@pytest.mark.parametrize(
    ("number", "call"),
    [(signal.SIGTERM, "get pods"), (signal.SIGINT, "get pods"), (signal.SIGINT, "create ")],
)
def test_a_command_that_is_ended_leaves_nothing(
    cluster: Cluster, number: signal.Signals, call: str
) -> None:
    """Send a signal to all processes of the terminal while a call is under way."""
    cluster.answer(**{"get pods": items(pod("retriever", "Pending")), call: [*GOOD[call], "held"]})
    source = cluster.folder / "all.json"
    source.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": WANTED}))
    process = subprocess.Popen(
        [*PROGRAM, "preflight", str(source)], start_new_session=True, stderr=subprocess.PIPE
    )
    held, end = cluster.folder / "held", time.monotonic() + SECONDS
    while not (held.exists() and call in held.read_text()) and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(process.pid, number)
    process.poll()
    (cluster.folder / "go").touch()
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number, said
    assert b"Traceback" not in said
    assert "delete job,networkpolicy" in cluster.asked()[-1][0]
    if call == "create ":
        assert held.read_text().endswith("ended"), "create was not cut off"

"""Policies as a cluster enforces them: connections, Pod Security, rights, secrets."""

from __future__ import annotations

import json
from typing import Final

from tests.chaos.model import Report
from tests.cluster.kube import NAMESPACE, Kube, ready, until
from tests.cluster.parts.medium import install
from tests.cluster.parts.stage import Stage
from tests.contracts.k8s import ARROWS, Document, of, overlay, pod

POD_SECONDS: Final = 120
QUOTA_MEMORY: Final = "10Gi"
"""What `medium` requests, and a second pod of Triton while it is rolled out."""
TOO_MANY: Final = 15
OURS: Final = ("gateway", "embedder", "retriever", "retriever-worker", "ranker", "ranker-worker")
"""Workloads whose containers have Python."""
NEIGHBOURS: Final = {"callers": "sightline/caller", "operators": "sightline/operator", "others": ""}
"""Namespaces of pods that are not ours, and their labels."""
TARGETS: Final = {
    "gateway": (8600, 8609, 9090),
    "embedder": (8601, 9090),
    "retriever": (8602, 9090),
    "ranker": (8603, 9090),
    "triton": (8000, 8001),
    "postgres": (5432,),
    "milvus": (19530, 9091),
}
CONNECT: Final = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def there(end):
    try:
        socket.create_connection(end, timeout=2).close()
        return True
    except OSError:
        return False
ends = [(a, p) for a, p in json.loads(sys.argv[1])]
with ThreadPoolExecutor(32) as pool:
    print(json.dumps(list(pool.map(there, ends))))
"""
INSIDE: Final = """
import json, os
def writable(path):
    try:
        open(path + "/trial", "w").close()
        return True
    except OSError:
        return False
print(json.dumps({
    "token": os.path.exists("/var/run/secrets/kubernetes.io"),
    "root": writable("/") or writable("/app"),
    "user": os.getuid(),
    "secret": [name for name in os.environ if os.environ[name].count(":") > 2],
}))
"""


def policies(stage: Stage, report: Report) -> None:
    """Try what is forbidden."""
    install(stage, report)
    kube = stage.kube
    connections(kube, report)
    security(kube, report)
    rights(kube, report)
    inside(kube, report)
    quota(kube, report)


def quota(kube: Kube, report: Report) -> None:
    """Limit the namespace as deploy/k8s/README.md says, roll out, and ask for more than fits."""
    spec = {"hard": {"requests.cpu": "5", "requests.memory": QUOTA_MEMORY, "pods": "20"}}
    meta = {"name": "trial", "namespace": NAMESPACE}
    limit = {"type": "Container", "default": {"memory": "512Mi"}, "max": {"memory": "8Gi"}}
    made: list[Document] = [
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": spec},
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": {"limits": [limit]}},
    ]
    kube.apply(made)
    try:
        for name in ("triton", "gateway"):
            kube.here("rollout", "restart", f"deployment/{name}")
            kube.rolled_out(f"deployment/{name}", POD_SECONDS)
        held = kube.one("resourcequota", "trial")["status"]["used"]
        kube.here("scale", "deployment/gateway", f"--replicas={TOO_MANY}")
        until("pods are refused", lambda: "exceeded quota" in kube.here("get", "events"), 60)
        running = len(kube.pods("gateway"))
    finally:
        kube.here("scale", "deployment/gateway", "--replicas=1")
        kube.here("delete", "resourcequota,limitrange", "trial")
    report.add(
        f"a quota of {QUOTA_MEMORY} of memory has room for roll-outs, and refuses what exceeds it",
        running < TOO_MANY,
        f"used {held['requests.memory']}; {running} of {TOO_MANY} pods of the gateway",
    )


def connections(kube: Kube, report: Report) -> None:
    """Try every connection between pods, and compare with those that the settings name."""
    for name, label in NEIGHBOURS.items():
        neighbour(kube, name, label)
    ends = {
        (target, port): kube.pods(target)[0]["status"]["podIP"]
        for target, ports in TARGETS.items()
        for port in ports
    }
    wrong, tried = [], 0
    for source in (*OURS, *NEIGHBOURS):
        others = [(target, port) for target, port in ends if target != source]
        given = json.dumps([(ends[each], each[1]) for each in others])
        place = (
            ("--namespace", source, "exec", "pod/trial")
            if source in NEIGHBOURS
            else ("--namespace", NAMESPACE, "exec", f"deployment/{source}", f"--container={source}")
        )
        said = kube.ask(*place, "--", "python", "-c", CONNECT, given)
        for (target, port), open_ in zip(others, json.loads(said), strict=True):
            tried += 1
            if open_ != allowed(source, target, port):
                wrong.append(f"{source} → {target}:{port} {'open' if open_ else 'closed'}")
    report.add(
        "the network is open for the connections that settings name, and closed for all others",
        not wrong,
        f"{tried} connections tried; wrong: {', '.join(wrong) or 'none'}",
    )
    for name in NEIGHBOURS:
        kube.ask("delete", "namespace", name, "--wait=false")


def allowed(source: str, target: str, port: int) -> bool:
    """Return whether a connection is one of ARROWS."""
    known = "stores" if target in {"postgres", "milvus"} else target
    return (source, known, port) in ARROWS


def neighbour(kube: Kube, name: str, label: str) -> None:
    """Run a pod of the gateway's image, idle, in a namespace of its own."""
    kube.ask("create", "namespace", name)
    if label:
        kube.ask("label", "namespace", name, f"{label}=true")
    here = ("--namespace", name, "get", "serviceaccount/default")
    until("a service account", lambda: kube.call(*here).returncode == 0, POD_SECONDS)
    kept = pod(overlay("medium"), "gateway")
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": kept["securityContext"],
        "containers": [
            {
                "name": "trial",
                "image": kept["containers"][0]["image"],
                "imagePullPolicy": "Never",
                "command": ["python", "-c", "import time; time.sleep(3600)"],
                "securityContext": kept["containers"][0]["securityContext"],
            }
        ],
    }
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial", "namespace": name}}
    kube.apply([{**made, "spec": spec}])
    until(f"a pod in {name}", lambda: ready(kube.one("pod", "trial", name)), POD_SECONDS)


def security(kube: Kube, report: Report) -> None:
    """Ask for a pod with rights, in the suite's namespace."""
    wrong = []
    for name, context in (
        ("privileged", {"privileged": True}),
        ("root", {"runAsUser": 0}),
        ("without a seccomp profile", {}),
    ):
        made: Document = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "intruder", "namespace": NAMESPACE},
            "spec": {"containers": [{"name": "x", "image": "busybox", "securityContext": context}]},
        }
        done = kube.call("apply", "--dry-run=server", "--filename=-", given=json.dumps(made))
        if done.returncode == 0 or "PodSecurity" not in done.stderr:
            wrong.append(name)
    report.add("pods beyond Pod Security restricted are refused", not wrong, f"accepted: {wrong}")


def rights(kube: Kube, report: Report) -> None:
    """Ask what each service account may do."""
    accounts = of(overlay("medium"), "ServiceAccount")
    wrong = []
    for name in accounts:
        account = f"system:serviceaccount:{NAMESPACE}:{name}"
        for verb, kind in (("get", "secrets"), ("list", "pods"), ("create", "pods")):
            done = kube.call(
                "--namespace", NAMESPACE, "auth", "can-i", verb, kind, f"--as={account}"
            )
            if done.stdout.strip() != "no":
                wrong.append(f"{name} may {verb} {kind}")
    said = f"{len(accounts)} accounts; {', '.join(wrong) or 'none may'}"
    report.add("no service account may read secrets or list pods", not wrong, said)


def inside(kube: Kube, report: Report) -> None:
    """Check user, token and root file system in each of our containers."""
    wrong = []
    for name in OURS:
        place = ("--namespace", NAMESPACE, "exec", f"deployment/{name}", f"--container={name}")
        found = json.loads(kube.ask(*place, "--", "python", "-c", INSIDE))
        if found["token"] or found["root"] or found["user"] == 0:
            wrong.append(f"{name}: {found}")
    said = "; ".join(wrong) or f"{len(OURS)} workloads"
    name = "no token of Kubernetes, no root, no writable root file system in any container"
    report.add(name, not wrong, said)

"""`sightline preflight` on a cluster that lacks everything, one that has it, and without rights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.chart import overlays
from tests.chaos.model import Report
from tests.cluster.kube import NAMESPACE, Kube, until
from tests.cluster.node import NODE
from tests.cluster.parts.alone import place
from tests.cluster.parts.medium import install
from tests.cluster.parts.overlays import PAUSE
from tests.cluster.parts.production import secret_of
from tests.cluster.parts.stage import Stage
from tests.cluster.standins.volumes import CLASS
from tests.contracts.k8s import K8S, OWN, kubectl, main

GPU: Final = "nvidia.com/gpu"
GIVEN: Final = {
    "RETRIEVER_DATABASE_URL": "postgresql+psycopg://retriever:x@db.shop.example:5432/retriever",
    "RANKER_DATABASE_URL": "postgresql+psycopg://ranker:x@db.shop.example:5432/ranker",
    "MILVUS_TOKEN": "user:password",
}
SECONDS: Final = 120
REGISTRY: Final = "127.0.0.1:1/sightline"
"""Refuses each connection at once."""
UNKNOWN: Final = "not checked"
Results = list[dict[str, Any]]


def preflight(stage: Stage, report: Report) -> None:
    """Run it for the overlay of a first install, and for `medium`, where that is installed."""
    stage.clear()
    lacking(stage, report)
    stage.define()
    place(stage.kube, NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    stage.secrets(GIVEN)
    stage.kube.apply([secret_of("gateway-keys", {"keys.toml": b"# of nobody\n"})])
    with gpu(stage.kube):
        present(stage, report)
    without_rights(stage, report)
    stage.clear()
    install(stage, report)
    code, results = run(stage.kube, "medium")
    report.add(
        "preflight of an installation that runs: images, ports, databases and Milvus pass",
        code == 0
        and {"image", "port", "database", "milvus"} <= {each["check"] for each in results},
        sentence(results),
    )


def lacking(stage: Stage, report: Report) -> None:
    """Check what it says of a cluster without operators, storage class, GPUs and namespace."""
    kube = stage.kube
    kube.ask("delete", "customresourcedefinitions", "--all", "--timeout=60s")
    kube.ask("delete", "storageclass", CLASS, "--ignore-not-found")
    code, results = run(kube, OWN)
    lost = {each["check"] for each in results if each["outcome"] == "failed"}
    fixes = [each for each in results if each["outcome"] != "passed" and not each["fix"]]
    report.add(
        "preflight of an empty cluster: each lack is named with its fix, and no Job is made",
        code == 1 and lost == {"kind", "storage", "gpu", "namespace", "secret"} and not fixes,
        sentence(results),
    )


def present(stage: Stage, report: Report) -> None:
    """Check that all but images passes where all but images is there, and that nothing is left."""
    documents = overlays.rendered({**overlays.installation(), "registry": REGISTRY})
    image = main(documents, "gateway")["image"]
    stage.node.ctr("images", "tag", "--force", PAUSE, image)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump_all(documents, file)
        file.flush()
        code, results = run(stage.kube, file.name)
    failed = [each for each in results if each["outcome"] == "failed"]
    images = {each["subject"]: each["outcome"] for each in results if each["check"] == "image"}
    held = {each["check"] for each in failed} == {"image"} and images[image] == "passed"
    report.add(
        "preflight without a registry: each image that can't be pulled is named, the rest passes",
        code == 1 and held and len(images) == 7,
        sentence(results),
    )
    left = stage.kube.here(
        "get", "jobs,networkpolicies,pods", "--selector=sightline/preflight", "-o", "name"
    )
    until("its pods are gone", lambda: not stage.kube.items("pods"), SECONDS)
    report.add("preflight leaves nothing", "job" not in left and "networkpolicy" not in left, left)


def without_rights(stage: Stage, report: Report) -> None:
    """Run it as a ServiceAccount that may do nothing."""
    kube = stage.kube
    kube.ask("--namespace", "default", "create", "serviceaccount", "nobody")
    token = kube.ask("--namespace", "default", "create", "token", "nobody").strip()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "kubeconfig"
        config.write_bytes(kube.config.read_bytes())
        other = Kube(config)
        cluster = json.loads(other.ask("config", "view", "--output=json"))["clusters"][0]["name"]
        other.ask("config", "set-credentials", "nobody", f"--token={token}")
        other.ask("config", "set-context", "nobody", f"--cluster={cluster}", "--user=nobody")
        code, results = run(other, OWN, "--context", "nobody")
    unknown = {
        each["check"]: each["problem"] for each in results if each["outcome"] == "not checked"
    }
    held = {"storage", "gpu", "namespace", "secret", "image"} <= set(unknown)
    named = all("you lack the right" in each for each in unknown.values())
    failed = [each for each in results if each["outcome"] == "failed"]
    report.add(
        "preflight without rights: each missing right is named, nothing failed",
        code == 3 and held and named and not failed,
        "; ".join(sorted(set(unknown.values()))),
    )
    kube.ask("--namespace", "default", "delete", "serviceaccount", "nobody")


def run(kube: Kube, source: str, *arguments: str) -> tuple[int, Results]:
    """Return the exit code and the results of the command for an overlay, or a file."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kubectl").symlink_to(kubectl())
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("sightline"), "preflight"),
                *(K8S / "overlays" / source, "--json", f"--timeout={SECONDS}", *arguments),
            ],
            env={
                **os.environ,
                "KUBECONFIG": str(kube.config),
                "PATH": f"{folder}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    return done.returncode, json.loads(done.stdout)["results"] if done.stdout else [
        {"check": "", "outcome": "failed", "subject": "", "problem": done.stderr, "fix": ""}
    ]


@contextmanager
def gpu(kube: Kube) -> Iterator[None]:
    """Have the node say during the block that it has a GPU."""
    path = f"/status/capacity/{GPU.replace('/', '~1')}"
    patch = ("patch", "node", NODE, "--subresource=status", "--type=json")
    kube.ask(*patch, "--patch", json.dumps([{"op": "add", "path": path, "value": "1"}]))
    until(
        "the GPU is allocatable",
        lambda: kube.one("node", NODE, "")["status"]["allocatable"].get(GPU) == "1",
        SECONDS,
    )
    yield
    kube.ask(*patch, "--patch", json.dumps([{"op": "remove", "path": path}]))


def sentence(results: Results) -> str:
    """Return how many checks passed, failed and were not made, and which failed."""
    counts = [
        sum(each["outcome"] == outcome for each in results)
        for outcome in ("passed", "failed", UNKNOWN)
    ]
    lost = sorted({each["check"] for each in results if each["outcome"] == "failed"})
    why = {each["problem"][:90] for each in results if each["outcome"] == UNKNOWN}
    return (
        f"{counts[0]} passed, {counts[1]} failed ({', '.join(lost)}),"
        f" {counts[2]} not checked ({'; '.join(sorted(why))})"
    )

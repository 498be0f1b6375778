"""The Kubernetes base and overlays as documents, and lookups in them."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.tools import tool

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = sorted(each.parent.name for each in K8S.glob("overlays/*/kustomization.yaml"))
COMPONENTS = sorted(each.parent.name for each in K8S.glob("components/*/kustomization.yaml"))
WHOLE = ["small", "medium", "staging", "prod", "example", "production-own-milvus"]
"""Overlays that are an installation."""
OWN = "production-own-milvus"
"""The overlay of a first production install."""
LEFT_OUT = [
    *("shared-claims", "spaces", "gpu", "http", "kafka-events", "agents", "console", "vision"),
]
"""Components of which no installation has everything."""
ALONE = {
    "gateway": ["gateway"],
    "embedder": ["embedder", "triton"],
    "retriever": ["retriever", "retriever-worker"],
    "ranker": ["ranker", "ranker-worker", "ranker-train"],
}
"""The workloads of overlays that are one service."""
OLDEST = "1.30"
"""The sleep of preStop came with it."""

SERVED = {
    "gateway": (8600, "sightline.gateway.v1.RecommendationService"),
    "embedder": (8601, "sightline.embedder.v1.EmbeddingService"),
    "retriever": (8602, "sightline.retriever.v1.ProductService"),
    "ranker": (8603, "sightline.ranker.v1.RankingService"),
}
WORKERS = {"retriever-worker": "retriever.worker", "ranker-worker": "ranker.worker"}
ADDED = {"vision": (8605, "sightline.gateway.v1.WatchService")}
"""The service of a component, with its port and what it is asked for, as SERVED."""
SERVERS = {**SERVED, **ADDED}
OURS = [*SERVED, *WORKERS]
WORKLOADS = [*OURS, "triton"]
TIMED = ["ranker-train"]
"""CronJobs."""
COPYING = ["retriever-backups", "ranker-backup"]
"""CronJobs of components/backups."""
ONCE = ["retriever-migrate", "ranker-migrate"]
"""Jobs: once a release, which their own names end with."""
PODS = [*WORKLOADS, *TIMED, *ONCE]
TOGETHER = "all"
"""The Deployment of components/one-process, in which all of SERVED run."""
STORES = ["postgres", "milvus"]
"""StatefulSets of overlays that bring their stores along."""

ARROWS = {
    ("callers", "gateway", 8600),
    ("operators", "gateway", 8609),
    ("gateway", "embedder", 8601),
    ("gateway", "retriever", 8602),
    ("gateway", "ranker", 8603),
    ("retriever", "embedder", 8601),
    ("retriever-worker", "embedder", 8601),
    ("embedder", "retriever", 8602),
    ("ranker", "retriever", 8602),
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
    ("retriever-migrate", "stores", 5432),
    ("ranker-migrate", "stores", 5432),
}
"""The only allowed connections: caller, peer, port."""

Document = dict[str, Any]


def kubectl() -> str:
    """Return KUBECTL, else the one of `make tools`, else the system's."""
    return os.environ.get("KUBECTL") or tool("kubectl")


def render(folder: Path) -> list[Document]:
    """Return the documents that `kubectl apply -k` would send."""
    done = subprocess.run(
        [kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr, done.stderr
    return [each for each in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if each]


@functools.cache
def overlay(name: str) -> list[Document]:
    """Return one of OVERLAYS, or the base, rendered once: copy a document before changing it."""
    return render(K8S / name if name == "base" else K8S / "overlays" / name)


def nowhere() -> list[str]:
    """Return the components that no overlay uses."""
    named = "".join(each.read_text() for each in K8S.glob("overlays/*/kustomization.yaml"))
    taken = re.findall(r"^ *- \.\./\.\./components/([\w-]+)", named, re.MULTILINE)
    return sorted(set(COMPONENTS) - set(taken))


OPTIONAL = "optional"
FOLDERS = {
    "vision": [
        f"vision/{each}"
        for each in (
            *("object-store", "production", "certificates", "tracing", "backups", "autoscaling"),
            "webhooks",
        )
    ]
}
"""Folders of a component that suit prod, after it."""


@functools.cache
def installed(name: str) -> list[Document]:
    """Return one of OVERLAYS; for OPTIONAL, prod with all components that no overlay uses."""
    if name != OPTIONAL:
        return overlay(name)
    names = [each for name in nowhere() for each in (name, *FOLDERS.get(name, ()))]
    return with_components(*names, bases=("overlays/prod",))


@functools.cache
def with_components(*names: str, bases: tuple[str, ...] = ("base",)) -> list[Document]:
    """Return the base, or other folders, with some of the components; cached as `overlay` is."""
    with tempfile.TemporaryDirectory() as folder:
        up = os.path.relpath(K8S, Path(folder).resolve())
        wanted = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{up}/{name}" for name in bases],
            "components": [f"{up}/components/{name}" for name in names],
        }
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
        return render(Path(folder))


def added(folder: Path, lines: str, to: str = "prod") -> list[Document]:
    """Return an existing overlay with additional lines, such as a page shows."""
    copied = shutil.copytree(K8S, folder / "k8s")
    shutil.copytree(K8S.parent / "monitoring", folder / "monitoring")
    (yours := copied / "overlays" / "yours").mkdir()
    (yours / "kustomization.yaml").write_text(f"resources: [../{to}]\n{lines}")
    return render(yours)


def of(documents: list[Document], kind: str) -> dict[str, Document]:
    """Return the documents of a kind by name."""
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == kind}


def running(documents: list[Document], name: str) -> str:
    """Return the workload in which a service or another process runs."""
    made = of(documents, "Deployment")
    return TOGETHER if name in SERVED and name not in made and TOGETHER in made else name


def template(documents: list[Document], name: str) -> Document:
    """Return the pod template of a workload, or of that in which a service runs."""
    name = running(documents, name)
    if name in ONCE:
        once: Document = job(documents, name)["spec"]["template"]
        return once
    timed = name in of(documents, "CronJob")
    kind = "CronJob" if timed else "StatefulSet" if name in STORES else "Deployment"
    spec = of(documents, kind)[name]["spec"]
    found: Document = (spec["jobTemplate"]["spec"] if timed else spec)["template"]
    return found


def pod(documents: list[Document], name: str) -> Document:
    found: Document = template(documents, name)["spec"]
    return found


def pods(documents: list[Document]) -> list[str]:
    """Return the names of the workloads."""
    there = [*of(documents, "Deployment"), *of(documents, "StatefulSet"), *of(documents, "CronJob")]
    return sorted(there)


def job(documents: list[Document], name: str) -> Document:
    """Return a Job by its name without the release."""
    (found,) = (one for full, one in of(documents, "Job").items() if full.startswith(f"{name}-"))
    return found


def containers(spec: Document) -> list[Document]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def main(documents: list[Document], name: str) -> Document:
    """Return a workload's own container."""
    own = running(documents, name)
    found: Document
    (found,) = (each for each in pod(documents, name)["containers"] if each["name"] == own)
    return found


def settings_of(documents: list[Document], name: str) -> dict[str, str]:
    """Return the content of the ConfigMaps from which a workload takes its environment."""
    maps = of(documents, "ConfigMap")
    found: dict[str, str] = {}
    for source in main(documents, name).get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]["data"]
    return found

"""The Kubernetes base as documents, and what is looked up in them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

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
ONCE = ["retriever-migrate", "ranker-migrate"]
"""Jobs: once a release, which their own names end with."""
PODS = [*WORKLOADS, *TIMED, *ONCE]

ARROWS = {
    ("callers", "gateway", 8600),
    ("operators", "gateway", 8609),
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
    ("retriever-migrate", "stores", 5432),
    ("ranker-migrate", "stores", 5432),
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


def with_components(folder: Path, *names: str) -> list[Document]:
    """The base with some of the components, made in `folder`."""
    copied = shutil.copytree(K8S, folder / "k8s")
    overlay = copied / "overlays" / "with-components"
    overlay.mkdir()
    wanted = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../base"],
        "components": [f"../../components/{name}" for name in names],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    return render(overlay)


def of(documents: list[Document], kind: str) -> dict[str, Document]:
    """The documents of a kind by name."""
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == kind}


def pod(documents: list[Document], name: str) -> Document:
    if name in TIMED:
        timed = of(documents, "CronJob")[name]["spec"]["jobTemplate"]["spec"]
        return dict(timed["template"]["spec"])
    if name in ONCE:
        return dict(job(documents, name)["spec"]["template"]["spec"])
    spec: Document = of(documents, "Deployment")[name]["spec"]["template"]["spec"]
    return spec


def job(documents: list[Document], name: str) -> Document:
    """A Job by its name without the release."""
    (found,) = (one for full, one in of(documents, "Job").items() if full.startswith(f"{name}-"))
    return found


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

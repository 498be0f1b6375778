"""The cluster of a run, and the installation that most parts share."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import yaml

from sightline_client import SightlineClient
from tests.chaos.model import NotMeasured
from tests.cluster.kube import NAMESPACE, Kube
from tests.cluster.node import SUBNET, Node, hub
from tests.cluster.standins.definitions import definitions
from tests.cluster.standins.volumes import storage_class
from tests.contracts.k8s import K8S, OVERLAYS, Document, overlay, render

START_SECONDS = 900
SERVING = ("gateway", "embedder", "retriever", "ranker", "triton")
"""Workloads whose pods take part in answers."""
LESS_CPU = [
    {
        "target": {"kind": kind},
        "patch": f"- {{ op: replace, path: {path}, value: 20m }}",
    }
    for kind, path in (
        ("Deployment", "/spec/template/spec/containers/0/resources/requests/cpu"),
        ("StatefulSet", "/spec/template/spec/containers/0/resources/requests/cpu"),
        (
            "CronJob",
            "/spec/jobTemplate/spec/template/spec/containers/0/resources/requests/cpu",
        ),
    )
]
"""Patches for a node of two cores: requests of processor time, nothing else."""


@dataclass(slots=True)
class Stage:
    """Node, images, and what is installed so far."""

    node: Node
    tars: Sequence[Path]
    installed: bool = False
    open: bool = False
    """True once the wines and a model are loaded."""
    written: int = 0
    """The number of the next write of a part."""
    token: str | None = None
    credentials: grpc.ChannelCredentials | None = None
    """Those of clients; None: the gateway requires none."""

    @property
    def kube(self) -> Kube:
        return self.node.kube

    def load_images(self, *wanted: str) -> None:
        """Give the node the images of the tars. Raise NotMeasured if one of `wanted` is missing."""
        for tar in self.tars:
            self.node.load(tar)
        there = self.node.images()
        missing = [each for each in wanted if hub(each) not in there]
        if missing:
            raise NotMeasured(
                f"no image {', '.join(sorted(missing))}: make images, and name the folder of their"
                " tars in CLUSTER_IMAGES"
            )

    def define(self) -> int:
        """Make the cluster know the kinds of operators, and a storage class. Return how many."""
        made = definitions(each for name in OVERLAYS for each in overlay(name))
        self.kube.apply([*made, storage_class()])
        for each in made:
            name = each["metadata"]["name"]
            self.kube.ask("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")
        return len(made)

    def clear(self) -> None:
        """Delete the installation, volumes included."""
        self.kube.ask(
            *("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=170s"), seconds=240
        )
        self.installed = self.open = False
        self.token = self.credentials = None

    def client(self, service: str, port: int, **options: float) -> SightlineClient:
        """Return a client of a Service, by the cluster's names: NAME, or NAME.NAMESPACE."""
        name = service if "." in service else f"{service}.{NAMESPACE}"
        target = f"dns://{SUBNET}.1:53/{name}.svc.cluster.local:{port}"
        return SightlineClient(target, token=self.token, credentials=self.credentials, **options)

    def secrets(self, given: Mapping[str, str] = MappingProxyType({})) -> str:
        """Create the Secrets as the README says, and return kubectl's output. `given`: variables
        of secrets.sh."""
        made = subprocess.run(
            [K8S / "secrets.sh"],
            env={**os.environ, **given},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        done = self.kube.call("create", "--filename=-", given=made)
        if done.returncode and "AlreadyExists" not in done.stderr:
            raise NotMeasured(done.stderr)
        return done.stdout


def images(documents: Sequence[Document]) -> set[str]:
    """Return the images that documents name."""
    found: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(image := value.get("image"), str):
                found.add(image)
            for each in value.values():
                look(each)
        elif isinstance(value, list):
            for each in value:
                look(each)

    look(list(documents))
    return found


def rendered(name: str, **more: Any) -> list[Document]:
    """Return an overlay with lower CPU requests, and with further fields of a kustomization."""
    with tempfile.TemporaryDirectory() as folder:
        return render(written(Path(folder), name, **more))


def written(folder: Path, name: str, **more: Any) -> Path:
    """Write the kustomization that `rendered` builds into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    up = os.path.relpath(K8S, folder.resolve())
    wanted = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{up}/overlays/{name}"],
        **more,
        "components": [f"{up}/components/{each}" for each in more.get("components", ())],
        "patches": [*LESS_CPU, *more.get("patches", ())],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    return folder

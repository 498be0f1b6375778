"""An installation of a third party: its own namespace, registry, PostgreSQL and Milvus, and a proxy
in front. An overlay of it has no GPU, no certificates and no buckets, unlike that of the first
production install, which needs more than this cluster has."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from tests.chaos.model import NotMeasured, Report
from tests.cluster.kube import Kube, ready, until
from tests.cluster.node import SUBNET, hub
from tests.cluster.parts.alone import place, stores
from tests.cluster.parts.medium import first_answer
from tests.cluster.parts.stage import LESS_CPU, Stage, images
from tests.contracts.k8s import K8S, Document, kubectl, main, pod, render

NAMESPACE: Final = "shop"
PLACES: Final = {"postgres": "databases", "milvus": "stores"}
OVERLAY: Final = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: shop
resources: [../../base]
components: [../../components/single-node-claims, ../../components/postgres-uri]
images:
  - { name: sightline/gateway, newName: registry.example.com/shop/gateway }
  - { name: sightline/embedder, newName: registry.example.com/shop/embedder }
  - { name: sightline/retriever, newName: registry.example.com/shop/retriever }
  - { name: sightline/ranker, newName: registry.example.com/shop/ranker }
  - { name: sightline/ranker-train, newName: registry.example.com/shop/ranker-train }
  - { name: sightline/models, newName: registry.example.com/shop/models }
  - { name: sightline/triton, newName: registry.example.com/shop/triton }
patches:
  - target: { kind: NetworkPolicy, name: postgres-uri }
    patch: |
      - { op: replace, path: /spec/egress/0/to/0/ipBlock/cidr, value: SUBNET }
  - target: { kind: ConfigMap, name: (retriever|retriever-worker) }
    patch: |
      - { op: replace, path: /data/RETRIEVER_MILVUS_URI, value: "http://milvus.stores:19530" }
"""
COMMANDS: Final = """
kubectl apply -k deploy/k8s/overlays/yours
deploy/k8s/secrets.sh | kubectl create -f -
kubectl label namespace web sightline/caller=true
kubectl label namespace stores sightline/stores=true
kubectl -n shop wait --for=condition=Available deployment --all --timeout=15m
"""
PROXY_SECONDS: Final = 120
PROXY: Final = """
import asyncio
async def pipe(source, sink):
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.close()
async def forward(reader, writer):
    there = await asyncio.open_connection("gateway.shop.svc.cluster.local", 8600)
    await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer), return_exceptions=True)
async def serve():
    await (await asyncio.start_server(forward, "0.0.0.0", 8600)).serve_forever()
asyncio.run(serve())
"""


def thirdparty(stage: Stage, report: Report) -> None:
    """Install it by its commands, and ask through the proxy."""
    stage.clear()
    kube = stage.kube
    place(kube, "web")
    given = stores(stage, **PLACES)
    with tempfile.TemporaryDirectory() as folder:
        documents = rendered(Path(folder))
        tag(stage, documents)
        began = time.monotonic()
        run(kube, Path(folder), given)
    proxy(kube, documents)
    products = asyncio.run(first_answer(stage, "proxy.web", f"gateway-admin.{NAMESPACE}"))
    report.add(
        "the overlay of manifests.md: its own namespace, registry and stores, a proxy in front",
        products > 0,
        f"{time.monotonic() - began:.0f} s; {products} products in the answer",
    )
    for each in (NAMESPACE, "web", *PLACES.values()):
        kube.ask("delete", "namespace", each, "--timeout=170s", seconds=240)


def rendered(folder: Path) -> list[Document]:
    """Write the overlay, with the pods' network for PostgreSQL's and lower requests of processor
    time. Return its documents."""
    copied = shutil.copytree(K8S, folder / "deploy/k8s")
    shutil.copytree(K8S.parent / "monitoring", folder / "deploy/monitoring")
    (yours := copied / "overlays/yours").mkdir()
    made = yaml.safe_load(OVERLAY.replace("SUBNET", f"{SUBNET}.0/24"))
    made["patches"] += LESS_CPU
    (yours / "kustomization.yaml").write_text(yaml.safe_dump(made))
    return render(yours)


def tag(stage: Stage, documents: list[Document]) -> None:
    """Give the node our images under the names of the third party's registry."""
    wanted = {name: re.sub(r".*/shop/", "sightline/", name) for name in images(documents)}
    stage.load_images(*wanted.values())
    for name, ours in wanted.items():
        stage.node.ctr("images", "tag", "--force", hub(ours), name)


def run(kube: Kube, folder: Path, given: Mapping[str, str]) -> None:
    """Run the commands, with addresses and passwords that exist. Raise NotMeasured."""
    (folder / "bin").mkdir()
    (folder / "bin/kubectl").symlink_to(kubectl())
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", COMMANDS],
        cwd=folder,
        env={
            **os.environ,
            **given,
            "NAMESPACE": NAMESPACE,
            "PATH": path,
            "KUBECONFIG": str(kube.config),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotMeasured(f"its commands: {done.stderr.strip()[-600:]}")


def proxy(kube: Kube, documents: list[Document]) -> None:
    """Run a program that forwards connections to the gateway, in a namespace of callers."""
    meta = {"name": "proxy", "namespace": "web"}
    spec = {
        "automountServiceAccountToken": False,
        "securityContext": pod(documents, "gateway")["securityContext"],
        "containers": [
            {
                "name": "proxy",
                "image": main(documents, "gateway")["image"],
                "command": ["python", "-c", PROXY],
                "readinessProbe": {"tcpSocket": {"port": 8600}, "periodSeconds": 1},
            }
        ],
    }
    ports = [{"name": "grpc", "port": 8600}]
    served = {"clusterIP": "None", "selector": {"app": "proxy"}, "ports": ports}
    kube.apply(
        [
            {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": served},
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {**meta, "labels": {"app": "proxy"}},
                "spec": spec,
            },
        ]
    )
    until("the proxy", lambda: ready(kube.one("pod", "proxy", "web")), PROXY_SECONDS)

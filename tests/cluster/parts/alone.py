"""Each service by its own overlay, with PostgreSQL and Milvus in a namespace of their own."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Final

from tests.chaos.model import Report
from tests.cluster.kube import Kube, until
from tests.cluster.parts.medium import first_answer
from tests.cluster.parts.stage import Stage, images, rendered
from tests.contracts.k8s import Document, of

ORDERS: Final = (
    ("gateway", "ranker", "retriever", "embedder"),
    ("embedder", "retriever", "ranker", "gateway"),
)
"""Callers before those that they call, and the other way round."""
STORES: Final = "milvus"
"""The namespace in which the base expects Milvus."""
ROLL_SECONDS: Final = 300


def alone(stage: Stage, report: Report) -> None:
    """Install the services one after another, roll them out in another order, and ask."""
    stage.clear()
    documents = {name: rendered(name) for name in ORDERS[0]}
    stage.load_images(*(each for some in documents.values() for each in images(some)))
    stage.define()
    place(stage.kube, STORES, "sightline/stores=true")
    given = stores(stage, postgres=STORES, milvus=STORES)
    for number, order in enumerate(ORDERS):
        began = time.monotonic()
        for name in order:
            stage.kube.apply([again(each, number) for each in documents[name]])
            if number == 0:
                stage.secrets(given)
            for each in of(documents[name], "Deployment"):
                stage.kube.rolled_out(f"deployment/{each}", ROLL_SECONDS)
        took = time.monotonic() - began
        products = asyncio.run(first_answer(stage))
        report.add(
            f"by their own overlays, {', '.join(order)}: each alone becomes Available",
            products > 0,
            f"{took:.0f} s; {products} products in the answer",
        )
    stage.clear()
    stage.kube.ask("delete", "namespace", STORES, "--timeout=120s")


def again(document: Document, number: int) -> Document:
    """Return a Deployment whose pods are replaced; other documents are returned as they are."""
    if document["kind"] != "Deployment" or not number:
        return document
    copied: Document = json.loads(json.dumps(document))
    copied["spec"]["template"]["metadata"]["annotations"] = {"sightline/trial": str(number)}
    return copied


def stores(stage: Stage, **places: str) -> Mapping[str, str]:
    """Run the PostgreSQL and Milvus of `medium`, each in the namespace of `places`. Return what
    deploy/k8s/secrets.sh reads from its environment."""
    root, own = secrets.token_hex(24), rendered("medium")
    guarded = {"authorizationEnabled": True, "defaultRootPassword": root}
    urls = {
        name: f"postgresql+psycopg://{name}:{secrets.token_hex(24)}"
        f"@postgres.{places['postgres']}:5432/{name}"
        for name in ("retriever", "ranker")
    }
    held = {
        "postgres": {
            "postgres": ("password", secrets.token_hex(24)),
            "retriever-database": ("url", urls["retriever"]),
            "ranker-database": ("url", urls["ranker"]),
        },
        "milvus": {"milvus": ("user.yaml", json.dumps({"common": {"security": guarded}}))},
    }
    for name, namespace in places.items():
        kube = stage.kube
        if kube.call("get", "namespace", namespace).returncode:
            place(kube, namespace)
        for title, (key, value) in held[name].items():
            made = ("create", "secret", "generic", title, f"--from-literal={key}={value}")
            kube.ask("--namespace", namespace, *made)
        run_store(stage, own, name, namespace)
    return {
        "RETRIEVER_DATABASE_URL": urls["retriever"],
        "RANKER_DATABASE_URL": urls["ranker"],
        "MILVUS_TOKEN": f"root:{root}",
    }


def run_store(stage: Stage, own: Sequence[Document], name: str, namespace: str) -> None:
    """Run a StatefulSet of `medium` in another namespace, open to all pods."""
    documents = [
        {**each, "metadata": {**each["metadata"], "namespace": namespace}}
        for each in own
        if each["metadata"]["name"].startswith(name) and each["kind"] != "NetworkPolicy"
    ]
    stage.load_images(*images(documents))
    stage.kube.apply(documents)
    status = ("rollout", "status", f"statefulset/{name}", f"--timeout={ROLL_SECONDS}s")
    stage.kube.ask("--namespace", namespace, *status, seconds=ROLL_SECONDS + 60)


def place(kube: Kube, namespace: str, *labels: str) -> None:
    """Create a namespace with labels, and wait until pods may be created in it."""
    kube.ask("create", "namespace", namespace)
    if labels:
        kube.ask("label", "namespace", namespace, *labels)
    account = ("--namespace", namespace, "get", "serviceaccount/default")
    until("a service account", lambda: kube.call(*account).returncode == 0, 60)

"""Each service by its own overlay, with PostgreSQL and Milvus in a namespace of their own."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from typing import Final

from tests.chaos.model import Report
from tests.cluster.kube import Kube, until
from tests.cluster.parts.small import first_answer
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
    given = stores(stage, STORES)
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


def stores(stage: Stage, namespace: str) -> Mapping[str, str]:
    """Run the PostgreSQL and Milvus of `small` in another namespace. Return what
    deploy/k8s/secrets.sh reads from its environment."""
    root = secrets.token_hex(24)
    guarded = {"authorizationEnabled": True, "defaultRootPassword": root}
    urls = {
        name: f"postgresql+psycopg://{name}:{secrets.token_hex(24)}@postgres.{namespace}:5432/{name}"
        for name in ("retriever", "ranker")
    }
    held = {
        "postgres": ("password", secrets.token_hex(24)),
        "retriever-database": ("url", urls["retriever"]),
        "ranker-database": ("url", urls["ranker"]),
        "milvus": ("user.yaml", json.dumps({"common": {"security": guarded}})),
    }
    documents = [
        {**each, "metadata": {**each["metadata"], "namespace": namespace}}
        for each in rendered("small")
        if each["metadata"]["name"].startswith(("postgres", "milvus"))
        and each["kind"] != "NetworkPolicy"
    ]
    stage.load_images(*images(documents))
    place(stage.kube, namespace, "sightline/stores=true")
    for name, (key, value) in held.items():
        made = ("create", "secret", "generic", name, f"--from-literal={key}={value}")
        stage.kube.ask("--namespace", namespace, *made)
    stage.kube.apply(documents)
    for name in of(documents, "StatefulSet"):
        status = ("rollout", "status", f"statefulset/{name}", f"--timeout={ROLL_SECONDS}s")
        stage.kube.ask("--namespace", namespace, *status, seconds=ROLL_SECONDS + 60)
    return {
        "RETRIEVER_DATABASE_URL": urls["retriever"],
        "RANKER_DATABASE_URL": urls["ranker"],
        "MILVUS_TOKEN": f"root:{root}",
    }


def place(kube: Kube, namespace: str, *labels: str) -> None:
    """Create a namespace with labels, and wait until pods may be created in it."""
    kube.ask("create", "namespace", namespace)
    if labels:
        kube.ask("label", "namespace", namespace, *labels)
    account = ("--namespace", namespace, "get", "serviceaccount/default")
    until("a service account", lambda: kube.call(*account).returncode == 0, 60)

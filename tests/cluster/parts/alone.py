"""Each service rolled out apart, by its own overlay, in two orders."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from tests.chaos.model import Report
from tests.cluster.kube import NAMESPACE, until
from tests.cluster.parts.small import first_answer, migrated
from tests.cluster.parts.stage import START_SECONDS, Stage, images, rendered
from tests.contracts.k8s import Document, of

ORDERS: Final = (
    ("gateway", "ranker", "embedder", "retriever"),
    ("retriever", "embedder", "gateway", "ranker"),
)
STORES: Final = ("postgres", "milvus")
END_SECONDS: Final = 240


def alone(stage: Stage, report: Report) -> None:
    """Install the stores, then the services in each order, and ask; nothing is left at the end."""
    if stage.installed:
        report.miss("each service alone", "run it before the parts that install `small`")
        return
    small = rendered("small")
    stage.load_images(*images(small))
    stage.define()
    for order in ORDERS:
        try:
            took, count = installed(stage, small, order)
            name = f"services applied in the order {', '.join(order)}: an answer"
            report.add(name, count > 0, f"{took:.0f} s; {count} products in the answer")
        finally:
            stage.open = False
            stage.kube.ask("delete", "namespace", NAMESPACE, "--wait=false")
            until("the namespace is gone", lambda: gone(stage), END_SECONDS)


def installed(stage: Stage, small: Sequence[Document], order: Sequence[str]) -> tuple[float, int]:
    """Apply the overlays one after another. Return the seconds until all are available, and the
    number of products in an answer."""
    began, kube = time.monotonic(), stage.kube
    kube.apply([each for each in small if each["kind"] == "Namespace"])
    stage.secrets()
    kube.apply([each for each in small if is_of_store(each)])
    jobs = list[str]()
    for service in order:
        documents = [to_milvus(each) for each in rendered(service, replicas=one_pod(service))]
        kube.apply(documents)
        jobs += of(documents, "Job")
    kube.available(START_SECONDS)
    until("the migrations are complete", lambda: migrated(kube, jobs), 60)
    took = time.monotonic() - began
    return took, asyncio.run(first_answer(stage))


def one_pod(service: str) -> list[dict[str, object]]:
    """Return the replicas of a service for one node."""
    return [{"name": service, "count": 1}]


def is_of_store(document: Document) -> bool:
    """Return whether a document of `small` belongs to PostgreSQL or Milvus."""
    return document["metadata"]["name"].startswith(STORES)


def to_milvus(document: Document) -> Document:
    """Return a document with the address of the Milvus beside it, which an installation sets."""
    if document["kind"] == "ConfigMap" and "RETRIEVER_MILVUS_URI" in document.get("data", {}):
        data = {**document["data"], "RETRIEVER_MILVUS_URI": "http://milvus:19530"}
        return {**document, "data": data}
    return document


def gone(stage: Stage) -> bool:
    """Return whether the namespace does not exist."""
    return stage.kube.call("get", "namespace", NAMESPACE).returncode != 0

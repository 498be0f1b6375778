"""Documents of an overlay, as the rules read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.contracts.k8s import Document

LONG_RUNNING = ("Deployment", "StatefulSet", "DaemonSet")
POD_AT = {
    **dict.fromkeys((*LONG_RUNNING, "Job"), ("template",)),
    "CronJob": ("jobTemplate", "spec", "template"),
}
"""Path to the description of a kind's pods, below its spec."""


@dataclass(frozen=True)
class Workload:
    """Document that creates pods."""

    document: Document
    template: Document

    @property
    def kind(self) -> str:
        return str(self.document["kind"])

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return namespace(self.document)

    @property
    def labels(self) -> Mapping[str, str]:
        return self.template.get("metadata", {}).get("labels", {})

    @property
    def pod(self) -> Document:
        return self.template["spec"]

    @property
    def claims(self) -> set[str]:
        """Of its own, by the name of their volume."""
        templates = self.document["spec"].get("volumeClaimTemplates", ())
        return {each["metadata"]["name"] for each in templates}

    @property
    def containers(self) -> list[Document]:
        return [*self.pod.get("initContainers", ()), *self.pod["containers"]]

    def ports(self) -> Iterator[Document]:
        for container in self.containers:
            yield from container.get("ports", ())

    def port(self, wanted: str | int) -> int | None:
        """Return a container port's number, by number or name; None if the container lacks it."""
        for each in self.ports():
            if wanted in (each["containerPort"], each.get("name")):
                return int(each["containerPort"])
        return None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Cluster:
    """An overlay's documents, and those that others apply beside it, such as the other services."""

    documents: Sequence[Document]
    beside: Sequence[Document] = ()
    complete: bool = True
    """True if the overlay is complete: every called workload must be in it."""

    @property
    def every(self) -> list[Document]:
        here = {identity(each) for each in self.documents}
        return [*self.documents, *(each for each in self.beside if identity(each) not in here)]

    def of(self, *kinds: str) -> list[Document]:
        return [each for each in self.documents if each["kind"] in kinds]

    def workloads(self, *kinds: str) -> list[Workload]:
        return workloads(self.of(*(kinds or POD_AT)))

    def environment(self, container: Document) -> dict[str, str]:
        """Return the environment that a container's manifest sets, without that of its image."""
        maps = {each["metadata"]["name"]: each.get("data", {}) for each in self.of("ConfigMap")}
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            found |= maps.get(source.get("configMapRef", {}).get("name"), {})
        return found | {each["name"]: each.get("value", "") for each in container.get("env", ())}


Rule = Callable[[Cluster], Iterator[str]]


def workloads(documents: Sequence[Document]) -> list[Workload]:
    found = []
    for document in documents:
        if document["kind"] in POD_AT:
            template = document["spec"]
            for step in POD_AT[document["kind"]]:
                template = template[step]
            found.append(Workload(document, template))
    return found


def namespace(document: Document) -> str:
    return str(document["metadata"].get("namespace", ""))


def identity(document: Document) -> tuple[str, str, str]:
    return document["kind"], namespace(document), document["metadata"]["name"]


def title(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Return whether a label selector matches these labels."""
    selector = selector or {}
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    return all(_meets(each, labels) for each in selector.get("matchExpressions", ()))


def _meets(wanted: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(wanted["key"])
    match wanted["operator"]:
        case "In":
            return value in wanted["values"]
        case "NotIn":
            return value not in wanted["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(wanted["operator"])

"""What an installation's documents need of a cluster."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sightline_client.cli.work.preflight.kubectl import Document

GPU = "nvidia.com/gpu"
_TEMPLATES = {
    "Deployment": ("template",),
    "StatefulSet": ("template",),
    "Job": ("template",),
    "CronJob": ("jobTemplate", "spec", "template"),
}
"""Path of a kind's pod template below its spec."""


def namespace(documents: list[Document]) -> str:
    """Return the namespace of the gateway, or of the process of all services."""
    for each in documents:
        if each["kind"] == "Deployment" and each["metadata"]["name"] in ("gateway", "all"):
            return str(each["metadata"].get("namespace", "default"))
    return next((str(spaces) for spaces in _namespaces(documents)), "default")


def _namespaces(documents: list[Document]) -> Iterator[str]:
    return (each["metadata"].get("namespace", "") for each in documents if templates(each))


def templates(document: Document) -> Document | None:
    """Return the pod template of a document that has one."""
    found: Any = document.get("spec")
    path = _TEMPLATES.get(document["kind"])
    if path is None:
        return None
    for key in path:
        found = found[key]
    template: Document = found
    return template


def pods(documents: list[Document], where: str) -> Iterator[tuple[str, Document]]:
    """Yield the name and the pod spec of each workload in a namespace."""
    for each in documents:
        template = templates(each)
        if template is not None and each["metadata"].get("namespace", where) == where:
            yield each["metadata"]["name"], template["spec"]


def containers(pod: Document) -> list[Document]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def kinds(documents: list[Document]) -> dict[str, set[str]]:
    """Return the kinds of each version of an API group."""
    found: dict[str, set[str]] = {}
    for each in documents:
        found.setdefault(each["apiVersion"], set()).add(each["kind"])
    return found


def storage_classes(documents: list[Document]) -> set[str]:
    """Return the classes of all volumes; "" is the default class."""
    claims = [each for each in documents if each["kind"] == "PersistentVolumeClaim"]
    for each in documents:
        if template := templates(each):
            claims += each["spec"].get("volumeClaimTemplates", ())
            claims += [
                volume["ephemeral"]["volumeClaimTemplate"]
                for volume in template["spec"].get("volumes", ())
                if "ephemeral" in volume
            ]
    return {str(each["spec"].get("storageClassName") or "") for each in claims}


@dataclass(frozen=True, slots=True)
class Gpus:
    """GPUs that the pods of one workload need, and where they may run."""

    of_pod: int
    replicas: int
    labels: Mapping[str, str]
    """Labels of the nodes that take them."""


def gpus(documents: list[Document]) -> list[Gpus]:
    """Return what each workload with GPUs needs."""
    found = []
    for each in documents:
        if each["kind"] in ("Deployment", "StatefulSet"):
            pod = each["spec"]["template"]["spec"]
            one = sum(
                int(container.get("resources", {}).get("limits", {}).get(GPU, 0))
                for container in pod["containers"]
            )
            if replicas := one and int(each["spec"].get("replicas", 1)):
                found.append(Gpus(one, replicas, pod.get("nodeSelector", {})))
    return found


def images(documents: list[Document], where: str) -> list[str]:
    """Return the images of all workloads in a namespace."""
    return sorted({each["image"] for _, pod in pods(documents, where) for each in containers(pod)})


def issued(documents: list[Document]) -> set[str]:
    """Return the Secrets that cert-manager creates."""
    return {each["spec"]["secretName"] for each in documents if each["kind"] == "Certificate"}


def secrets(documents: list[Document], where: str) -> dict[str, set[str]]:
    """Return the keys of each Secret that pods can't start without, and that no document creates.

    A volume's keys are its items, else the files in it that the pod's environment names.
    """
    found: dict[str, set[str]] = {}
    for _, pod in pods(documents, where):
        for volume in pod.get("volumes", ()):
            for name, source in _held(volume):
                keys = found.setdefault(name, set())
                keys.update(each["key"] for each in source.get("items", ()))
                if "items" not in source:
                    keys.update(_files(documents, pod, volume["name"]))
    made = {each["metadata"]["name"] for each in documents if each["kind"] == "Secret"}
    return {name: keys for name, keys in found.items() if name not in issued(documents) | made}


def _held(volume: Document) -> Iterator[tuple[str, Document]]:
    """Yield the Secrets, by name, without which a volume can't be mounted."""
    parts = [each.get("secret", {}) for each in volume.get("projected", {}).get("sources", ())]
    for source in (volume.get("secret", {}), *parts):
        name = source.get("secretName") or source.get("name")
        if name and not source.get("optional"):
            yield name, source


def _files(documents: list[Document], pod: Document, volume: str) -> Iterator[str]:
    """Yield the files of a volume that environments name."""
    for container in containers(pod):
        for mount in container.get("volumeMounts", ()):
            if mount["name"] == volume:
                prefix = f"{mount['mountPath']}/"
                values = [*environment(documents, container).values(), *container.get("args", ())]
                yield from (v.removeprefix(prefix) for v in values if v.startswith(prefix))


def environment(documents: list[Document], container: Document) -> Mapping[str, str]:
    """Return the environment of a container: that of its ConfigMaps, and its own."""
    maps = {
        each["metadata"]["name"]: each.get("data", {})
        for each in documents
        if each["kind"] == "ConfigMap"
    }
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= maps.get(source.get("configMapRef", {}).get("name", ""), {})
    return found | {
        each["name"]: each["value"] for each in container.get("env", ()) if "value" in each
    }

"""Templates of the chart: documents of the overlay, in which values replace what people change."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import yaml

from deploy.chart.overlays import Document

GPU = "nvidia.com/gpu"
WIDTH = 10_000
_MARK = re.compile(r"'?@@(\d+)@@'?")
_PODS = {
    "CronJob": ("jobTemplate", "spec", "template"),
    "Deployment": ("template",),
    "Job": ("template",),
}
_STORES = {"postgres-uri": "database", "milvus-uri": "milvus", "object-store": "buckets"}
"""Network policies of a store, and the values that hold its port."""
_JOB = ".Values | toJson | sha256sum | trunc 8"
"""A Job can't be changed, so one with other values has another name."""


class Templates:
    """Makes templates; numbered marks stand in documents until they are text."""

    def __init__(self, fixed: dict[str, str]) -> None:
        """Set the placeholders of the rendered overlay, with their expressions."""
        self._fixed = {**fixed, "@@namespace@@": ".Release.Namespace", "@@job@@": _JOB}
        self._blocks: list[Callable[[int], str]] = []
        self.replicas: dict[str, int] = {}
        self.resources: dict[str, Document] = {}
        self.secrets: dict[str, str] = {}
        self.images: set[str] = set()
        self.settings: dict[str, Document] = {}
        self.accounts: dict[str, Document] = {}

    def of(self, document: Document) -> str:
        """Return the template of a document."""
        self._blocks.clear()
        self._secrets(document)
        self._claims(document)
        meta = document["metadata"]
        if "namespace" in meta:
            meta["namespace"] = "@@namespace@@"
        kind = document["kind"]
        if kind == "Certificate":
            self._certificate(document)
        elif has_settings(document):
            return self._settings(document)
        elif kind == "ServiceAccount":
            document["imagePullSecrets"] = self._block(_pull_secrets)
            self.accounts[meta["name"]] = {}
            meta["annotations"] = self._block(partial(_annotations, meta["name"]))
        elif kind == "NetworkPolicy":
            self._ports(document)
        elif kind in _PODS:
            self._workload(document)
        return self._text(document)

    def _text(self, document: Document) -> str:
        text = yaml.safe_dump(document, sort_keys=False, width=WIDTH)
        lines = [self._line(line) for line in text.replace("{{", '{{ "{{" }}').splitlines()]
        made = "\n".join(lines)
        for mark, expression in self._fixed.items():
            made = made.replace(mark, f"{{{{ {expression} }}}}")
        return made + "\n"

    def _line(self, line: str) -> str:
        """Return a line, or the block that its mark stands for."""
        found = _MARK.search(line)
        if found is None:
            return line
        key, indent = line[: found.start()], len(line) - len(line.lstrip())
        return self._blocks[int(found[1])](indent).replace("KEY", key.rstrip())

    def _block(self, write: Callable[[int], str]) -> str:
        """Return a mark for a value that `write` writes, given its key's indent; KEY is the key."""
        self._blocks.append(write)
        return f"@@{len(self._blocks) - 1}@@"

    def _value(self, expression: str) -> str:
        """Return a mark for a number or text of one line."""
        return self._block(lambda _: f"KEY {{{{ {expression} }}}}")

    def _secrets(self, part: Any) -> None:
        if isinstance(part, dict):
            for key, value in part.items():
                if key == "secretName" and isinstance(value, str):
                    part[key] = self._secret(value)
                elif key == "secret" and "name" in value:  # of a projected volume
                    value["name"] = self._secret(value["name"])
                else:
                    self._secrets(value)
        elif isinstance(part, list):
            for each in part:
                self._secrets(each)

    def _secret(self, name: str) -> str:
        """Return a mark for the name that a Secret has in an installation."""
        self.secrets[name] = name
        return self._value(f'index .Values.secrets "{name}" | quote')

    def _claims(self, part: Any) -> None:
        """Let a storage class be named in each claim of a pod."""
        if isinstance(part, dict):
            if "volumeClaimTemplate" in part:
                part["volumeClaimTemplate"]["spec"]["storageClassName"] = self._block(_class)
            for value in part.values():
                self._claims(value)
        elif isinstance(part, list):
            for each in part:
                self._claims(each)

    def _certificate(self, document: Document) -> None:
        spec = document["spec"]
        if "dnsNames" in spec:
            spec["dnsNames"] = [
                self._block(_hosts)
                if name == "@@host@@"
                else re.sub(r"\.sightline\b", ".@@namespace@@", name)
                for name in spec["dnsNames"]
            ]

    def _ports(self, document: Document) -> None:
        part = _STORES.get(document["metadata"]["name"])
        for rule in document["spec"]["egress"] if part else ():
            (port,) = rule["ports"]
            port["port"] = self._value(f".Values.{part}.port")

    def data(self, document: Document) -> str:
        """Return the data of a ConfigMap of settings, to stand in its named template."""
        self.settings[document["metadata"]["name"]] = {}
        return self._text(document["data"])

    def _settings(self, document: Document) -> str:
        """Return a ConfigMap with the data of its named template, changed by values."""
        name = document["metadata"]["name"]
        del document["data"]
        return (
            f"{self._text(document)}data:\n"
            f'{{{{- $data := include "sightline.settings.{name}" . | fromYaml }}}}\n'
            f'{{{{- $given := index .Values.settings "{name}" }}}}\n'
            f"{{{{- mergeOverwrite $data $given | toYaml | nindent 2 }}}}\n"
        )

    def _workload(self, document: Document) -> None:
        kind, name = document["kind"], document["metadata"]["name"]
        template = document["spec"]
        for key in _PODS[kind]:
            template = template[key]
        pod = template["spec"]
        if kind == "Job":
            name = re.sub(r"(-\d+)+$", "", name)
            document["metadata"]["name"] += "-@@job@@"
        if kind == "Deployment" and "replicas" in document["spec"]:
            self.replicas[name] = document["spec"]["replicas"]
            document["spec"]["replicas"] = self._value(f'index .Values.replicas "{name}"')
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            container["image"] = self._image(container["image"])
        main = pod["containers"][0]
        main["resources"] = self._resources(name, main["resources"])
        if name == "triton" and "tolerations" in pod:
            pod["nodeSelector"] = self._block(_node_selector)
        if sources := sorted({s["configMapRef"]["name"] for s in main.get("envFrom", [])}):
            notes = template.setdefault("metadata", {}).setdefault("annotations", {})
            for each in sources:
                notes[f"checksum/{each}"] = self._checksum(each)

    def _checksum(self, name: str) -> str:
        return self._value(
            f'list (include "sightline.settings.{name}" .) (index .Values.settings "{name}")'
            " | toJson | sha256sum | quote"
        )

    def _image(self, image: str) -> str:
        place, _, name = image.partition(":")[0].rpartition("/")
        if place != "@@registry@@":
            raise ValueError(f"{image} is not an image of ours")
        self.images.add(name)
        return self._value(f'include "sightline.image" (list . "{name}") | quote')

    def _resources(self, name: str, given: Document) -> str:
        limits = dict(given["limits"])
        value = f'index .Values.resources "{name}"'
        if limits.pop(GPU, None) is not None:
            count = f'dict "limits" (dict "{GPU}" .Values.gpu.count)'
            value = f"mergeOverwrite (deepCopy ({value})) ({count})"
        self.resources[name] = {**given, "limits": limits}
        return self._block(
            lambda n: f"KEY\n{' ' * (n + 2)}{{{{- {value} | toYaml | nindent {n + 2} }}}}"
        )


def has_settings(document: Document) -> bool:
    """Return whether a document is a ConfigMap, but for a dashboard."""
    labels = document["metadata"].get("labels", {})
    return document["kind"] == "ConfigMap" and "grafana_dashboard" not in labels


def _pull_secrets(_: int) -> str:
    return "{{- with .Values.images.pullSecrets }}\nKEY\n  {{- toYaml . | nindent 2 }}\n{{- end }}"


def _annotations(name: str, indent: int) -> str:
    given = f'{{{{- with index .Values.serviceAccountAnnotations "{name}" }}}}'
    return f"{given}\nKEY\n{{{{- toYaml . | nindent {indent + 2} }}}}\n{{{{- end }}}}"


def _class(_: int) -> str:
    return "{{- with .Values.storageClass }}\nKEY {{ . | quote }}\n{{- end }}"


def _node_selector(indent: int) -> str:
    inner = f"{{{{- toYaml . | nindent {indent + 2} }}}}"
    return f"{{{{- with .Values.gpu.nodeSelector }}}}\nKEY\n{inner}\n{{{{- end }}}}"


def _hosts(_: int) -> str:
    return "{{- range .Values.hosts }}\nKEY {{ . | quote }}\n{{- end }}"


def conditional(on: str | None, off: str | None, path: str) -> str:
    """Return a text that depends on a switch; None: nothing is there."""
    if on == off:
        return on or ""
    if on is None:
        return f"{{{{- if not .Values.{path} }}}}\n{off}{{{{- end }}}}\n"
    otherwise = "" if off is None else f"{{{{- else }}}}\n{off}"
    return f"{{{{- if .Values.{path} }}}}\n{on}{otherwise}{{{{- end }}}}\n"

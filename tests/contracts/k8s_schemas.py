"""Strict schemas of Kubernetes documents: a field that they do not name is an error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module, resources
from typing import Any

import kubernetes_validate
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from kubernetes_validate.utils import all_versions
from packaging.version import Version
from referencing import Registry, Resource

from tests.contracts.k8s import OLDEST, Document

VERSIONS = sorted(
    {each for each in all_versions() if Version(each) >= Version(OLDEST)}, key=Version
)
"""Supported versions of Kubernetes for which kubernetes-validate has the schemas."""

CUSTOM = {
    "cert-manager.io/v1": "cloudcoil.models.cert_manager.v1",
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
}
"""Packages of models, which are generated from the resources' own definitions."""


def _fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


_OPEN = {"type": "object"}
_TEXT = {"type": "string", "minLength": 1}
_PART = _fields(replicas={"type": "integer", "minimum": 1}, resources=_OPEN)
_PARTS = ("proxy", "mixCoord", "queryNode", "streamingNode", "dataNode")
_WRITTEN = {
    ("milvus.io/v1beta1", "Milvus"): _fields(
        apiVersion=_TEXT,
        kind=_TEXT,
        metadata=_OPEN,
        spec=_fields(
            mode={"enum": ["standalone", "cluster"]},
            components=_fields(
                image=_TEXT,
                serviceAccountName=_TEXT,
                enableRollingUpdate={"type": "boolean"},
                runAsNonRoot={"type": "boolean"},
                securityContext=_OPEN,
                topologySpreadConstraints={"type": "array"},
                volumes={"type": "array"},
                volumeMounts={"type": "array"},
                **dict.fromkeys(_PARTS, _PART),
            ),
            dependencies=_fields(
                msgStreamType={"enum": ["pulsar", "kafka", "woodpecker", "rocksmq"]},
                storage=_fields(
                    external={"type": "boolean"},
                    type={"enum": ["S3", "MinIO", "Azure"]},
                    endpoint=_TEXT,
                    secretRef=_TEXT,
                ),
                etcd=_fields(
                    inCluster=_fields(
                        deletionPolicy={"enum": ["Retain", "Delete"]},
                        pvcDeletion={"type": "boolean"},
                        values=_OPEN,
                    )
                ),
            ),
            config=_OPEN,
        ),
    ),
}
"""No registry has these resources' definitions: the fields that we use, by hand."""


def problems(document: Document, version: str) -> list[str]:
    """Return the parts that a cluster of this version would reject, as `path: message`."""
    try:
        schema = validator(document["apiVersion"], document["kind"], version)
    except FileNotFoundError:
        return [f"$: Kubernetes {version} has no {document['apiVersion']} {document['kind']}"]
    closest = (best_match([error]) for error in schema.iter_errors(document))
    return [f"{error.json_path}: {error.message[:300]}" for error in closest]


@cache
def validator(api: str, kind: str, version: str) -> Draft202012Validator:
    if (api, kind) in _WRITTEN:
        return Draft202012Validator(_WRITTEN[api, kind])
    if api in CUSTOM:
        return Draft202012Validator(_custom(api, kind))
    # As kubernetes-validate names its files. Its own validate() reads them again for each document.
    group = re.sub(r"^([^./]*)(?:[.][^/]*)?/", r"\1-", api)
    schema = _kubernetes(version, f"{kind.lower()}-{group}")
    return Draft202012Validator(schema, registry=_definitions(version))


@cache
def _definitions(version: str) -> Registry[Any]:
    resource = Resource.from_contents(_kubernetes(version, "_definitions"))
    return (resource @ Registry()).crawl()


def _kubernetes(version: str, name: str) -> Any:
    folder = resources.files(kubernetes_validate) / "kubernetes-json-schema"
    return json.loads((folder / f"v{version}-local-strict" / f"{name}.json").read_text("utf-8"))


@cache
def _custom(api: str, kind: str) -> dict[str, Any]:
    model = getattr(import_module(CUSTOM[api]), kind)
    schema: dict[str, Any] = model.model_json_schema(by_alias=True)
    for part in _objects(schema):
        part.setdefault("additionalProperties", False)
    return schema


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield each part of a schema that names its fields."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" and schema.get("properties"):
            yield schema
        for each in schema.values():
            yield from _objects(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _objects(each)

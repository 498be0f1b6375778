"""The values of the chart: each with its description, schema and default, described once."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string", "pattern": "^[^'\"\\s{}]*$"}
"""Without quotes, white space and braces: templates put it between quotes."""
NEEDED: Schema = {**TEXT, "minLength": 1}
BUCKET: Schema = {"type": "string", "pattern": "^s3://[^'\"\\s{}]+$"}
ANY_BUCKET: Schema = {"type": "string", "pattern": "^(s3://[^'\"\\s{}]+)?$"}
"""A bucket of a part that need not run."""
_BYTE = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
_IPV4 = rf"({_BYTE}\.){{3}}{_BYTE}/(3[0-2]|[12]?\d)"
_IPV6 = r"[0-9a-fA-F]*:[0-9a-fA-F:.]*/(12[0-8]|1[01]\d|[1-9]?\d)"
NETWORK: Schema = {"type": "string", "pattern": f"^({_IPV4}|{_IPV6})$"}
DIGEST: Schema = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
SWITCH: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SETTING: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
ROLES = (
    "Annotations of ServiceAccounts, such as those by which a cloud gives a role:"
    " eks.amazonaws.com/role-arn: arn:…"
)
RESOURCES: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {key: {"type": "object"} for key in ("requests", "limits")},
}


@dataclass(frozen=True)
class Value:
    """One value, at a path such as images.registry."""

    path: str
    text: str
    """Its purpose, in a sentence."""
    schema: Schema
    default: Any = ""
    given: str = ""
    """The value of the overlay's installation.yaml that it replaces."""


def each(path: str, text: str, schema: Schema, default: Mapping[str, Any]) -> Value:
    """Return a value with a key for each of the overlay's workloads, Secrets or ConfigMaps."""
    properties = dict.fromkeys(default, schema)
    return Value(
        path, text, {**_object(), "properties": properties, "required": [*default]}, default
    )


def of_images(values: Iterable[Value], names: Iterable[str]) -> Iterator[Value]:
    """Yield values, digests with the names of the images that can have one."""
    for one in values:
        if one.path == "images.digests":
            allowed = {**_object(), "properties": dict.fromkeys(names, DIGEST)}
            yield replace(one, schema=allowed)
        else:
            yield one


def _object() -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": {}, "required": []}


VALUES: tuple[Value, ...] = (
    Value("images.registry", "Registry and path of all images, without a slash at the end.", NEEDED, given="registry"),
    Value("images.tag", "Tag of all images. Empty: the chart's release.", TEXT),
    Value("images.digests", "Digests that replace the tag, by image: gateway: sha256:…", {}, {}),
    Value("images.pullSecrets", "Secrets with the registry's credentials: - name: …", {"type": "array", "items": {"type": "object", "required": ["name"]}}, []),
    Value("hosts", "Names of the gateway for callers outside the cluster, in its certificate.", {"type": "array", "items": NEEDED}, [], given="host"),
    Value("database.network", "Network of PostgreSQL. Its addresses are in the Secrets retriever-database and ranker-database.", NETWORK, given="databaseNetwork"),
    Value("database.port", "Port of PostgreSQL.", PORT, 5432),
    Value("milvus.uri", "Address of Milvus: https://HOST:19530.", {**NEEDED, "pattern": "^https?://[^'\"\\s{}]+$"}, given="milvusUri"),
    Value("milvus.network", "Network of Milvus. For one in this cluster label its namespace sightline/stores=true, too.", NETWORK, given="milvusNetwork"),
    Value("milvus.port", "Port of Milvus.", PORT, 19530),
    Value("buckets.region", "Region of the buckets.", NEEDED, given="region"),
    Value("buckets.endpoint", "Address of a store that is not Amazon's: https://HOST, which is called by path, not by host names of buckets. Empty: Amazon's.", {"type": "string", "pattern": "^(https?://[^'\"\\s{}]+)?$"}, given="endpoint"),
    Value("buckets.network", "Network of a store at private addresses; public ones are allowed anyway. 127.0.0.1/32: none.", NETWORK, "127.0.0.1/32", given="storeNetwork"),
    Value("buckets.port", "Port of the store.", PORT, 443),
    Value("buckets.credentials", "AWS credentials file in the pods, of the Secret object-store. Empty: serviceAccountAnnotations give the ServiceAccounts a role.", TEXT, "/etc/sightline/object-store/credentials", given="credentials"),
    Value("buckets.photos", "Photos of products.", BUCKET, given="photos"),
    Value("buckets.models", "Ranking models.", BUCKET, given="models"),
    Value("buckets.exports", "Exports.", BUCKET, given="exports"),
    Value("buckets.catalogBackups", "Backups of catalogs: another account or region, with versioning and object lock.", BUCKET, given="catalogBackups"),
    Value("buckets.eventBackups", "Backups of events and models.", BUCKET, given="eventBackups"),
    Value("buckets.vision", "Photos of cameras and of good pieces, for vision alone.", ANY_BUCKET, given="vision"),
    Value("buckets.visionBackups", "Backups of watches and references, for vision alone.", ANY_BUCKET, given="visionBackups"),
    Value("storageClass", "Storage class of the volume on which backups are assembled. Empty: the default class.", TEXT),
    Value("gpu.enabled", "Run Triton on GPUs. Choose before you write the first product: vectors differ.", SWITCH, True),
    Value("gpu.count", "GPUs of each pod of Triton.", {**COUNT, "minimum": 1}, 1),
    Value("gpu.nodeSelector", "Labels of the nodes with these GPUs.", SETTING, {}),
    Value("certificates.enabled", "Have cert-manager issue all certificates. False: create the Secrets with tls.crt yourself.", SWITCH, True),
    Value("backups.enabled", "Back up catalogs, events and models each night.", SWITCH, True),
    Value("monitoring.enabled", "Create resources of the Prometheus Operator and Grafana.", SWITCH, False),
    Value("vision.enabled", "Run the service of cameras. Its database is in the Secret vision-database.", SWITCH, False),
)  # fmt: skip


def template(path: str) -> str:
    """Return the expression of a value."""
    needed = any(each.path == path and each.schema is ANY_BUCKET for each in VALUES)
    return f'.Values.{path} | required "{path} is missing"' if needed else f".Values.{path}"


def defaults(values: Iterable[Value]) -> dict[str, Any]:
    """Return the content of values.yaml."""
    made: dict[str, Any] = {}
    for one in values:
        *parents, name = one.path.split(".")
        place = made
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = one.default
    return made


def schema(values: Iterable[Value]) -> Schema:
    """Return values.schema.json, which allows no other value."""
    made = _object()
    for one in values:
        *parents, name = one.path.split(".")
        place = made
        for part in parents:
            place = _part(place, part, _object())
        _part(place, name, {**one.schema, "description": one.text})
    made["properties"]["global"] = {"type": "object"}  # Helm gives it to every chart
    return {"$schema": "https://json-schema.org/draft-07/schema#", **made}


def _part(place: Schema, name: str, part: Schema) -> Schema:
    """Return the schema of a part, which has to be there: null removes a default."""
    if name not in place["properties"]:
        place["properties"][name] = part
        place["required"].append(name)
    found: Schema = place["properties"][name]
    return found


def text(values: Iterable[Value], dump: Callable[[Any], str]) -> str:
    """Return values.yaml with a comment above each value. `dump` writes YAML."""
    lines, top = ["# Generated from deploy/k8s; values.schema.json has the same descriptions."], ""
    for one in values:
        parent, _, name = one.path.rpartition(".")
        if parent and parent != top:
            lines += ["", f"{parent}:"]
        elif not parent:
            lines.append("")
        top, indent = parent, "  " if parent else ""
        hashes = f"{indent}# "
        lines += textwrap.wrap(
            one.text, 96, initial_indent=hashes, subsequent_indent=hashes, break_on_hyphens=False
        )
        lines.append(textwrap.indent(dump({name: one.default}).rstrip(), indent))
    return "\n".join(lines) + "\n"

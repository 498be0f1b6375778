"""Stand-in for the definitions of KEDA, cert-manager, Prometheus Operator and Milvus Operator.

Each kind that the overlays use gets a definition that accepts any field: the fields are checked
against the operators' schemas by tests/contracts/test_k8s_schemas.py. No operator acts on them.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.contracts.k8s import Document

PLURALS = {"PodMonitor": "podmonitors", "Milvus": "milvuses"}
CLUSTER_WIDE = {"ClusterIssuer"}


def custom(document: Document) -> bool:
    """Return whether an operator defines the kind of a document."""
    group = document["apiVersion"].rpartition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


def definitions(documents: Iterable[Document]) -> list[Document]:
    """Return a definition of each custom kind among documents."""
    kinds = {(each["apiVersion"], each["kind"]) for each in documents if custom(each)}
    return [_definition(api, kind) for api, kind in sorted(kinds)]


def _definition(api: str, kind: str) -> Document:
    group, _, version = api.partition("/")
    plural = PLURALS.get(kind, f"{kind.lower()}s")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster" if kind in CLUSTER_WIDE else "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
            ],
        },
    }

"""Every overlay against strict schemas: Kubernetes' of each version, custom resources' own."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.contracts.k8s import OLDEST, OPTIONAL, OVERLAYS, Document, installed, of, overlay
from tests.contracts.k8s_schemas import VERSIONS, problems

pytestmark = pytest.mark.when("deploy", "compose.yaml", "docs")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OVERLAYS, OPTIONAL])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_is_what_kubernetes_expects(name: str, version: str) -> None:
    documents = installed(name)
    assert documents
    found = {
        (each["kind"], each["metadata"]["name"]): problems(each, version) for each in documents
    }
    assert {which: what for which, what in found.items() if what} == {}


def test_versions_are_all_that_are_supported() -> None:
    assert VERSIONS[0].startswith(OLDEST)
    assert len(VERSIONS) > 6


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_a_field_in_the_wrong_place_would_be_noticed(version: str) -> None:
    wrong = copy.deepcopy(of(overlay("prod"), "Deployment")["gateway"])
    assert problems(wrong, version) == []
    wrong["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFilesystem"] = True
    assert "readOnlyRootFilesystem" in str(problems(wrong, version))
    assert problems({**wrong, "kind": "Deploymint"}, version)


def custom(api: str, kind: str, spec: Any) -> Document:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "x"}, "spec": spec}


SCALED = {
    "scaleTargetRef": {"name": "x"},
    "triggers": [{"type": "cpu", "metadata": {"value": "1"}}],
}
CERTIFICATE = {"secretName": "x", "issuerRef": {"name": "x"}, "dnsNames": ["x"]}
MONITOR = {"selector": {}, "podMetricsEndpoints": [{"port": "metrics", "interval": "15s"}]}
RULES = {"groups": [{"name": "x", "rules": [{"alert": "X", "expr": "up == 0", "for": "5m"}]}]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("api", "kind", "right", "wrong"),
    [
        ("keda.sh/v1alpha1", "ScaledObject", SCALED, {"minReplicas": 2}),
        ("keda.sh/v1alpha1", "ScaledObject", SCALED, {"minReplicaCount": "many"}),
        ("keda.sh/v1alpha1", "ScaledObject", SCALED, {"triggers": [{"type": "cpu"}]}),
        ("cert-manager.io/v1", "Certificate", CERTIFICATE, {"dnsName": "x"}),
        ("cert-manager.io/v1", "Certificate", CERTIFICATE, {"privateKey": {"algorithm": "DSA"}}),
        ("cert-manager.io/v1", "Issuer", {"ca": {"secretName": "x"}}, {"ca": {}}),
        (
            "monitoring.coreos.com/v1",
            "PodMonitor",
            MONITOR,
            {"podMetricsEndpoints": [{"ports": 1}]},
        ),
        (
            "monitoring.coreos.com/v1",
            "PodMonitor",
            MONITOR,
            {"podMetricsEndpoints": [{"port": "metrics", "interval": "often"}]},
        ),
        ("milvus.io/v1beta1", "Milvus", {"mode": "cluster"}, {"mode": "big"}),
        ("milvus.io/v1beta1", "Milvus", {"mode": "cluster"}, {"components": {"queryNodes": {}}}),
        ("monitoring.coreos.com/v1", "PrometheusRule", RULES, {"groups": [{"rules": []}]}),
    ],
)
def test_a_wrong_custom_resource_would_be_noticed(
    api: str, kind: str, right: Any, wrong: Any
) -> None:
    assert problems(custom(api, kind, right), OLDEST) == []
    assert problems(custom(api, kind, {**right, **wrong}), OLDEST)

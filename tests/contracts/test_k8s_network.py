"""Allowed connections on Kubernetes, in the base and in each installation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.contracts.k8s import (
    ARROWS,
    COPYING,
    ONCE,
    OWN,
    PODS,
    SERVED,
    STORES,
    TOGETHER,
    WHOLE,
    Document,
    overlay,
)

KEEPERS = [TOGETHER, "retriever", "retriever-worker", "ranker", "ranker-worker", "ranker-train"]
"""Workloads that store data."""
TABLED = [*KEEPERS, *ONCE]
"""Workloads that reach tables."""
OUTSIDE = {(name, "outside", 443) for name in KEEPERS} | {
    (name, "outside", 5432) for name in TABLED
}
"""Connections of components/object-store and components/postgres-uri."""
ENGINE = {(name, "outside", 19530) for name in (TOGETHER, "retriever", "retriever-worker")}
"""Connections of components/milvus-uri."""
BACKUPS = {
    (name, to, port)
    for name in COPYING
    for to, port in (("outside", 443), ("outside", 5432), ("stores", 5432))
}
"""Connections of components/backups."""
COLLECTOR = "otel-collector"
TRACES = {(COLLECTOR, "traces", 4317)} | {
    (name, COLLECTOR, 4318 if name == "triton" else 4317) for name in {TOGETHER, *PODS} - set(ONCE)
}
"""Connections of components/tracing."""
STANDING = {(name, "postgres", 5432) for name in TABLED} | {
    (name, "milvus", 19530) for name in (TOGETHER, "retriever", "retriever-worker")
}
"""Connections of components/postgres and components/milvus-standalone."""
FURTHER = {
    "base": set(),
    "small": STANDING | {("callers", TOGETHER, 8680)},
    "medium": STANDING,
    "staging": OUTSIDE | TRACES | BACKUPS,
    "prod": OUTSIDE | TRACES | BACKUPS,
    "example": OUTSIDE | TRACES | BACKUPS,
    OWN: OUTSIDE | ENGINE | BACKUPS,
}
"""Connections that an installation allows besides the arrows of the design."""
assert list(FURTHER) == ["base", *WHOLE]


def in_one_process(arrows: set[tuple[str, str, int]]) -> set[tuple[str, str, int]]:
    """Return the connections that are left where the services are one process."""
    found = {
        (*(TOGETHER if end in SERVED else end for end in (caller, peer)), port)
        for caller, peer, port in arrows
    }
    return {(caller, peer, port) for caller, peer, port in found if caller != peer}


def chosen(selector: Mapping[str, Any]) -> list[str]:
    """Return the workloads that a selector matches."""
    for each in selector.get("matchExpressions", []):
        assert (each["key"], each["operator"]) == ("app.kubernetes.io/name", "In")
        return list(each["values"])
    return [selector.get("matchLabels", {}).get("app.kubernetes.io/name", "every pod")]


def peers(rule: Mapping[str, Any], key: str) -> Iterator[str]:
    """Yield the peers of a rule: workloads, labels of a namespace, or addresses outside."""
    for peer in rule[key]:
        if "ipBlock" in peer:
            yield "outside"
        elif "namespaceSelector" not in peer:
            yield from chosen(peer["podSelector"])
        else:
            ((label, value),) = peer["namespaceSelector"]["matchLabels"].items()
            yield {
                "sightline/caller": "callers",
                "sightline/operator": "operators",
                "sightline/stores": "stores",
                "sightline/scrape": "scrapers",
                "sightline/traces": "traces",
                "kubernetes.io/metadata.name": f"{value}",
            }[label]


def policies(documents: list[Document]) -> dict[str, Any]:
    """Return the policies of our own namespace by name."""
    return {
        each["metadata"]["name"]: each["spec"]
        for each in documents
        if each["kind"] == "NetworkPolicy" and each["metadata"]["namespace"] == "sightline"
    }


def flows(documents: list[Document], way: str, key: str) -> set[tuple[str, str, Any]]:
    """Return (workload, peer, port) of everything that the rules of one direction allow."""
    found = set()
    for spec in policies(documents).values():
        for rule in spec.get(way) or []:
            assert rule.get(key), "a rule without peers allows everybody"
            assert rule.get("ports"), "a rule without ports allows every port"
            found |= {
                (mine, who, port["port"])
                for mine in chosen(spec["podSelector"])
                for who in peers(rule, key)
                for port in rule["ports"]
            }
    return found


def test_nothing_is_allowed_by_default(base: list[Document]) -> None:
    everything = policies(base)["nothing"]
    assert everything["podSelector"] in ({}, None)
    assert sorted(everything["policyTypes"]) == ["Egress", "Ingress"]
    assert not everything.get("ingress")
    assert not everything.get("egress")


@pytest.mark.parametrize(
    ("way", "key", "here", "arrow", "further"),
    [
        (
            "ingress",
            "from",
            {TOGETHER, *PODS, *STORES, COLLECTOR},
            lambda mine, other, port: (other, mine, port),
            {("scrapers", "every pod", "metrics")},
        ),
        (
            "egress",
            "to",
            {TOGETHER, *PODS, *COPYING, COLLECTOR},
            lambda mine, other, port: (mine, other, port),
            {("every pod", "kube-system", 53)},
        ),
    ],
)
@pytest.mark.parametrize("name", FURTHER)
def test_the_network_allows_the_arrows_of_the_design_and_no_other(
    name: str,
    way: str,
    key: str,
    here: set[str],
    arrow: Callable[[str, str, Any], tuple[str, str, Any]],
    further: set[tuple[str, str, Any]],
) -> None:
    allowed = {arrow(*flow) for flow in flows(overlay(name), way, key)}
    arrows = in_one_process(ARROWS) if name == "small" else ARROWS
    end = 1 if way == "ingress" else 0
    assert allowed - further == {each for each in arrows | FURTHER[name] if each[end] in here}
    assert further <= allowed


def test_a_store_outside_is_no_way_into_the_cluster() -> None:
    """Check that the rule for the object store, whose address is unknown, excludes the cluster's
    own addresses."""
    (rule,) = policies(overlay("prod"))["object-store"]["egress"]
    (block,) = [each["ipBlock"] for each in rule["to"]]
    refused = [ip_network(each) for each in block["except"]]
    for address in ("10.96.0.1", "172.18.0.2", "192.168.1.1", "169.254.169.254", "100.64.0.1"):
        assert any(ip_address(address) in each for each in refused), address


def test_only_the_retriever_calls_a_milvus_of_the_operator() -> None:
    (policy,) = [
        each["spec"]
        for each in overlay("prod")
        if each["kind"] == "NetworkPolicy" and each["metadata"]["namespace"] == "milvus"
    ]
    callers = [
        rule
        for rule in policy["ingress"]
        if {"port": 19530, "protocol": "TCP"} in rule.get("ports", [])
    ]
    (caller,) = [peer for rule in callers for peer in rule["from"]]
    assert caller["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "sightline"
    }
    assert chosen(caller["podSelector"]) == ["retriever", "retriever-worker"]

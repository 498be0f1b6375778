"""Who may call whom in the Kubernetes base."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.contracts.k8s import ARROWS, PODS, Document, of


def peers(rule: Mapping[str, Any], key: str) -> Iterator[str]:
    """Whom a rule names: a workload, or what a namespace's label says of it."""
    for peer in rule[key]:
        if "podSelector" in peer and "namespaceSelector" not in peer:
            yield peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
            continue
        ((label, value),) = peer["namespaceSelector"]["matchLabels"].items()
        yield {
            "sightline/caller": "callers",
            "sightline/operator": "operators",
            "sightline/stores": "stores",
            "sightline/scrape": "scrapers",
            "kubernetes.io/metadata.name": f"{value}",
        }[label]


def flows(documents: list[Document], way: str, key: str) -> set[tuple[str, str, Any]]:
    """(workload, other end, port) of all that one direction's rules allow."""
    found = set()
    for policy in of(documents, "NetworkPolicy").values():
        spec = policy["spec"]
        labels = spec["podSelector"].get("matchLabels", {})
        mine = labels.get("app.kubernetes.io/name", "every pod")
        for rule in spec.get(way) or []:
            assert rule.get(key), "a rule without peers allows everybody"
            assert rule.get("ports"), "a rule without ports allows every port"
            found |= {(mine, who, p["port"]) for who in peers(rule, key) for p in rule["ports"]}
    return found


def test_nothing_is_allowed_by_default(base: list[Document]) -> None:
    everything = of(base, "NetworkPolicy")["nothing"]["spec"]
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
            set(PODS),
            lambda mine, other, port: (other, mine, port),
            {("scrapers", "every pod", "metrics")},
        ),
        (
            "egress",
            "to",
            set(PODS),
            lambda mine, other, port: (mine, other, port),
            {("every pod", "kube-system", 53)},
        ),
    ],
)
def test_the_network_allows_the_arrows_of_the_design_and_no_other(
    base: list[Document],
    way: str,
    key: str,
    here: set[str],
    arrow: Callable[[str, str, Any], tuple[str, str, Any]],
    further: set[tuple[str, str, Any]],
) -> None:
    allowed = {arrow(*flow) for flow in flows(base, way, key)}
    end = 1 if way == "ingress" else 0
    assert allowed - further == {each for each in ARROWS if each[end] in here}
    assert further <= allowed

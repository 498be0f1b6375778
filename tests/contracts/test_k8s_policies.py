"""The policies of tests/contracts/policies, over every overlay; and each of them broken once.

What is broken is the overlay BROKEN, one change at a time, so that a rule that finds nothing any
more fails.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest

from tests.contracts.k8s import (
    ALONE,
    OPTIONAL,
    OURS,
    OVERLAYS,
    ROOT,
    SERVED,
    TOGETHER,
    WHOLE,
    added,
    installed,
    nowhere,
    of,
    overlay,
    settings_of,
    with_components,
)
from tests.contracts.policies import code, links, network, pods, scaling
from tests.contracts.policies.cluster import Cluster, Rule
from tests.contracts.policies.violations import VIOLATIONS, Change
from tests.contracts.test_supply import references

pytestmark = pytest.mark.when("deploy", "compose.yaml", "docs")

RULES: list[Rule] = [
    *pods.RULES,
    *links.RULES,
    *code.RULES,
    *scaling.RULES,
    *network.RULES,
]
PRODUCTION = [name for name in WHOLE if name not in ("small", "medium")]
BROKEN = "prod"


def cluster(name: str) -> Cluster:
    """Return an overlay; one of a single service together with the others of the base."""
    documents = installed(name)
    return Cluster(documents, overlay("base") if name in ALONE else ())


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", [*OVERLAYS, OPTIONAL])
def test_every_overlay_keeps_to_it(name: str, rule: Rule) -> None:
    assert list(rule(cluster(name))) == []


@pytest.mark.slow
@pytest.mark.parametrize("inside", [(), ("ranker",), ("retriever",), ("ranker", "retriever")])
def test_retriever_and_ranker_are_taken_out_of_one_process_by_a_line(
    inside: tuple[str, ...],
) -> None:
    names = ["one-process", *(f"one-process/{name}" for name in inside)]
    documents = with_components(*names, "shared-claims")
    assert [each for rule in RULES for each in rule(Cluster(documents))] == []
    together = {"gateway", "embedder", *inside}
    assert set(of(documents, "Deployment")) == {TOGETHER, "triton", *OURS} - together
    settings = settings_of(documents, TOGETHER)
    inside_ = [name for name in SERVED if name in together]
    assert list(code.inside(settings)) == [*inside_, "gateway-http"]


@pytest.mark.slow
def test_the_lines_of_the_page_add_what_no_overlay_has(tmp_path: Path) -> None:
    page = (ROOT / "docs/operate/manifests.md").read_text()
    (section,) = re.findall(
        r"^## Components that no overlay uses\n(.+?)^## ", page, re.MULTILINE | re.DOTALL
    )
    assert all(f"`{name}`" in section for name in nowhere())
    (lines,) = re.findall(r"```yaml\n(.+?)```", section, re.DOTALL)
    made = Cluster(added(tmp_path, lines))
    assert [each for rule in RULES for each in rule(made)] == []
    asked = settings_of(list(made.documents), "ranker-worker")["RANKER_KAFKA_BROKERS"]
    (rule,) = of(list(made.documents), "NetworkPolicy")["kafka-events"]["spec"]["egress"]
    ports = {broker.rpartition(":")[2] for broker in asked.split(",")}
    assert ports == {str(port["port"]) for port in rule["ports"]}


@pytest.mark.parametrize("name", PRODUCTION)
def test_what_is_for_shops_runs_in_production_mode(name: str) -> None:
    modes = {str(workload): it.mode for workload, _, _, it in code.serving(cluster(name))}
    assert set(modes.values()) == {"production"}, modes


@pytest.mark.slow
def test_no_two_overlays_have_different_versions_of_an_image() -> None:
    """Check the overlays and compose.yaml together."""
    compose = (ROOT / "compose.yaml").read_text()
    found = set(re.findall(r"^ +image: ([^\s$]+:[^\s$]+)$", compose, re.MULTILINE))
    for name in (*OVERLAYS, OPTIONAL):
        found |= {
            container["image"]
            for workload in cluster(name).workloads()
            for container in workload.containers
        }
    tags: dict[str, set[str]] = {}
    for each in found:
        name, _, tag = each.rsplit("/", 1)[-1].partition(":")
        tags.setdefault(name, set()).add(tag)
    assert {name: sorted(several) for name, several in tags.items() if len(several) > 1} == {}


def test_make_digests_knows_every_image_of_others() -> None:
    others = {
        container["image"].partition("@")[0]
        for name in (*OVERLAYS, OPTIONAL)
        for workload in cluster(name).workloads()
        for container in workload.containers
        if not pods.ours(container["image"])
    }
    assert len(others) >= 2
    assert others <= {each.partition("@")[0] for each in references()}


@pytest.mark.parametrize(
    ("rule", "found", "change"), VIOLATIONS, ids=lambda each: getattr(each, "__name__", None)
)
def test_what_breaks_it_is_found(rule: Rule, found: str, change: Change) -> None:
    documents = copy.deepcopy(overlay(BROKEN))
    change(documents)
    assert [each for each in rule(Cluster(documents)) if found in each]


def test_each_rule_is_broken_once() -> None:
    assert {rule for rule, *_ in VIOLATIONS} == set(RULES)

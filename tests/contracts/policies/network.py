"""Rules: the network allows exactly the connections that the settings name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.contracts.k8s import TOGETHER, Document
from tests.contracts.policies.cluster import Cluster, Rule, Workload, namespace, selects, workloads
from tests.contracts.policies.code import ADDRESS
from tests.contracts.policies.pods import ours

Flow = tuple[str, int]
"""The other end, and the port that is called."""

OUTSIDE = "elsewhere"
"""Namespaces and addresses that are not of this installation."""
ENTRANCES = {(name, port) for name in ("gateway", TOGETHER) for port in (8600, 8609)}
"""Services and ports that other namespaces may call, besides metrics."""
SQL, MILVUS = 5432, 19530
"""Namespaces with the label of stores may be called there, whether or not there are any."""
OBJECTS = HTTPS = 443
URL = re.compile(r"\w+://([\w.-]+):(\d+)")
SERVING_HTTP = ("gateway", TOGETHER, "agents", "console")
"""Workloads that answer HTTP from other namespaces."""


def needs(cluster: Cluster, workload: Workload) -> set[Flow]:
    """Return the connections that a workload's settings and arguments require."""
    found = set()
    for container in workload.containers:
        for key, value in cluster.environment(container).items():
            if key.endswith("_DATABASE_URL_FILE"):
                found.add((_behind(cluster, workload, "postgres"), SQL))
            elif value.startswith(("s3://", "gs://", "az://")):
                found.add((OUTSIDE, OBJECTS))
            elif key.endswith("_OIDC_ISSUER") and value:
                found.add((OUTSIDE, HTTPS))
            elif not key.endswith("_FILE"):
                for each in value.split(","):
                    found |= _addresses(cluster, workload, ADDRESS.fullmatch(each))
        for argument in container.get("args", ()):
            found |= _addresses(cluster, workload, URL.search(argument))
    return found


def _addresses(cluster: Cluster, workload: Workload, found: re.Match[str] | None) -> set[Flow]:
    if found is None or re.match(r"localhost|127\.|0\.0\.", found[1]):
        return set()
    port = int(found[2])
    return {(_behind(cluster, workload, found[1]), port)}


def _behind(cluster: Cluster, caller: Workload, host: str) -> str:
    """Return the workload behind a Service of the caller's namespace."""
    for service in cluster.every:
        named = (service["kind"], namespace(service), service["metadata"]["name"])
        if named == ("Service", caller.namespace, host.removesuffix(f".{caller.namespace}")):
            for each in workloads(cluster.every):
                if selects({"matchLabels": service["spec"]["selector"]}, each.labels):
                    return each.name
    return OUTSIDE


def policies(cluster: Cluster, workload: Workload) -> list[Document]:
    return [
        each["spec"]
        for each in cluster.of("NetworkPolicy")
        if namespace(each) == workload.namespace
        and selects(each["spec"]["podSelector"], workload.labels)
    ]


def allowed(cluster: Cluster, workload: Workload, way: str) -> Iterator[Flow | str]:
    """Yield the flows that a workload's policies allow, `in` or `out`; a string is a violation."""
    key, ends = ("ingress", "from") if way == "in" else ("egress", "to")
    for policy in policies(cluster, workload):
        for rule in policy.get(key) or ():
            if not rule.get(ends) or not rule.get("ports"):
                yield f"a rule without {'ports' if rule.get(ends) else 'peers'} allows all"
                continue
            for port in rule["ports"]:
                if port.get("endPort"):
                    yield f"a rule allows the ports up to {port['endPort']}"
                for peer in rule[ends]:
                    for name in _peers(cluster, workload, peer):
                        yield from _flow(cluster, workload, way, name, port["port"])


def _peers(cluster: Cluster, workload: Workload, peer: Mapping[str, Any]) -> set[str]:
    if "namespaceSelector" in peer or "ipBlock" in peer:
        labels = peer.get("namespaceSelector", {}).get("matchLabels", {})
        dns = labels.get("kubernetes.io/metadata.name") == "kube-system"
        scrape = "sightline/scrape" in labels
        return {"dns" if dns else "scrape" if scrape else OUTSIDE}
    return {
        each.name
        for each in workloads(cluster.every)
        if each.namespace == workload.namespace and selects(peer["podSelector"], each.labels)
    }


def _flow(
    cluster: Cluster, workload: Workload, way: str, other: str, port: str | int
) -> Iterator[Flow]:
    """Yield flows by port number; a port's name is looked up in the called pod."""
    if isinstance(port, int):
        yield other, port
        return
    for each in [workload] if way == "in" else workloads(cluster.every):
        if each.name in (other, workload.name) and (number := each.port(port)):
            yield other, number


def closed(cluster: Cluster) -> Iterator[str]:
    """Yield pods that may send or receive by default: without a policy, a pod must reach
    nothing."""
    for where in sorted({each.namespace for each in cluster.workloads()}):
        everybody = [
            each["spec"]
            for each in cluster.of("NetworkPolicy")
            if namespace(each) == where and not each["spec"].get("podSelector")
        ]
        ways = {way for each in everybody for way in each["policyTypes"]}
        for way in sorted({"Egress", "Ingress"} - ways):
            yield f"Namespace {where}: {way} is open by default"


def arrows(cluster: Cluster) -> Iterator[str]:
    """Yield differences between allowed and required flows. Out: the peers in the settings, and
    name lookups. In: peers whose settings name the workload, the gateway's ports for other
    namespaces, and metrics."""
    every = Cluster(cluster.every)
    needed = {each.name: needs(every, each) for each in every.workloads()}
    for workload in cluster.workloads():
        out, into = set(allowed(cluster, workload, "out")), set(allowed(cluster, workload, "in"))
        yield from (f"{workload}: {each}" for each in out | into if isinstance(each, str))
        out, into = ({it for it in way if it[0] != "dns" and len(it) == 2} for way in (out, into))
        if any(ours(each["image"]) for each in workload.containers):
            wanted = needed[workload.name]
            spare = {(OUTSIDE, port) for _, port in wanted if port in (SQL, MILVUS)}
            yield from _differ(workload, "call", out - (spare - wanted), wanted)
        wanted = {(OUTSIDE, port) for name, port in ENTRANCES if name == workload.name}
        for caller, flows in needed.items():
            wanted |= {(caller, port) for name, port in flows if name == workload.name}
        if (http := workload.port("http")) and workload.name in SERVING_HTTP:
            wanted.add((OUTSIDE, http))
        if metrics := workload.port("metrics"):
            wanted.add(("scrape", metrics))
        yield from _differ(workload, "be called by", into, wanted)


def _differ(workload: Workload, what: str, may: set[Any], has_to: set[Any]) -> Iterator[str]:
    for name, port in sorted(may - has_to):
        yield f"{workload}: may {what} {name} on {port}, and no setting says so"
    for name, port in sorted(has_to - may):
        yield f"{workload}: may not {what} {name} on {port}, as a setting says"


RULES: list[Rule] = [closed, arrows]

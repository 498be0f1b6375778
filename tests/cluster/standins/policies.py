"""Stand-in for a network plugin that enforces NetworkPolicy: iptables rules in each pod's network.

The rules are written about a second after a pod gets its address; a plugin writes them before the
pod starts. The node may reach every pod, as Kubernetes demands for its probes. The name server is
the bridge's address; rules for CoreDNS's pods apply to it.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.cluster.standins.mirror import Document, Mirror

NETWORKS: Final = Path("/run/netns")
NAMES: Final = ("kube-system", {"k8s-app": "kube-dns"})
_ANY: Final = "0.0.0.0/0"


def selects(selector: Document | None, labels: dict[str, str]) -> bool:
    """Return whether a label selector matches; an empty one matches all."""
    selector = selector or {}
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for each in selector.get("matchExpressions") or []:
        has, listed = each["key"] in labels, labels.get(each["key"]) in each.get("values", [])
        wanted = {"In": listed, "NotIn": not listed, "Exists": has, "DoesNotExist": not has}
        if not wanted[each["operator"]]:
            return False
    return True


@dataclass(frozen=True)
class Pod:
    """A pod, as network policies select it and its connections."""

    namespace: str
    labels: dict[str, str]
    address: str
    ports: dict[str, int]
    """Numbers of named ports."""

    @classmethod
    def of(cls, found: Document) -> Pod:
        containers = found["spec"]["containers"]
        return cls(
            found["metadata"]["namespace"],
            found["metadata"].get("labels", {}),
            found["status"]["podIP"],
            {p["name"]: p["containerPort"] for c in containers for p in c.get("ports", [])},
        )


@dataclass(frozen=True)
class Cluster:
    """Pods, labels of namespaces, and policies."""

    pods: list[Pod]
    namespaces: dict[str, dict[str, str]]
    policies: list[Document]
    resolver: str
    """The name server's address."""

    def everyone(self) -> list[Pod]:
        return [*self.pods, Pod(*NAMES, address=self.resolver, ports={})]

    def peers(self, peer: Document, home: str) -> list[tuple[str, Pod | None]]:
        """Return the addresses that a peer of a policy stands for."""
        if block := peer.get("ipBlock"):
            return [(block["cidr"], None)]
        spaces = peer.get("namespaceSelector")
        return [
            (pod.address, pod)
            for pod in self.everyone()
            if (
                selects(spaces, self.namespaces.get(pod.namespace, {}))
                if spaces is not None
                else pod.namespace == home
            )
            and selects(peer.get("podSelector"), pod.labels)
        ]


def rules(pod: Pod, cluster: Cluster) -> list[str]:
    """Return the rules of the table filter in a pod's network."""
    made = ["*filter", ":INPUT ACCEPT", ":FORWARD ACCEPT", ":OUTPUT ACCEPT"]
    own = [
        each
        for each in cluster.policies
        if each["metadata"]["namespace"] == pod.namespace
        and selects(each["spec"]["podSelector"], pod.labels)
    ]
    for chain, kind, key, side, flag in (
        ("INPUT", "Ingress", "ingress", "from", "-s"),
        ("OUTPUT", "Egress", "egress", "to", "-d"),
    ):
        mine = [each["spec"] for each in own if kind in each["spec"].get("policyTypes", [])]
        if not mine:
            continue
        made.append(f"-A {chain} {'-i' if chain == 'INPUT' else '-o'} lo -j ACCEPT")
        made.append(f"-A {chain} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT")
        if chain == "INPUT":
            made.append(f"-A INPUT -s {cluster.resolver}/32 -j ACCEPT")
        allowed = [
            f"-A {chain} {flag} {address} {match} -j ACCEPT"
            for spec in mine
            for rule in spec.get(key) or []
            for address, other in _all(cluster, rule.get(side), pod.namespace)
            for match in _ports(rule.get("ports"), pod if chain == "INPUT" else other)
        ]
        made += [*sorted(set(allowed)), f"-A {chain} -j DROP"]
    return [*made, "COMMIT", ""]


def _all(cluster: Cluster, peers: list[Document] | None, home: str) -> list[tuple[str, Pod | None]]:
    if not peers:
        return [(_ANY, None)]
    return [found for peer in peers for found in cluster.peers(peer, home)]


def _ports(ports: list[Any] | None, target: Pod | None) -> Iterable[str]:
    if not ports:
        yield ""
    for each in ports or []:
        protocol = each.get("protocol", "TCP").lower()
        number = each.get("port")
        if isinstance(number, str):
            number = target.ports.get(number) if target else None
            if number is None:
                continue
        last = f":{each['endPort']}" if "endPort" in each else ""
        match = f" --dport {number}{last}" if number is not None else ""
        yield f"-p {protocol} -m {protocol}{match}"


def serve(pods: Mirror, namespaces: Mirror, policies: Mirror, resolver: str) -> None:
    """Keep the rules of all pods current, in a thread."""

    def keep() -> None:
        networks: dict[str, str] = {}
        written: dict[str, list[str]] = {}
        while True:
            _find(networks)
            running = [
                each
                for each in pods.all()
                if each.get("status", {}).get("podIP")
                and each["status"]["phase"] in {"Pending", "Running"}
            ]
            labels = {
                each["metadata"]["name"]: each["metadata"].get("labels", {})
                for each in namespaces.all()
            }
            cluster = Cluster([Pod.of(each) for each in running], labels, policies.all(), resolver)
            for pod in cluster.pods:
                network = networks.get(pod.address)
                wanted = rules(pod, cluster)
                if network and written.get(network) != wanted and _write(network, wanted):
                    written[network] = wanted
            time.sleep(0.5)

    threading.Thread(target=keep, daemon=True).start()


def _find(networks: dict[str, str]) -> None:
    """Add the networks of new pods by address, and forget those that are gone."""
    there = {each.name for each in NETWORKS.iterdir()}
    for address, name in list(networks.items()):
        if name not in there:
            del networks[address]
    for name in there - set(networks.values()):
        shown = subprocess.run(
            ["nsenter", f"--net={NETWORKS / name}", "ip", "-o", "-4", "address", "show", "eth0"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.split()
        if "inet" in shown:
            networks[shown[shown.index("inet") + 1].partition("/")[0]] = name


def _write(network: str, wanted: list[str]) -> bool:
    command = ["nsenter", f"--net={NETWORKS / network}", "iptables-restore"]
    given = "\n".join(wanted)
    done = subprocess.run(command, input=given, text=True, check=False, capture_output=True)
    return done.returncode == 0

"""Stand-in for CoreDNS: names of Services and of StatefulSets' pods, on the bridge's address.

Answers have a lifetime of 5 s, as those of CoreDNS's plugin `kubernetes`. Only names of the cluster
exist.
"""

from __future__ import annotations

from typing import Any, Final

import dnslib
from dnslib.server import BaseResolver, DNSLogger, DNSServer

from tests.cluster.standins.mirror import Mirror

DOMAIN: Final = ".svc.cluster.local"
SECONDS: Final = 5


def addresses(label: str, services: Mirror, slices: Mirror) -> list[str] | None:
    """Return the addresses of NAME.NAMESPACE or POD.NAME.NAMESPACE; None: no such name."""
    *host, name, namespace = label.split(".")[-3:]
    service = services.get(namespace, name)
    if service is None:
        return None
    fixed = service["spec"].get("clusterIP", "None")
    if fixed != "None" and not host:
        return [fixed]
    found = []
    for each in slices.all():
        meta = each["metadata"]
        owner = meta.get("labels", {}).get("kubernetes.io/service-name")
        if (meta["namespace"], owner) != (namespace, name):
            continue
        for end in each.get("endpoints") or []:
            ready = end.get("conditions", {}).get("ready", True)
            early = service["spec"].get("publishNotReadyAddresses", False)
            if (ready or early) and (not host or end.get("hostname") == host[0]):
                found += end["addresses"]
    return sorted(set(found))


class Names(BaseResolver):  # type: ignore[misc]
    """Resolver of the cluster's names."""

    def __init__(self, services: Mirror, slices: Mirror) -> None:
        self._services = services
        self._slices = slices

    def resolve(self, request: Any, handler: Any) -> Any:
        """Answer a question; NXDOMAIN for names that are not of the cluster."""
        reply = request.reply()
        name = str(request.q.qname).rstrip(".").lower()
        found = None
        if name.endswith(DOMAIN) and "." in (label := name.removesuffix(DOMAIN)):
            found = addresses(label, self._services, self._slices)
        if found is None:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        elif request.q.qtype in {dnslib.QTYPE.A, dnslib.QTYPE.ANY}:
            for each in found:
                reply.add_answer(
                    dnslib.RR(request.q.qname, dnslib.QTYPE.A, rdata=dnslib.A(each), ttl=SECONDS)
                )
        return reply


def serve(address: str, services: Mirror, slices: Mirror) -> None:
    """Answer on port 53 of an address, in threads."""
    resolver = Names(services, slices)
    for tcp in (False, True):
        quiet = DNSLogger("-recv,-send,-request,-reply,-truncated,-error", False)
        DNSServer(resolver, address=address, port=53, tcp=tcp, logger=quiet).start_thread()

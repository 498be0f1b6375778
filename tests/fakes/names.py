"""A name server with one name, which may be missing, as that of a Service without ready pods."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dnslib
from dnslib.server import BaseResolver, DNSLogger, DNSServer


class FakeNames(BaseResolver):  # type: ignore[misc]
    """Resolver of one name."""

    def __init__(self) -> None:
        self.exists = False
        self.address = "127.0.0.1"
        self.asked = 0
        self.port = 0

    def resolve(self, request: Any, handler: Any) -> Any:
        reply = request.reply()
        if not self.exists:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        elif request.q.qtype == dnslib.QTYPE.A:
            address = dnslib.A(self.address)
            reply.add_answer(dnslib.RR(request.q.qname, dnslib.QTYPE.A, rdata=address, ttl=5))
        self.asked += request.q.qtype == dnslib.QTYPE.A
        return reply

    def target(self, port: int) -> str:
        """Return a gRPC target that is looked up here."""
        return f"dns://127.0.0.1:{self.port}/peer.example:{port}"


@contextmanager
def names() -> Iterator[FakeNames]:
    """Serve on a free port during the block."""
    resolver = FakeNames()
    quiet = DNSLogger("-recv,-send,-request,-reply,-truncated,-error", False)
    served = DNSServer(resolver, address="127.0.0.1", port=0, logger=quiet)
    resolver.port = served.server.server_address[1]
    served.start_thread()
    try:
        yield resolver
    finally:
        served.stop()
        served.server.server_close()

"""A name server on loopback, whose one name has the addresses that a test gives it, as the headless
Service of a cluster has those of its pods; and pods, which are servers on addresses 127.0.0.*."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from servicekit.config import ServerSettings
from servicekit.rpc import server

NAME = "test.Pods"
METHOD = f"/{NAME}/Call"
_A, _IN = 1, 1
_ANSWER = 0x8400
"""Flags: an answer, by who knows (RFC 1035, section 4.1.1)."""


class Names(asyncio.DatagramProtocol):
    """Name server with IPv4 addresses for any name, and no other records."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self._transport: Any = None

    @property
    def address(self) -> str:
        host, port = self._transport.get_extra_info("sockname")
        return f"{host}:{port}"

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, who: Any) -> None:
        end = data.index(b"\0", 12) + 5
        (kind,) = struct.unpack("!H", data[end - 4 : end - 2])
        found = self.addresses if kind == _A else []
        head = data[:2] + struct.pack("!5H", _ANSWER, 1, len(found), 0, 0)
        answers = b"".join(
            b"\xc0\x0c" + struct.pack("!HHIH", _A, _IN, 0, 4) + socket.inet_aton(each)
            for each in found
        )
        self._transport.sendto(head + data[12:end] + answers, who)


class Pods:
    """Pods of one port that are found by name."""

    def __init__(self, names: Names, age: float) -> None:
        """Set the name server and the connection age in seconds; 0: no limit."""
        self._names, self._age, self._port = names, age, 0
        self._running: list[server.RunningServer] = []
        self.answered: Counter[int] = Counter()
        """Calls, by the pod that answered them."""
        self.connections: set[str] = set()
        """Connections on which a call arrived, by the address of their client."""

    @property
    def target(self) -> str:
        """Target for channels; gRPC resolves it by our name server, not the machine's."""
        return f"dns://{self._names.address}/pods.test:{self._port}"

    async def add(self) -> None:
        """Start one more, which answers with its number, and have the name lead to it too."""
        number = len(self._running)
        host = f"127.0.0.{number + 1}"
        settings = ServerSettings(host=host, port=self._port, connection_age_seconds=self._age)

        async def call(request: bytes, context: Any) -> bytes:
            self.answered[number] += 1
            self.connections.add(context.peer())
            await asyncio.sleep(float(request or 0))
            return str(number).encode()

        async def stream(request: bytes, context: Any) -> None:
            await context.write(b"begun")
            await context.write(await call(request, context))

        def bind(_servicer: object, to: Any) -> None:
            handlers = {
                "Call": grpc.unary_unary_rpc_method_handler(call),
                "Stream": grpc.unary_stream_rpc_method_handler(stream),
            }
            to.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))

        self._running.append(
            await server.start([server.Binding(bind, None, NAME)], settings, "pods")
        )
        self._port = self._running[0].port
        self._names.addresses.append(host)

    async def stop(self) -> None:
        await asyncio.gather(*(each.stop() for each in self._running))


@asynccontextmanager
async def pods(count: int, age: float) -> AsyncIterator[Pods]:
    """Run `count` pods."""
    loop = asyncio.get_running_loop()
    transport, names = await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 0))
    made = Pods(names, age)
    try:
        for _ in range(count):
            await made.add()
        yield made
    finally:
        await made.stop()
        transport.close()

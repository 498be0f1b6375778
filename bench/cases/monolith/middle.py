"""The first hop of a chain that does nothing:
`python -m bench.cases.monolith.middle PORT NEXT NEXT`.

For each call it calls the next hops one after the other with prepared bytes, and answers with
prepared bytes: this is the cost of gRPC itself in Python.
"""

import asyncio
import sys

import grpc
import uvloop

from bench.cases.monolith.contenders import bare
from bench.harness import hop

KEEP, CALL = "/bench.Middle/Keep", "/bench.Middle/Call"


class _Middle(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    def __init__(self, *channels: grpc.aio.Channel) -> None:
        self._next = [bare(channel, hop.CALL) for channel in channels]
        self._answer, self._asked = b"", [b""] * len(channels)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes]":
        answer = self._keep if handler_call_details.method == KEEP else self._call
        return grpc.unary_unary_rpc_method_handler(answer)

    async def _keep(self, request: bytes, _context: object) -> bytes:
        """Set the sizes of the answer and of each request to the next hops."""
        answer, *asked = map(int, request.split())
        self._answer, self._asked = bytes(answer), [bytes(size) for size in asked]
        return b""

    async def _call(self, _request: bytes, _context: object) -> bytes:
        for call, asked in zip(self._next, self._asked, strict=True):
            await call(asked)
        return self._answer


async def main(port: int, *following: int) -> None:
    """Serve until killed."""
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{each}") for each in following]
    server = grpc.aio.server(handlers=[_Middle(*channels)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*map(int, sys.argv[1:])))

"""An empty server: it answers each call with the bytes that it was given before.

`python -m bench.harness.hop PORT`. A call to it costs only what gRPC itself costs in Python.
"""

import asyncio
import sys

import grpc
import uvloop

KEEP = "/bench.Hop/Keep"
CALL = "/bench.Hop/Call"


class _Hop(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    def __init__(self) -> None:
        self._kept = b""

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes]":
        answer = self._keep if handler_call_details.method == KEEP else self._call
        return grpc.unary_unary_rpc_method_handler(answer)

    async def _keep(self, request: bytes, _context: object) -> bytes:
        self._kept = request
        return b""

    async def _call(self, _request: bytes, _context: object) -> bytes:
        return self._kept


async def main(port: int) -> None:
    """Serve until killed."""
    server = grpc.aio.server(handlers=[_Hop()])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))

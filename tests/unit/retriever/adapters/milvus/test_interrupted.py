"""A restart of the engine is noticed by the end of a connection."""

import asyncio

import grpc

from retriever.adapters.milvus.index import MilvusIndex
from tests.waiting import SECONDS

QUIET_SECONDS = 0.2


async def listening(port: int = 0) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server()
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, port


async def test_each_end_of_the_connection_is_noticed_and_nothing_else() -> None:
    server, port = await listening()
    index = MilvusIndex(f"http://127.0.0.1:{port}")
    try:
        for _ in range(2):
            noticed = asyncio.create_task(index.interrupted())
            await asyncio.sleep(QUIET_SECONDS)
            assert not noticed.done()
            await server.stop(None)
            async with asyncio.timeout(SECONDS):
                await noticed
            server, _ = await listening(port)
    finally:
        await index.close()
        await server.stop(None)

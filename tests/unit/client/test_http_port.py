"""A target that is the HTTP port: the error says so."""

import asyncio

import pytest

from sightline_client import SightlineClient, Unavailable


async def test_a_target_that_answers_in_http_1_is_named_as_the_http_port() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, SightlineClient(target) as client:
        with pytest.raises(Unavailable) as caught:
            await client.status()
    assert caught.value.reason == "HTTP_PORT"
    assert caught.value.message == f"{target} is the HTTP port, not that of gRPC"

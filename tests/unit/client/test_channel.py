"""Only calls that may be repeated are repeated."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from sightline.common.v1 import job_service_pb2
from sightline_client.transport import gateway_channel
from tests.engines import free_port
from tests.fakes import names as dns
from tests.fakes.still_peer import still_peer
from tests.waiting import SECONDS

CONTRACT = Path(__file__).parents[3] / "protos/sightline/gateway/v1"
FILES = (
    job_service_pb2,
    *(
        importlib.import_module(f"sightline.gateway.v1.{path.stem}_pb2")
        for path in sorted(CONTRACT.glob("*_service.proto"))
    ),
)

MOVED_SECONDS = 20.0


def names() -> list[tuple[str, str]]:
    config = cast(Any, gateway_channel.service_config(retries=True))
    return [(n["service"], n["method"]) for n in config["methodConfig"][0]["name"]]


@asynccontextmanager
async def gateway(
    answer: Callable[..., Any], port: int = 0, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """Run a gateway that answers the first of the calls. Yield its port."""
    service, method = names()[0]
    handlers = {method: grpc.unary_unary_rpc_method_handler(answer)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    port = server.add_insecure_port(f"{host}:{port}")
    await server.start()
    yield port
    await server.stop(None)


@asynccontextmanager
async def connected(target: int | str, *, retries: bool = True) -> AsyncIterator[Any]:
    """Make that call by a client of its own."""
    service, method = names()[0]
    address = target if isinstance(target, str) else f"127.0.0.1:{target}"
    async with gateway_channel.connect(address, retries=retries, credentials=None) as peer:
        yield peer.unary_unary(f"/{service}/{method}", None, None)


async def echo(request: bytes, _context: object) -> bytes:
    return request


def test_every_public_call_has_been_decided_on() -> None:
    """Check that each call is declared idempotent in its proto or excepted here. Excepted are calls
    whose repetition has another effect: rolling back twice goes back two models or generations, a
    model is demoted once, a second try to create a generation would conflict with the first, or
    create another one, a secret that was rotated twice is not the one that was returned, and a test
    would be delivered twice."""
    public = {
        (service.full_name, method.name)
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    once = {
        *(
            ("sightline.gateway.v1.WebhookService", name)
            for name in ("RotateWebhookSecret", "SendTestDelivery")
        ),
        *(
            ("sightline.gateway.v1.AdminService", name)
            for name in ("RollbackModel", "DemoteModel", "RollbackGeneration", "CreateGeneration")
        ),
    }
    assert public == set(names()) | once
    assert len(names()) == len(public) - len(once)


def test_without_retries_nothing_is_tried_again() -> None:
    assert "methodConfig" not in gateway_channel.service_config(retries=False)


async def test_a_call_with_a_photo_is_made_again_too() -> None:
    photo = bytes(900 * 1024)  # gRPC keeps 256 KiB of a call unless it is asked to
    calls = []

    async def fails_first(request: bytes, context: Any) -> bytes:
        calls.append(len(request))
        if len(calls) == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return b"here"

    async with gateway(fails_first) as port, connected(port) as call:
        assert await call(photo, timeout=SECONDS) == b"here"
    assert calls == [len(photo)] * 2


async def test_a_new_client_is_answered_while_an_older_one_waits_to_try_again() -> None:
    port = free_port()
    async with connected(port, retries=False) as older:
        with pytest.raises(grpc.aio.AioRpcError, match="Connection refused"):
            await older(b"", timeout=SECONDS)
        async with gateway(echo, port), connected(port, retries=False) as newer:
            assert await newer(b"here", timeout=SECONDS) == b"here"


@pytest.mark.slow
async def test_calls_to_a_gateway_that_stands_still_are_made_again_at_another_one() -> None:
    async with gateway(echo) as port, still_peer() as still:
        target = f"ipv4:127.0.0.1:{still.port},127.0.0.1:{port}"
        async with connected(target) as call:
            assert await call(b"first", timeout=SECONDS) == b"first"
            await asyncio.wait_for(still.greeted.wait(), SECONDS)
            calls = (call(b"%d" % number, timeout=SECONDS) for number in range(20))
            assert await asyncio.gather(*calls) == [b"%d" % number for number in range(20)]
            await asyncio.wait_for(still.left.wait(), SECONDS)


def test_a_gateway_that_stands_still_is_found_within_the_clients_deadline() -> None:
    options = dict(gateway_channel.options(retries=True))
    every, wait = options["grpc.keepalive_time_ms"], options["grpc.http2.ping_timeout_ms"]
    assert int(every) + int(wait) < 7_000


@pytest.mark.slow
async def test_a_gateway_that_took_another_address_is_found_within_seconds() -> None:
    port = free_port()
    with dns.names() as found:
        found.exists = True
        async with connected(found.target(port)) as call:
            async with gateway(echo, port):
                assert await call(b"first", timeout=SECONDS) == b"first"
            found.address = "127.0.0.2"
            async with gateway(echo, port, "127.0.0.2"):
                # gRPC itself would look the name up 30 s after the first time.
                again = call(b"second", timeout=MOVED_SECONDS, wait_for_ready=True)
                assert await again == b"second"

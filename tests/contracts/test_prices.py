"""Every public call has a price: its caller's quota of processor time is charged before it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.message_factory import GetMessageClass

from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import Gateway, build
from servicekit import deadlines
from servicekit.admission import access, quotas
from servicekit.admission.access import PeerName
from servicekit.errors import ServiceError
from servicekit.keys.keyring import open_keys
from servicekit.rpc import owned
from sightline.common.v1 import access_pb2, price_pb2
from tests.engines import free_port
from tests.fakes.photos import photo
from tests.fakes.quotas import Usage

REQUESTS: dict[str, dict[str, Any]] = {
    "RecommendValues": {"field": "brand"},
    "RecommendShelves": {"shelves": [{"shelf_id": "a", "recommend": {}}]},
    "ExplainRecommendation": {"product_id": "a"},
    "Search": {"signals": [{"text": "lamp"}]},
    "Suggest": {"prefix": "lamp"},
    "List": {},
    "Classify": {"image": photo()},
    "DrawHeatMap": {"image": photo(), "product_id": "a"},
    "SendFrames": {"watch_id": "a", "frames": [{"image": photo()}]},
}
"""Fields of requests that are refused without them before they are charged."""


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """Yield a gateway whose peers are down."""
    nowhere = f"127.0.0.1:{free_port()}"
    settings = GatewaySettings(
        embedder_target=nowhere,
        retriever_target=nowhere,
        ranker_target=nowhere,
        vision_target=nowhere,
    )
    made = build(settings, SceneFiles(), open_keys)
    yield made
    await made.close(0.1)


def methods(gateway: Gateway) -> Iterator[tuple[Any, Any]]:
    for binding in gateway.bindings:
        for method in access.POOL.FindServiceByName(binding.full_name).methods:
            yield method, getattr(binding.servicer, method.name)


async def called(method: Any, handler: Any) -> list[float]:
    """Return what a call reserves. In a task of its own."""
    usage = Usage()
    quotas.account.set(usage)  # type: ignore[arg-type]
    request = GetMessageClass(method.input_type)(**REQUESTS.get(method.name, {}))

    with suppress(ServiceError), deadlines.within(0.3):
        if method.server_streaming:
            async for _ in handler(request, None):
                pass
        else:
            await handler(request, None)
    return usage.reserved


def test_a_price_is_declared_or_computed_and_not_both() -> None:
    for service in owned.public_services():
        for method in service.methods:
            options = method.GetOptions()
            computed = options.Extensions[access_pb2.access].priced
            assert not (computed and options.HasExtension(price_pb2.price)), method.full_name


def test_the_gateway_computes_no_price_of_the_service_of_cameras() -> None:
    methods = list(owned.methods_of(PeerName.VISION))
    assert not [
        method.name
        for method in methods
        if method.GetOptions().Extensions[access_pb2.access].priced
    ]
    declared = {
        method.name for method in methods if method.GetOptions().HasExtension(price_pb2.price)
    }
    assert {"DetectProducts", "Inspect", "SendFrames", "StartReferenceFit"} <= declared


async def test_every_public_call_is_charged_once_before_it_runs(gateway: Gateway) -> None:
    """A call is charged by the price that is declared or computed, or as any other."""
    found = [*methods(gateway)]
    reserved = await asyncio.gather(
        *(asyncio.create_task(called(method, handler)) for method, handler in found)
    )
    charged = {method.full_name: each for (method, _), each in zip(found, reserved, strict=True)}
    assert len(charged) > 100
    assert not {name: each for name, each in charged.items() if len(each) != 1 or each[0] <= 0}

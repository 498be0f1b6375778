"""Only callers with the operator's role read hidden fields, such as a product's cost."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from gateway.clients.retriever import RetrieverClient
from gateway.servicer.catalog import CatalogServicer
from gateway.state.prices import RequestPrices
from servicekit.admission import access
from servicekit.admission.access import Caller, Role
from servicekit.keys.keyring import open_keys
from sightline.gateway.v1 import catalog_service_pb2 as pb
from sightline.retriever.v1 import product_service_pb2 as retriever_pb


class Retriever:
    """Retriever that records its calls."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def call(self, _method: object, request: Any) -> Any:
        self.asked.append(request)
        if isinstance(request, retriever_pb.ListProductsRequest):
            return retriever_pb.ListProductsResponse()
        return retriever_pb.BatchGetProductsResponse(products=[{"product_id": "a"}])

    call_idempotent = call


@pytest.mark.parametrize(
    ("roles", "unshown"),
    [
        (frozenset(Role) - {Role.OPERATE}, False),
        (frozenset({Role.READ, Role.OPERATE}), True),
    ],
)
async def test_only_operators_read_what_is_not_shown(roles: frozenset[Role], unshown: bool) -> None:
    retriever, held = Retriever(), access.caller.set(Caller("caller", roles))
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        servicer = CatalogServicer(
            ["default"],
            channel,
            retriever,  # type: ignore[arg-type]
            open_keys,
            prices=RequestPrices(),
            retriever=RetrieverClient(channel, retriever),  # type: ignore[arg-type]
        )
        await servicer.GetProduct(pb.GetProductRequest(product_id="a"), None)  # type: ignore[arg-type]
        await servicer.ListProducts(pb.ListProductsRequest(), None)  # type: ignore[arg-type]
    access.caller.reset(held)
    assert [request.unshown for request in retriever.asked] == [unshown, unshown]

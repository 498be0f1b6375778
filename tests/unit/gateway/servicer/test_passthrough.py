"""What is passed on as it came has to be the same on both sides."""

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.clients.calls import Caller
from gateway.clients.embedder import EmbedderClient
from gateway.clients.ranker import RankerClient
from gateway.clients.retriever import RetrieverClient
from gateway.model.causes import Peer
from gateway.servicer import admin, catalog, events
from sightline.gateway.v1 import catalog_service_pb2
from sightline.ranker.v1 import event_service_pb2
from sightline.retriever.v1 import product_service_pb2

PRODUCTS = product_service_pb2.DESCRIPTOR.services_by_name["ProductService"]
EVENTS = event_service_pb2.DESCRIPTOR.services_by_name["EventService"]
PAIRS = [
    *(
        (catalog.SERVICE.methods_by_name[name], PRODUCTS.methods_by_name[name])
        for name in (*catalog.PASSED, *catalog.COUNTED)
    ),
    *(
        (events.SERVICE.methods_by_name[name], EVENTS.methods_by_name[other])
        for name, other in (
            ("WriteEvents", "AppendEvents"),
            ("MergeShopper", "MergeShopper"),
            ("PurgeEvents", "PurgeEvents"),
        )
    ),
]


def shape(message: Descriptor) -> Any:
    """What decides how a message is written: its fields, and those of the messages in them."""
    return {item.number: field_shape(item) for item in message.fields}


def field_shape(item: FieldDescriptor) -> Any:
    inner = item.message_type
    if inner is not None:
        inner = inner.full_name if ".common." in inner.full_name else shape(inner)
    values = (
        [(value.name, value.number) for value in item.enum_type.values] if item.enum_type else ()
    )
    oneof = item.containing_oneof.name if item.containing_oneof else ""
    return item.name, item.type, item.is_repeated, inner, values, oneof


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].name)
def test_a_call_that_is_passed_on_is_the_same_on_the_wire(pair):
    ours, theirs = pair
    assert shape(ours.input_type) == shape(theirs.input_type)
    assert shape(ours.output_type) == shape(theirs.output_type)


def test_the_orders_of_a_list_have_the_same_numbers():
    ours = catalog_service_pb2.ListProductsRequest.Order.items()
    assert ours == product_service_pb2.ListProductsRequest.Order.items()


async def test_every_call_of_the_public_services_is_served():
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        way = (channel, Caller(Peer.RANKER, reserve=0.0, longest=1.0))
        servicers = {
            admin.SERVICE: admin.AdminServicer(
                ["default"],
                scenes=None,  # type: ignore[arg-type]
                embedder=EmbedderClient(*way),
                ranker=RankerClient(*way),
                retriever=RetrieverClient(*way),
                status_seconds=1.0,
            ),
            catalog.SERVICE: catalog.CatalogServicer(["default"], *way),
            events.SERVICE: events.UserEventServicer(["default"], *way),
        }
    for service, servicer in servicers.items():
        assert all(callable(getattr(servicer, method.name)) for method in service.methods)

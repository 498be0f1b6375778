"""Every call of the public services, by its messages."""

import pytest
from google.protobuf.descriptor import MethodDescriptor

from sightline.common.v1 import job_service_pb2
from sightline.gateway.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    recommendation_service_pb2,
    user_event_service_pb2,
)
from sightline_client.transport.calls import Calls, Unary

FILES = (
    admin_service_pb2,
    catalog_service_pb2,
    job_service_pb2,
    recommendation_service_pb2,
    user_event_service_pb2,
)
METHODS = [
    method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if not method.server_streaming
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_call_has_the_messages_of_the_contract(method: MethodDescriptor) -> None:
    calls = {call.method: call for call in vars(Calls).values() if isinstance(call, Unary)}
    call = calls[method.name]
    assert call.service == method.containing_service.full_name
    assert call.request.DESCRIPTOR is method.input_type
    assert call.answer.DESCRIPTOR is method.output_type

"""Every public call of the gateway, found in the contract's descriptors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from sightline.common.v1 import job_service_pb2
from sightline.gateway.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    detection_service_pb2,
    inspection_service_pb2,
    recommendation_service_pb2,
    user_event_service_pb2,
    watch_service_pb2,
    webhook_service_pb2,
)


@dataclass(frozen=True, slots=True)
class Method:
    """A public call."""

    path: str
    name: str
    request: type[Message]
    response: type[Message]
    streams: bool


_FILES = (
    recommendation_service_pb2,
    catalog_service_pb2,
    user_event_service_pb2,
    admin_service_pb2,
    detection_service_pb2,
    inspection_service_pb2,
    watch_service_pb2,
    job_service_pb2,
    webhook_service_pb2,
)

METHODS: Mapping[str, Method] = {
    f"/{service.full_name}/{method.name}": Method(
        path=f"/{service.full_name}/{method.name}",
        name=method.name,
        request=GetMessageClass(method.input_type),
        response=GetMessageClass(method.output_type),
        streams=method.server_streaming,
    )
    for file in _FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""Methods by path."""

SERVICES = frozenset(path.split("/")[1] for path in METHODS)

READ_ONLY = frozenset(
    method.name
    for file in _FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
)
"""Calls that may be sent to a catalog that has to stay as it is."""


def named(name: str) -> Method:
    """Return the only call of that name."""
    (found,) = (method for method in METHODS.values() if method.name == name)
    return found

"""Every call of the public services can be made."""

import pytest

from sightline.common.v1 import job_service_pb2
from sightline.gateway.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    inspection_service_pb2,
    recommendation_service_pb2,
    user_event_service_pb2,
    watch_service_pb2,
)
from sightline_client.transport.calls import Calls

SERVICES = {
    "admin": admin_service_pb2,
    "catalog": catalog_service_pb2,
    "inspection": inspection_service_pb2,
    "jobs": job_service_pb2,
    "recommendation": recommendation_service_pb2,
    "events": user_event_service_pb2,
    "watches": watch_service_pb2,
}
METHODS = [
    (name, method.name)
    for name, file in SERVICES.items()
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


@pytest.mark.parametrize(
    ("service", "method"), METHODS, ids=lambda part: getattr(part, "name", part)
)
async def test_a_service_of_the_contract_is_reached_by_its_name(service: str, method: str) -> None:
    calls = Calls("127.0.0.1:1")
    assert callable(getattr(getattr(calls, service), method))
    await calls.close()

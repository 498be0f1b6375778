"""Only calls that may be repeated are repeated."""

from typing import Any, cast

from sightline.common.v1 import job_service_pb2
from sightline.gateway.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    recommendation_service_pb2,
    user_event_service_pb2,
)
from sightline_client.transport import channel

FILES = (
    job_service_pb2,
    admin_service_pb2,
    catalog_service_pb2,
    recommendation_service_pb2,
    user_event_service_pb2,
)


def names() -> list[tuple[str, str]]:
    config = cast(Any, channel.service_config(retries=True))
    return [(n["service"], n["method"]) for n in config["methodConfig"][0]["name"]]


def test_every_public_call_has_been_decided_on() -> None:
    """A new call has to say in its proto that it is idempotent, or be excepted here: going back
    twice is going back two models or generations, a model is demoted once, and a second try to
    create a generation would meet its own first, or create another one."""
    public = {
        (service.full_name, method.name)
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    once = {
        ("sightline.gateway.v1.AdminService", name)
        for name in ("RollbackModel", "DemoteModel", "RollbackGeneration", "CreateGeneration")
    }
    assert public == set(names()) | once
    assert len(names()) == len(public) - len(once)


def test_without_retries_nothing_is_tried_again() -> None:
    assert "methodConfig" not in channel.service_config(retries=False)

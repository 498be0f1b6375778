"""Every public call over the wire: without a token, with the wrong role, about another catalog."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.callers import admission
from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import access_of, build
from servicekit.admission import shoppers
from servicekit.admission.access import Caller, Role, rule
from servicekit.keys.keyring import open_keys
from servicekit.rpc import server
from servicekit.status import from_rpc_error
from sightline.common.v1 import job_service_pb2, limits_pb2
from sightline.gateway.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    recommendation_service_pb2,
    user_event_service_pb2,
    watch_service_pb2,
    webhook_service_pb2,
)
from tests.fakes.uniform_gateway import filled
from tests.unit.gateway.callers.conftest import entry
from tests.waiting import SECONDS

MODULES = (
    admin_service_pb2,
    catalog_service_pb2,
    job_service_pb2,
    recommendation_service_pb2,
    user_event_service_pb2,
    watch_service_pb2,
    webhook_service_pb2,
)


def methods() -> Iterator[MethodDescriptor]:
    for module in MODULES:
        for service in module.DESCRIPTOR.services_by_name.values():
            yield from service.methods


def name_of(method: MethodDescriptor) -> str:
    return f"{method.containing_service.full_name}/{method.name}"


NAMES = [name_of(method) for method in methods()]
BY_NAME = dict(zip(NAMES, methods(), strict=True))


@pytest.fixture
def keys(path: Path) -> Path:
    """Return a file with a key for each role, and one with all roles in another catalog."""
    every = str([role.value for role in Role])
    path.write_text(
        "".join(entry(role, role, f'["{role}"]') for role in Role)
        + entry("elsewhere", "elsewhere", every, '["elsewhere"]')
    )
    return path


@pytest.fixture
async def gateway(keys: Path) -> AsyncIterator[grpc.aio.Channel]:
    settings = GatewaySettings(port=0, keys_file=keys, catalogs=("default", "elsewhere"))
    built = build(settings, SceneFiles(), open_keys)
    running = await server.start(built.bindings, settings, "gateway", access_of(settings))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
        yield channel
    await running.stop()
    await built.close(0)


async def asked(channel: grpc.aio.Channel, name: str, token: str | None, **fields: Any) -> Any:
    """Return the reason of a rejected call; None if it is accepted."""
    method = BY_NAME[name]
    make = channel.unary_stream if method.server_streaming else channel.unary_unary
    request = message_factory.GetMessageClass(method.input_type)(**fields)
    metadata = None if token is None else (("authorization", f"Bearer {token}"),)
    call = make(f"/{name}", request_serializer=type(request).SerializeToString)(
        request, metadata=metadata, timeout=SECONDS
    )
    try:
        if method.server_streaming:
            await call.read()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    return None


def test_every_public_call_names_its_roles() -> None:
    assert len(NAMES) > 50
    assert [name for name in NAMES if not rule(name).roles] == []
    admin = {name for name in NAMES if rule(name).admin}
    assert {name for name in NAMES if name.startswith("sightline.gateway.v1.AdminService")} < admin
    assert {name.rpartition("/")[2] for name in admin} >= {
        "PurgeProducts",
        "PurgeEvents",
        "RestoreBackup",
    }
    assert "sightline.gateway.v1.UserEventService/MergeShopper" not in admin


def test_a_call_that_says_nothing_is_nobodys() -> None:
    assert rule("sightline.ranker.v1.RankingService/Rank").roles == frozenset()
    assert rule("sightline.no.Such/Call").roles == frozenset()


async def test_a_call_whose_proto_names_no_role_is_made_by_nobody(
    gateway: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "rule", lambda _name: rule("sightline.no.Such/Call"))
    for role in Role:
        assert (await asked(gateway, NAMES[0], role)).reason == "ROLE_MISSING"


def test_calls_take_as_many_megabytes_as_photos_imports_and_events_need() -> None:
    mebibytes = {
        name.rpartition("/")[2]: size
        for name in NAMES
        if (size := BY_NAME[name].GetOptions().Extensions[limits_pb2.limits].request_mib)
    }
    photos = (
        *("Recommend", "RecommendValues", "RecommendShelves", "Search"),
        *("ExplainRecommendation", "Classify", "DrawHeatMap"),
    )
    products = ("UpsertProducts", "UpdateProducts", "ImportProducts")
    watches = ("CreateWatch", "UpdateWatch", "SendFrames")
    wanted = (
        dict.fromkeys(photos, 12)
        | dict.fromkeys((*products, *watches), 32)
        | {"WriteEvents": 8, "SetSynonyms": 8, "WriteSceneDraft": 8}
    )
    assert mebibytes == wanted  # and all others one


@pytest.mark.when("protos", "kit/src/servicekit/admission", "services/gateway")
@pytest.mark.parametrize("name", NAMES)
async def test_a_call_is_admitted_by_its_roles_alone(gateway: grpc.aio.Channel, name: str) -> None:
    assert (await asked(gateway, name, None)).reason == "TOKEN_MISSING"
    assert (await asked(gateway, name, "guessed")).reason == "TOKEN_INVALID"
    assert (await asked(gateway, name, "x" * 6_144)).reason == "TOKEN_INVALID"
    takes = rule(name).roles
    for role in Role:
        refused = await asked(gateway, name, role)
        assert (refused is not None and refused.reason == "ROLE_MISSING") == (role not in takes)
    assert (await asked(gateway, name, "elsewhere")).reason == "CATALOG_FORBIDDEN"


async def test_a_merchandiser_names_no_shopper_in_any_call(gateway: grpc.aio.Channel) -> None:
    found = set[str]()
    for name in NAMES:
        kind, roles = BY_NAME[name].input_type, rule(name).roles
        if Role.MERCHANDISE not in roles or not shoppers._holding(kind):
            continue
        given = {field.name: value for field, value in filled(kind, "default").ListFields()}
        found.add(name.rpartition("/")[2])
        refused = await asked(gateway, name, Role.MERCHANDISE, **given)
        assert refused.reason == "SHOPPER_FORBIDDEN", name
        permitted = await asked(gateway, name, min(roles - {Role.MERCHANDISE}), **given)
        assert permitted is None or permitted.reason != "SHOPPER_FORBIDDEN", name
    assert found == {"Recommend", "List", "ExplainRecommendation", "DiffScene"}


@pytest.mark.parametrize("roles", [{Role.MERCHANDISE, Role.READ}, {Role.MERCHANDISE}])
def test_who_may_also_read_names_shoppers(roles: set[Role]) -> None:
    needed = frozenset({Role.READ, Role.MERCHANDISE, Role.CATALOG})
    who = Caller("ann", frozenset(roles)).permitted_by(needed)
    assert (who.shopper is None) == (Role.READ in roles)
    elsewhere = Caller("ann", frozenset(roles)).permitted_by(frozenset({Role.READ}))
    assert elsewhere.shopper is None


def test_every_catalog_that_a_request_names_is_one_that_is_looked_at() -> None:
    named = {
        field.name
        for name in NAMES
        for field in BY_NAME[name].input_type.fields
        if "catalog" in field.name and field.message_type is None
    }
    assert named == {"catalog_id", "source_catalog_id", "target_catalog_id"}


async def test_a_restore_takes_the_right_to_both_catalogs(gateway: grpc.aio.Channel) -> None:
    name = "sightline.gateway.v1.AdminService/RestoreBackup"
    one = await asked(gateway, name, "operate", source_catalog_id="elsewhere")
    other = await asked(gateway, name, "elsewhere", catalog_id="elsewhere", source_catalog_id="o")
    own = await asked(gateway, name, "operate", source_catalog_id="default")
    assert (one.reason, other.reason) == ("CATALOG_FORBIDDEN", "CATALOG_FORBIDDEN")
    assert own.reason == "RETRIEVER_UNAVAILABLE"


async def test_health_asks_nobody_who_they_are(gateway: grpc.aio.Channel) -> None:
    answer = await health_pb2_grpc.HealthStub(gateway).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING

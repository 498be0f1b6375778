"""Two ports: administrative calls are answered on their own port only, for authorized callers."""

from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import access_of, build, listeners
from servicekit.admission.access import Role, rule
from servicekit.keys.keyring import open_keys
from servicekit.rpc import server
from tests.engines import free_port
from tests.unit.gateway.callers.conftest import entry
from tests.unit.gateway.callers.test_admission import NAMES, asked

Ports = tuple[grpc.aio.Channel, grpc.aio.Channel]


@pytest.fixture
async def ports(path) -> AsyncIterator[Ports]:
    """Yield a gateway's public and administrative ports."""
    path.write_text(
        entry("all", "all", str([role.value for role in Role]))
        + entry("shop", "shop", '["events"]')
    )
    settings = GatewaySettings(port=0, admin_port=free_port(), keys_file=path)
    built = build(settings, SceneFiles(), open_keys)
    public, *also = listeners(settings, access_of(settings))
    running = await server.start(built.bindings, settings, "gateway", public.access, also=also)
    assert running.ports[1] == settings.admin_port
    outside, inside = (grpc.aio.insecure_channel(f"127.0.0.1:{port}") for port in running.ports)
    async with outside, inside:
        yield outside, inside
    await running.stop()
    await built.close(0)


@pytest.mark.full
async def test_what_operators_do_is_answered_on_their_port_alone(ports):
    for name in NAMES:
        refused = [await asked(port, name, "all") for port in ports]
        closed = [error is not None and error.reason == "ADMIN_PORT_ONLY" for error in refused]
        assert closed == [rule(name).admin, False], name


async def test_a_refusal_names_the_port(ports):
    outside, _ = ports
    refused = await asked(outside, "sightline.gateway.v1.AdminService/GetStatus", "all")
    port = refused.metadata["port"]
    assert port in refused.message
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as named:
        assert await asked(named, "sightline.gateway.v1.AdminService/GetStatus", "all") is None


async def test_both_ports_ask_who_calls(ports):
    name = "sightline.gateway.v1.AdminService/PromoteModel"
    for port in ports:
        assert (await asked(port, name, None)).reason == "TOKEN_MISSING"
        assert (await asked(port, name, "shop")).reason == "ROLE_MISSING"


async def test_health_is_answered_on_both(ports):
    for port in ports:
        answer = await health_pb2_grpc.HealthStub(port).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_two_ports_are_not_the_same():
    with pytest.raises(ValueError, match="admin_port"):
        GatewaySettings(admin_port=8600)

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from local_suite.health import Probe, grpc_serving, http_ok, triton_ready
from servicekit.telemetry import serve_metrics
from tests.engines import free_port
from tests.waiting import until


class Engine:
    """Health, and Triton's readiness as a bare method."""

    def __init__(self) -> None:
        self.health = health.HealthServicer()
        self.ready = b"\x08\x01"
        self.server = grpc.server(ThreadPoolExecutor(2))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: self.ready)
        service = "inference.GRPCInferenceService"
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {"ServerReady": handler}),)
        )
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()


def answers(probe: Probe) -> None:
    """Wait until the probe answers: it waits for a second, which a busy machine may need for one
    check."""
    asyncio.run(until(probe))


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.server.stop(0).wait()


def test_a_service_is_healthy_only_while_it_says_serving(engine: Engine) -> None:
    probe = grpc_serving(engine.port, "test.Echo")
    assert not probe()
    engine.health.set("test.Echo", health_pb2.HealthCheckResponse.SERVING)
    answers(probe)
    engine.health.set("test.Echo", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert not probe()
    answers(grpc_serving(engine.port))


def test_triton_is_healthy_only_when_all_its_models_are(engine: Engine) -> None:
    answers(triton_ready(engine.port))
    engine.ready = b""
    assert not triton_ready(engine.port)()


def test_metrics_that_answer_are_healthy() -> None:
    port = free_port()
    assert not http_ok(port)()
    stop = serve_metrics(port)
    answers(http_ok(port))
    stop()


def test_nothing_on_the_port_is_unhealthy_at_once() -> None:
    port = free_port()
    assert not any(probe() for probe in (grpc_serving(port), triton_ready(port), http_ok(port)))


def test_a_port_that_another_program_took_is_unhealthy(engine: Engine) -> None:
    answers(grpc_serving(engine.port))
    assert not http_ok(engine.port)()


@pytest.mark.slow
def test_a_port_that_takes_connections_but_never_answers_is_unhealthy_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        for probe in (grpc_serving(port), http_ok(port)):
            assert not probe()


def test_a_proxy_from_the_environment_is_not_asked(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    answers(grpc_serving(engine.port))

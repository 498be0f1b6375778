"""Metrics of the agents' server."""

import asyncio

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.types import Message, Receive, Scope, Send

from sightline_agents import serving
from sightline_agents.measuring import Measured
from tests.unit.agents.conftest import Agent


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_each_request_is_counted_by_protocol_and_status_but_probes(
    web: httpx.AsyncClient,
) -> None:
    name = "sightline_agents_request_seconds_count"
    wanted = [("mcp", "405"), ("other", "404"), ("other", "200")]
    before = [count(name, protocol=protocol, status=status) for protocol, status in wanted]
    await web.get(serving.MCP)
    await web.get("/nothing/here")
    await web.get(serving.LIVE)
    after = [count(name, protocol=protocol, status=status) for protocol, status in wanted]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 0]
    assert count("sightline_agents_requests_in_flight") == 0


async def test_errors_of_tools_are_counted_by_reason(agent: Agent) -> None:
    name = "sightline_agents_tool_errors_total"
    before = count(name, tool="search_products", reason="PHOTO_INVALID")
    await agent.failure("search_products", photo="no photo")
    assert count(name, tool="search_products", reason="PHOTO_INVALID") == before + 1


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError, "500"), (asyncio.CancelledError, "499")]
)
async def test_a_request_without_an_answer_is_counted_too(
    error: type[BaseException], status: str
) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    async def never() -> Message:
        raise AssertionError

    async def nowhere(_: Message) -> None:
        raise AssertionError

    name = "sightline_agents_request_seconds_count"
    before = count(name, protocol="mcp", status=status)
    with pytest.raises(error):
        await Measured(failing, unmeasured=serving.LIVE)(
            {"type": "http", "path": serving.MCP}, never, nowhere
        )
    assert count(name, protocol="mcp", status=status) == before + 1

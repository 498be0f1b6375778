"""The commands and programs of docs/integrate/agents.md, at a suite with the wines."""

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client, StdioServerParameters

from tests import npm
from tests.engines import ROOT, free_port
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

PAGE = (ROOT / "docs/integrate/agents.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8690"
PHOTO = "100062"
INSPECTOR = Path(__file__).parent / "inspector"


def block(kind: str, words: str) -> str:
    """Return the one block of this kind that has these words."""
    (found,) = (text for each, text in BLOCKS if each == kind and words in text)
    return str(found)


@pytest.fixture(scope="module")
def environment(gateway: str, shop_is_open: None) -> dict[str, str]:
    """Return the environment in which the page's commands run."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SIGHTLINE_TARGET": gateway,
    }


@pytest.fixture(scope="module")
def address(environment: dict[str, str]) -> Iterator[str]:
    """Start the server as the page says, on a free port."""
    port = free_port()
    command = block("sh", "sightline-agents http").strip()
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=ROOT,
        env=environment | {"SIGHTLINE_AGENTS_PORT": str(port)},
    )
    try:
        until_live(f"http://127.0.0.1:{port}/live")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(SECONDS) == 0


def until_live(url: str) -> None:
    end = time.monotonic() + SECONDS
    while True:
        with contextlib.suppress(httpx.TransportError):
            assert httpx.get(url, timeout=SECONDS).status_code == 200
            return
        assert time.monotonic() < end, "the server does not start"
        time.sleep(0.1)


def typed(text: str, environment: dict[str, str], address: str) -> str:
    """Run a block in the repository's root. Return what it prints."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text.replace(ADDRESS, address)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_an_agent_on_the_machine_finds_a_wine_by_its_photo(
    environment: dict[str, str],
) -> None:
    server = json.loads(block("json", "mcpServers"))["mcpServers"]["shop"]
    photo = base64.b64encode((ROOT / f"examples/wines/images/{PHOTO}.jpg").read_bytes()).decode()
    parameters = StdioServerParameters(
        command=str(Path(sys.executable).with_name(server["command"])),
        args=server["args"],
        env=environment,
    )
    async with Client(parameters) as agent:
        answer = await agent.call_tool("search_products", {"photo": photo, "page_size": 3})
        assert answer.structured_content is not None, answer
        (first, *_) = answer.structured_content["products"]
        assert first["product_id"] == PHOTO
        explained = await agent.call_tool("explain_result", {"photo": photo, "product_id": PHOTO})
        assert explained.structured_content is not None, explained
        assert explained.structured_content["outcome"] == "SHOWN"
        picture = await agent.read_resource(first["photo"])
        assert picture.contents[0].mime_type == "image/jpeg"
        listed = await agent.call_tool("list_values", {"count": 3})
        assert listed.structured_content is not None, listed
        for value in listed.structured_content["values"]:
            filtered = await agent.call_tool("list_products", {"filter": value["filter"]})
            assert filtered.structured_content is not None, filtered
            assert filtered.structured_content["product_count"] == value["product_count"]


def test_the_pages_program_finds_the_wine(environment: dict[str, str], address: str) -> None:
    program = block("python", "call_tool").replace(ADDRESS, address)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 Origem Merlot ")


def test_the_inspector_finds_the_wine(
    environment: dict[str, str], address: str, tmp_path: Path
) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(INSPECTOR / name, tmp_path)
    npm_options = npm.environment()
    subprocess.run(["npm", "ci"], cwd=tmp_path, env=npm_options, check=True, capture_output=True)
    command = block("sh", "inspector@")
    version = json.loads((INSPECTOR / "package.json").read_text())["dependencies"]
    asked = f"npx @modelcontextprotocol/inspector@{version['@modelcontextprotocol/inspector']}"
    assert asked in command
    local = command.replace(asked, str(tmp_path / "node_modules/.bin/mcp-inspector"))
    answer = json.loads(typed(local, environment, address))
    assert answer["isError"] is False
    assert answer["structuredContent"]["products"][0]["product_id"] == PHOTO


async def test_pages_of_a_search_follow_one_another(address: str) -> None:
    seen: list[str] = []
    async with Client(f"{address}/mcp") as agent:
        token: Any = ""
        for _ in range(3):
            answer = await agent.call_tool(
                "search_products", {"text": "red wine", "page_size": 4, "page_token": token}
            )
            assert answer.structured_content is not None, answer
            seen += [each["product_id"] for each in answer.structured_content["products"]]
            token = answer.structured_content["next_page_token"]
    assert len(set(seen)) == 12


async def test_many_agents_are_answered_side_by_side(address: str) -> None:
    async def ask(text: str) -> int:
        async with Client(f"{address}/mcp") as agent:
            answer = await agent.call_tool("search_products", {"text": text, "page_size": 2})
            assert answer.structured_content is not None, answer
            return len(answer.structured_content["products"])

    assert await asyncio.gather(*(ask(f"wine {at}") for at in range(12))) == [2] * 12


def test_every_block_of_the_page_is_used_here() -> None:
    words = (
        ("sh", "pip install"),  # tests/contracts/test_wheels.py
        ("json", "mcpServers"),
        ("sh", "compose.agents.yaml"),  # these three: tests/contracts/test_agents_deployment.py
        ("yaml", "components/agents"),
        ("sh", "agents-token"),
        ("sh", "sightline-agents http"),
        ("sh", "inspector@"),
        ("python", "call_tool"),
    )
    assert sorted(block(*each) for each in words) == sorted(text for _, text in BLOCKS)

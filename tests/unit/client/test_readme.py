"""The snippets of client/README.md run."""

import ast
import asyncio
import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sightline_client.cli import app
from tests.fakes.gateway import FakeGateway

README = (Path(__file__).parents[3] / "client" / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.split(" | ")[0].strip()
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("sightline ")
]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the files that the README names."""
    monkeypatch.chdir(tmp_path)
    for name in ("shelf.jpg", "photos/a.jpg", "clothing/hat/b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"jpeg")
    (tmp_path / "wines.csv").write_text("id,title,images\nwine-1,Barolo,a.jpg\n")
    (tmp_path / "prices.csv").write_text("id,price,currency\nwine-1,9.90,EUR\n")
    (tmp_path / "events.csv").write_text("event_id,type,product_id,user_id\ne1,VIEW,wine-1,u\n")
    (tmp_path / "requests.jsonl").write_text('{"image": "shelf.jpg", "filter": "tags:Beef"}\n')
    return tmp_path


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.split("\n")[0][:40])
def test_every_snippet_runs(snippet: str, gateway: FakeGateway, desk: Path) -> None:
    code = compile(
        snippet.replace("127.0.0.1:8600", gateway.target),
        "README.md",
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
    )
    names: dict[str, Any] = {}

    async def run() -> None:
        running = eval(code, names)  # noqa: S307
        if inspect.isawaitable(running):
            await running

    asyncio.run(run())
    assert sum(map(len, gateway.requests.values())) > 0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(
    command: str, gateway: FakeGateway, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.status.pending_images = 0
    monkeypatch.setenv("SIGHTLINE_TARGET", gateway.target)
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    assert result.exit_code == 0, result.output


def test_there_are_snippets_and_commands_to_run() -> None:
    assert len(SNIPPETS) >= 9
    assert len(COMMANDS) >= 20

"""Snippets and migrations of docs/ run; tests/live/test_start.py runs the first day."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sightline_client import SyncSightlineClient
from sightline_client.cli import app
from tests.fakes.gateway import FakeGateway

DOCS = Path(__file__).parents[3] / "docs"
TYPED_LIVE = {"start", "tutorials"}
TYPED_LIVE_TOO = {"access.md", "agents.md", "inspect.md"}
"""Pages that tests/live/test_access.py runs, with a gateway that authenticates callers, and
tests/live/test_agents.py, with the server of agents; tests/live/test_inspection.py, with photos of
pieces."""
SNIPPETS = [
    (page.name, snippet)
    for page in sorted([*DOCS.glob("*/*.md"), *DOCS.glob("merchandise/scenes/*.md")])
    if page.parent.name not in TYPED_LIVE and page.name not in TYPED_LIVE_TOO
    for snippet in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
]
MIGRATIONS = [
    (page.name, line)
    for page in sorted((DOCS / "compare").glob("*.md"))
    for block in re.findall(r"^```\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    for line in block.splitlines()
]
FILES = {
    "gorse.md": {
        "items.csv": "item_id,is_hidden,category,labels,comment\n1,false,Wine,red|dry,A bottle\n",
        "feedback.csv": "type,user_id,item_id,time_stamp\nVIEW,u,1,2026-01-01T10:00:00Z\n",
    },
    "personalize.md": {
        "items.csv": (
            "ITEM_ID,NAME,PRICE,CATEGORY_L1,CREATION_TIMESTAMP\n1,A bottle,9.5,Wine,1767225600\n"
        ),
        "interactions.csv": (
            "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE\n"
            "u,1,1767225600,View,\nu,1,1767225700,Purchase,2\n"
        ),
    },
    "vertex-ai-search.md": {
        "products.jsonl": "google-retail.jsonl",
        "user-events.jsonl": "google-retail-events.jsonl",
    },
}
"""Exports of the other systems: the text, or an example of the repository."""


@pytest.mark.parametrize(("page", "snippet"), SNIPPETS)
def test_every_snippet_runs(
    page: str, snippet: str, gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shelf.jpg").write_bytes(b"jpeg")
    with SyncSightlineClient(gateway.target) as client:
        names: dict[str, Any] = {"client": client, "Path": Path}
        exec(compile(snippet, page, "exec"), names)  # noqa: S102
    assert sum(map(len, gateway.requests.values())) > 0


@pytest.mark.parametrize(("page", "line"), MIGRATIONS)
def test_every_migration_writes_all_rows(
    page: str, line: str, gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGHTLINE_TARGET", gateway.target)
    for name, text in FILES[page].items():
        example = DOCS.parent / "examples" / "exports" / text.strip()
        Path(name).write_text(example.read_text("utf-8") if "\n" not in text else text, "utf-8")
    done = CliRunner().invoke(app, shlex.split(line)[1:])
    assert done.exit_code == 0, done.output
    assert " rejected" not in done.output
    assert " duplicates" not in done.output or " 0 duplicates" in done.output


def test_there_are_snippets_and_migrations() -> None:
    assert len(SNIPPETS) >= 2
    assert {page for page, _ in MIGRATIONS} == set(FILES)

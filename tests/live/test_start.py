"""The pages of the first day are typed in their order: each from where a reader is by then."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.wines.local import free_port_base

ROOT = Path(__file__).parents[2]
START = ROOT / "docs" / "start"
PAGES = re.findall(r"\]\((\S+\.md)\)", (START / "README.md").read_text())[:8]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 900
ACTIVATE = ". .venv/bin/activate"


class Desk:
    """A checkout in which somebody types, with a suite of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = free_port_base()
        folder.mkdir()
        for entry in ROOT.iterdir():
            if entry.name not in {".data", ".git"}:
                (folder / entry.name).symlink_to(entry)
        shutil.copytree(ROOT / "examples", folder / "own", symlinks=True)
        (folder / "examples").unlink()
        (folder / "own").rename(folder / "examples")
        self._environment = {
            **os.environ,
            "DATA": str(folder / ".data"),
            "PORT_BASE": str(self._port),
            "SIGHTLINE_TARGET": f"127.0.0.1:{self._port}",
            "HOME": str(folder / "home"),
            "COLUMNS": "120",
        }

    def shell(self, command: str) -> str:
        """Type a command; what it prints. AssertionError when it ends with anything but 0."""
        done = subprocess.run(
            ["bash", "-c", f"{ACTIVATE}\n{command}"],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def python(self, snippet: str) -> str:
        """Run a snippet; what it prints."""
        path = self.folder / "snippet.py"
        path.write_text(snippet.replace("127.0.0.1:8600", f"127.0.0.1:{self._port}"))
        done = subprocess.run(
            [sys.executable, "-W", "error", path.name],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{snippet}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def page(self, name: str) -> dict[str, str]:
        """Type all of a page; what each command printed."""
        said: dict[str, str] = {}
        for kind, block in BLOCK.findall((START / name).read_text()):
            if kind == "python":
                said[block] = self.python(block)
                continue
            for line in block.splitlines():
                assert line.startswith("$ "), line
                said[line[2:]] = self.shell(line[2:])
        return said


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("start") / "sightline")
    try:
        yield made
    finally:
        made.shell("make down")


def test_the_first_day_page_by_page(desk: Desk) -> None:
    assert len(PAGES) == 8
    said = {name: desk.page(name) for name in PAGES}
    first = said["quickstart.md"]
    assert "What to type next" in first["make up WINES=1"]
    found = first["sightline recommend --image examples/wines/images/100062.jpg --top 5"]
    assert "Origem Merlot" in found
    assert any("100062 Origem Merlot" in text for text in first.values())
    catalog = said["load-my-catalog.md"]
    assert any("column wineid looks like id" in text for text in catalog.values())
    assert sum("100 products stored" in text for text in catalog.values()) == 1
    again = said["send-my-events.md"]["sightline events import examples/exports/ga4.jsonl"]
    assert "0 new, 4 there already" in again
    trained = said["train-and-promote.md"]
    assert (
        "is trained and kept, and does not serve yet" in trained["sightline models train --promote"]
    )
    assert "serves no more; none does." in trained["sightline models demote"]
    after = trained["sightline recommend --user alice --top 3"]
    assert "ranking model: none yet" in after
    assert "Degraded" not in after

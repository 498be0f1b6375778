"""The commands of the first hour and the first day run in the order of their pages. Between them
the suite is disturbed, and the printed advice is followed.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.wines.local import free_port_base
from local_suite import programs
from local_suite.__main__ import from_environment
from local_suite.programs import PORTS
from tests.advice import commands
from tests.live.test_page import in_browser
from tests.tools import tool

pytestmark = pytest.mark.when("client", "docs", "protos")

ROOT = Path(__file__).parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"
PAGES = re.findall(r"^\d+\. \[.*?\]\((\S+\.md)\)", (TUTORIALS / "README.md").read_text(), re.M)
A_DAY = "a-day.md"
BY_CURL = "shop-by-curl.md"
HERE = "127.0.0.1:8600"
HTTP = "127.0.0.1:8680"
PROBLEM = '"domain":"sightline"'
"""In each error over HTTP, which curl prints as any answer."""
QUICKSTART = "../start/quickstart.md"
FIRST_HOUR = "## The first hour"
"""Heading of the quickstart's second part, which has a suite of its own."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 900
FROM_ADDRESSES = "sightline products import examples/exports/shopify.csv --set currency=EUR"
ACTIVATE = ". .venv/bin/activate"
LEFT_OUT = "…"
VARIES = re.compile(r"\b[0-9a-f]{8,}\b|\d+(?:[.,:]\d+)*")
"""Ids, numbers, times."""


class Desk:
    """A checkout in which the commands run, with a suite of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port_base()
        folder.mkdir()
        for entry in ROOT.iterdir():
            if entry.name not in {".data", ".git"}:
                (folder / entry.name).symlink_to(entry)
        shutil.copytree(ROOT / "examples", folder / "own", symlinks=True)
        (folder / "examples").unlink()
        (folder / "own").rename(folder / "examples")
        (folder / "experiments").mkdir()
        # Whoever types has no `make` above the shell, whose jobs make's own words would speak of.
        typed_by_make = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in typed_by_make},
            "GATEWAY_EXPERIMENTS_FOLDER": str(folder / "experiments"),
            "DATA": str(folder / ".data"),
            "PORT_BASE": str(self.port),
            "SIGHTLINE_TARGET": f"127.0.0.1:{self.port}",
            "HOME": str(folder / "home"),
            "COLUMNS": "120",
        }

    def shell(self, command: str, code: int = 0) -> str:
        """Run a command. Return its output. Raise AssertionError if it exits with another code than
        `code`."""
        done = subprocess.run(
            ["bash", "-c", f"{ACTIVATE}\n{self.here(command)}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == code, f"{command}\n{done.stdout}"
        return done.stdout

    def here(self, text: str) -> str:
        """Return the commands with the ports of this suite."""
        text = text.replace(HTTP, f"127.0.0.1:{self.port + PORTS[programs.HTTP]['http']}")
        return text.replace(HERE, self.environment["SIGHTLINE_TARGET"])

    def python(self, snippet: str) -> str:
        """Run a snippet. Return its output."""
        path = self.folder / "snippet.py"
        path.write_text(self.here(snippet))
        done = subprocess.run(
            [sys.executable, "-W", "error", path.name],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{snippet}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def page(self, name: str) -> dict[str, str]:
        """Run all commands of a page. Return the output of each."""
        said: dict[str, str] = {}
        first, _, _ = (TUTORIALS / name).read_text().partition(FIRST_HOUR)
        for kind, block in BLOCK.findall(first):
            if kind == "python":
                said[block] = self.python(block)
            if kind in {"python", "yaml"}:
                continue
            for line in block.splitlines():
                assert line.startswith("$ "), line
                said[line[2:]] = self.shell(line[2:])
                assert PROBLEM not in said[line[2:]], said[line[2:]]
        return said


def transcript(name: str, begin: str = "# ") -> list[tuple[str, list[str]]]:
    """Return the commands and snippets of a page from a heading on, each command with the lines
    that the page shows as output."""
    typed: list[tuple[str, list[str]]] = []
    _, _, shown = (TUTORIALS / name).read_text().partition(begin)
    for kind, block in BLOCK.findall(shown):
        if kind == "python":
            typed.append((block, []))
        for line in block.splitlines() if kind == "console" else ():
            if line.startswith("$ "):
                typed.append((line[2:], []))
            elif line:
                typed[-1][1].append(line)
    return typed


def bare(line: str) -> str:
    """Return a line without variable parts: numbers and the width of tables."""
    return " ".join(re.sub("─+", "─", VARIES.sub("#", line)).split())


SCENES = [*(ROOT / "services" / "gateway" / "src" / "gateway" / "state" / "scenes").glob("*.toml")]
WAITING = "Waiting for vectors."
"""Line that a command prints if the machine was too busy to have the vectors already."""


def shown(expected: list[str], printed: str) -> bool:
    """Return whether a command prints the page's lines, except for numbers and omitted lines."""
    actual = list(filter(None, map(bare, printed.splitlines())))
    actual = [line for line in actual if not line.startswith(WAITING)]
    at = 0
    for before, line in zip(["", *expected], expected, strict=False):
        if line == LEFT_OUT:
            continue
        if before == LEFT_OUT:
            while at < len(actual) and actual[at] != bare(line):
                at += 1
        if at == len(actual) or actual[at] != bare(line):
            return False
        at += 1
    return at == len(actual) or expected[-1:] == [LEFT_OUT]


def said_to_fix(printed: str) -> list[str]:
    """Return the commands of every "Fix"."""
    words = " ".join(printed.split())
    return commands(" ".join(part.partition("Next: ")[0] for part in words.split("Fix: ")[1:]))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("start") / "sightline")
    try:
        yield made
    finally:
        made.shell("make down")


def test_the_first_hour_goes_as_the_page_shows_it(desk: Desk) -> None:
    typed = transcript(QUICKSTART, FIRST_HOUR)
    assert len(typed) > 10
    assert said_to_fix(desk.shell("sightline status", code=1)) == [typed[0][0]]
    for command, expected in typed:
        printed = desk.shell(command)
        wanted = "\n".join(expected)
        assert shown(expected, printed), f"$ {command}\n{wanted}\n--- prints\n{printed}"


@pytest.mark.full
@pytest.mark.parametrize(("out", "inside"), [("ranker", "retriever"), ("retriever", "ranker")])
def test_a_suite_that_lost_a_part_is_started_anew_elsewhere_if_need_be(
    desk: Desk, out: str, inside: str
) -> None:
    """Take a service out of the one process, lose it, and find the port of another one taken."""
    services = ("gateway", "embedder", "retriever", "ranker")
    target = "TARGET=" + ",".join(each for each in services if each != out)
    ports = {name: desk.port + PORTS[name]["grpc"] for name in (out, inside)}
    desk.shell(f"make down && make up {target}")
    from_environment("status", desk.environment).stop(out)
    said = desk.shell("sightline doctor", code=1)
    assert f"{out} does not listen on port {ports[out]}" in said
    stop, start = said_to_fix(said)[:2]
    assert (stop, start) == ("make down", f"make up PORT_BASE={desk.port} {target}")
    assert commands(desk.shell("make up", code=2)) == [stop]  # it runs, after all
    desk.shell(stop)
    assert said_to_fix(desk.shell("sightline doctor", code=1)) == [start]
    with socket.create_server(("127.0.0.1", ports[inside])):
        said = desk.shell("sightline doctor", code=1)
        taken = f"another program has its port {ports[inside]} ({inside})"
        assert taken in " ".join(said.split())
        (elsewhere,) = said_to_fix(said)
        desk.shell(start, code=2)
        desk.shell(elsewhere)
        target = f"127.0.0.1:{elsewhere.partition('=')[2]}"
        assert "No problem found." in desk.shell(f"sightline doctor --target {target}")
    desk.shell(stop)


@pytest.mark.full
def test_the_first_day_page_by_page(desk: Desk) -> None:
    assert len(PAGES) == 8
    said: dict[str, dict[str, str]] = {}
    for name in PAGES:
        said[name] = desk.page(name)
        if name == QUICKSTART:  # before load-my-catalog.md names the hosts
            assert "URI_FORBIDDEN" in desk.shell(FROM_ADDRESSES, code=1)
    first = said[QUICKSTART]
    assert "What to type next" in first["make up WINES=1"]
    found = first["sightline recommend --image examples/wines/images/100062.jpg --top 5"]
    assert "Origem Merlot" in found
    assert any("100062 Origem Merlot" in text for text in first.values())
    catalog = said["load-my-catalog.md"]
    assert any("column wineid looks like id" in text for text in catalog.values())
    assert sum("100 products stored" in text for text in catalog.values()) == 1
    refused = desk.shell(FROM_ADDRESSES, code=1)
    assert "URI_FORBIDDEN" not in refused
    assert "the host's name can't be resolved" in " ".join(refused.split())
    again = said["send-my-events.md"]["sightline events import examples/exports/ga4.jsonl"]
    assert "0 new, 4 duplicates" in again
    trained = said["train-and-promote.md"]
    assert (
        "is trained and kept, and does not serve yet" in trained["sightline models train --promote"]
    )
    after = desk.shell("sightline recommend --user alice --top 3")
    assert "raw score" in after
    assert "Degraded" not in after


def test_a_shop_by_curl_goes_as_the_page_shows_it(desk: Desk) -> None:
    (products,) = re.findall(
        r"^```json\n(.*?)^```$", (TUTORIALS / BY_CURL).read_text(), re.M | re.S
    )
    (desk.folder / "products.json").write_text(products)
    desk.shell("make down; rm -rf .data && make up")
    typed = transcript(BY_CURL)
    assert len(typed) > 12
    for command, expected in typed:
        printed, wanted = desk.shell(command), "\n".join(expected)
        assert shown(expected, printed), f"$ {command}\n{wanted}\n--- prints\n{printed}"


@pytest.mark.full
def test_a_day_goes_as_the_page_shows_it(desk: Desk) -> None:
    files = [
        block for kind, block in BLOCK.findall((TUTORIALS / A_DAY).read_text()) if kind == "toml"
    ]
    (desk.folder / "experiments" / "home.toml").write_text(*files)
    (up,) = re.findall(r"^make up WINES=1.*$", (TUTORIALS / A_DAY).read_text(), re.MULTILINE)
    desk.shell("make down")  # of the other pages
    desk.shell(up)
    for command, expected in transcript(A_DAY):
        if "\n" in command:
            desk.python(command)
            continue
        printed, wanted = desk.shell(command), "\n".join(expected)
        assert shown(expected, printed), f"$ {command}\n{wanted}\n--- prints\n{printed}"
    see(desk.folder / ".data" / "demo" / "scenes.html")


def see(path: Path) -> None:
    """Check the page of all scenes in a phone's view: each has products with photos."""
    sections = path.read_text().split("<h2>")[1:]
    assert len(sections) == len(SCENES) + 1, "each scene, and one of them with controls"
    for section in sections:
        cards = section.partition('<ol class="cards">')[2].partition("</ol>")[0]
        assert 'src="data:image/jpeg;base64,' in cards, section.partition("</h2>")[0]
    for tab, trouble in in_browser(tool("chromium"), path, "light"):
        widths = tab.eval_on_selector_all("img", "images => images.map(each => each.naturalWidth)")
        assert len(widths) > 3 * len(sections)
        assert min(widths) > 0
        assert trouble == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390

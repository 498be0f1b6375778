"""Every page for integrators shows curl and Python, and each of these commands answers.

tests/live/test_start.py types those of the tutorials, tests/live/test_python_pages.py the Python of
the pages for integrators.
"""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from local_suite.suite import Suite
from tests.live.test_http import ADDRESS, ROOT
from tests.waiting import SECONDS

pytestmark = pytest.mark.when("client", "docs", "protos")

INTEGRATE, TUTORIALS = ROOT / "docs/integrate", ROOT / "docs/tutorials"
TYPED = {
    "http.md": "tests/live/test_http.py",
    "agents.md": "tests/live/test_agents.py",
    "labels.md": "tests/live/test_labels.py",
    "inspect.md": "tests/live/test_inspection.py",
    "webhooks.md": "tests/live/test_webhooks.py",
}
"""Pages whose commands have a test of their own."""
WITHOUT = {
    *("README.md", "errors.md"),  # without commands
    "agents.md",  # agents speak MCP, by its own clients
    *("browser-events.md", "typescript-shop.md"),  # of a client that is no single call
}
WITHOUT_PYTHON = WITHOUT | {"http.md", "shop-by-curl.md"}  # of HTTP alone
PHOTO = ROOT / "examples/wines/images/100191.jpg"
PHOTOS = ("shelf.jpg", "photo.jpg", "street.jpg", "a.jpg")
NO_SPACE = "CLASSIFIER_UNAVAILABLE"
"""Reason of a catalog on which no space was fitted, as the wines of these tests."""
LATE = "DEADLINE_EXCEEDED"
COMMANDS = [
    (page.name, command)
    for page in sorted(INTEGRATE.glob("*.md"))
    if page.name not in TYPED
    for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    for command in re.split(r"\n(?=curl )", block)
    if command.startswith("curl ")
]


@pytest.mark.parametrize("page", sorted([*INTEGRATE.glob("*.md"), *TUTORIALS.glob("*.md")]))
def test_a_page_with_commands_shows_curl(page: Path) -> None:
    assert page.name in WITHOUT or re.search(r"^(\$ )?curl ", page.read_text("utf-8"), re.M)


@pytest.mark.parametrize("page", sorted([*INTEGRATE.glob("*.md"), *TUTORIALS.glob("*.md")]))
def test_a_page_with_commands_shows_python(page: Path) -> None:
    assert page.name in WITHOUT_PYTHON or re.search(r"^```python$", page.read_text("utf-8"), re.M)


def typed(command: str, folder: Path) -> dict[str, Any]:
    """Return what a command prints in a folder."""
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_each_command_answers(
    page: str, command: str, suite: Suite, shop_is_open: None, tmp_path: Path
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for name in PHOTOS:
        shutil.copyfile(PHOTO, tmp_path / name)
    end = time.monotonic() + SECONDS
    answer = typed(command.replace(ADDRESS, suite.http), tmp_path)
    while answer.get("reason") == LATE and time.monotonic() < end:  # a busy machine
        answer = typed(command.replace(ADDRESS, suite.http), tmp_path)
    if ":classify" in command:
        assert answer.get("reason") in {None, NO_SPACE}, answer
    else:
        assert "reason" not in answer, answer
        assert answer, page
        items = [each.get("status", {}) for each in answer.get("results", ())]
        assert not [each for each in items if each.get("code")]

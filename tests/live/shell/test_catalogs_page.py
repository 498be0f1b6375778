"""The commands of docs/operate/catalogs.md, typed in their order."""

import re
import shlex
from pathlib import Path

import pytest

from tests.live.hands import Hands

PAGE = (Path(__file__).parents[3] / "docs/operate/catalogs.md").read_text("utf-8")
COMMANDS = re.findall(r"^sightline (.+)$", PAGE, re.MULTILINE)


@pytest.fixture
def hands(gateway: str, tmp_path: Path) -> Hands:
    return Hands(gateway, tmp_path, "default")


def test_the_page_s_commands_work_in_their_order(hands: Hands) -> None:
    shown = {line: hands.run(*shlex.split(line)) for line in COMMANDS}
    assert len(shown) >= 5
    created, *_, last = shown.values()
    assert "Staging shop" in created
    assert "0.5" in last
    assert "staging" in shown["catalogs list"]
    found = hands.facts("catalogs", "show", "staging")
    assert (found["catalogId"], found["quotaShare"]) == ("staging", 0.5)
    stale = hands.run("catalogs", "update", "staging", "--name", "x", "--etag", "old", code=1)
    assert "ETAG_MISMATCH" in stale
    assert "CATALOG_EXISTS" in hands.run("catalogs", "create", "default", code=1)
    assert "sightline catalogs" not in hands.run("catalogs", "show", "staging")

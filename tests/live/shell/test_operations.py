"""The commands of the operations handbook, each run in the situation that it is for."""

import re
import shutil
from pathlib import Path

import pytest

from tests.live.hands import WINES, Hands
from tests.live.shell.test_fixes import newest_backup

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/operations.md").read_text("utf-8")
COMMANDS = set(re.findall(r"(?:\$ |`)sightline ([^`\n]+)", PAGE))
TYPED_ELSEWHERE = {
    "models rollback": "tests/live/test_commands.py",
    "index rollback": "tests/live/apart/test_versions.py",
    "index rebuild": "tests/live/test_backups.py",
}
"""Tests in which an earlier version exists, and in which the engine lost its data."""
SHOP = WINES[:6]
TYPED: set[str] = set()


@pytest.fixture(scope="module")
def hands(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Hands:
    """Return the command line with a few product files, and an empty installation."""
    hands = Hands(gateway, tmp_path_factory.mktemp("operations"), "operations")
    hands.write("shop.csv", [wine.id for wine in SHOP])
    (hands.folder / "photos").mkdir()
    for wine in SHOP:
        shutil.copyfile(wine.image, hands.folder / "photos" / wine.image.name)
    return hands


def type_(hands: Hands, command: str, **names: str) -> str:
    TYPED.add(command)
    return hands.run(*(names.get(word, word) for word in command.split()))


def test_a_fresh_installation_is_tried(hands: Hands) -> None:
    type_(hands, "status")
    stored = hands.run("products", "import", "shop.csv", "--images", "photos")
    assert "6 products stored" in stored
    hands.run("products", "status", "--wait")
    shown = hands.run("recommend", "--top", "3")
    assert "Degraded" not in shown
    assert sum(wine.id in shown for wine in SHOP) == 3


def test_what_is_looked_at_each_day_and_a_bad_import_that_is_taken_back(hands: Hands) -> None:
    assert "No problem found" in type_(hands, "doctor")
    type_(hands, "backup create")
    backup = newest_backup(hands)
    type_(hands, "backup list")
    type_(hands, "index list")
    type_(hands, "jobs list")
    assert "No watches." in type_(hands, "watch list")
    assert "No references" in type_(hands, "inspect list")
    hands.run("products", "delete", SHOP[0].id)
    type_(hands, "backup restore ID --force", ID=backup)
    assert sorted(hands.ids()) == sorted(wine.id for wine in SHOP)
    type_(hands, "backup delete ID", ID=backup)


def test_every_command_of_the_handbook_was_typed() -> None:
    for command, test in TYPED_ELSEWHERE.items():
        quoted = '", "'.join(command.split())
        text = (ROOT / test).read_text("utf-8")
        assert quoted in text or f"sightline {command}" in text, command
    assert TYPED | TYPED_ELSEWHERE.keys() == COMMANDS

"""The commands of the operations handbook, each typed where a reader of it is by then."""

import re
import shutil
from pathlib import Path

import pytest

from local_suite.suite import Suite
from tests.live.hands import WINES, Hands
from tests.live.shell.test_fixes import newest_backup, typed_until

PAGE = Path(__file__).parents[3] / "docs/operations.md"
COMMANDS = set(re.findall(r"(?:\$ |`)sightline ([^`\n]+)", PAGE.read_text("utf-8")))
TYPED_ELSEWHERE = {"models rollback", "index rollback"}
"""By test_commands.py, where there is something before what serves."""
SHOP = WINES[:6]
TYPED: set[str] = set()


@pytest.fixture(scope="module")
def hands(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Hands:
    """Somebody who has a few products at hand, and an installation without any."""
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
    assert "6 products stored" in type_(hands, "products import shop.csv --images photos")
    type_(hands, "products status --wait")
    shown = type_(hands, "recommend --top 3")
    assert "Degraded" not in shown
    assert sum(wine.id in shown for wine in SHOP) == 3


def test_what_is_looked_at_each_day_and_a_bad_import_that_is_taken_back(hands: Hands) -> None:
    assert "Nothing is wrong" in type_(hands, "doctor")
    type_(hands, "backup create")
    backup = newest_backup(hands)
    assert backup in type_(hands, "backup list")
    assert "visual" in type_(hands, "index list")
    assert "backup" in type_(hands, "jobs list")
    hands.run("products", "delete", SHOP[0].id)
    type_(hands, "backup restore ID --force", ID=backup)
    assert sorted(hands.ids()) == sorted(wine.id for wine in SHOP)
    type_(hands, "backup delete ID", ID=backup)
    hands.run("products", "status", "--wait")


def test_an_engine_that_lost_its_data_is_found_and_filled(hands: Hands, suite: Suite) -> None:
    photo = ("recommend", "--image", str(SHOP[0].image))
    suite.stop("milvus")
    shutil.rmtree(suite.layout.data / "milvus")
    try:
        typed_until(hands, "status", expected="milvus", code=1)
        typed_until(hands, "doctor", expected="milvus does not answer", code=1)
        found = hands.facts(*photo)
        assert "INDEX_UNAVAILABLE" in str(found["degradations"])
        assert found["results"][0]["product"]["productId"] == SHOP[0].id
    finally:
        suite.start("milvus")
    type_(hands, "index rebuild")
    hands.run("index", "rebuild", "--space", "text")
    typed_until(hands, "status")
    assert not hands.facts(*photo).get("degradations")
    assert TYPED | TYPED_ELSEWHERE == COMMANDS

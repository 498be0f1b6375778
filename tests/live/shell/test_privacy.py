"""The commands of docs/privacy.md, typed for a shopper with events."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.live.hands import WINES, Hands

pytestmark = pytest.mark.full

PAGE = (Path(__file__).parents[3] / "docs/privacy.md").read_text("utf-8")
CONSENT, RIGHTS = (
    [shlex.split(line)[1:] for line in block.splitlines()]
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
)
SHOPPER = "1209683"


@pytest.fixture(scope="module")
def hands(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Hands:
    """Return the command line with a shopper who bought a wine."""
    hands = Hands(gateway, tmp_path_factory.mktemp("privacy"), "privacy")
    rows = [
        "event_id,type,product_id,user_id,order_id",
        f"privacy-1,PURCHASE,{WINES[0].id},{SHOPPER},order-of-1209683",
    ]
    (hands.folder / "events.csv").write_text("\n".join(rows) + "\n")
    hands.run("events", "import", "events.csv")
    return hands


def test_the_page_shows_and_stores_consents(hands: Hands) -> None:
    shows, withdraws, changes = CONSENT
    assert re.search(r"train +granted +by default", hands.run(*shows))
    shown = hands.run(*withdraws)
    assert re.search(r"train +refused", shown)
    assert re.search(r"train +withdrawn +account page", shown)
    assert re.search(r"experiment +refused", hands.run(*changes))
    hands.run("privacy", "consent", "--default", "--give", "EXPERIMENT", "--source", "test")


def test_the_page_gives_a_copy_erases_and_shows_the_receipt(hands: Hands) -> None:
    export, erase, receipt = RIGHTS
    assert "records of" in hands.run(*export)
    copy = json.loads((hands.folder / export[-1]).read_text())
    assert [one["order_id"] for one in copy["events"]] == ["order-of-1209683"]
    shown = hands.run(*erase)
    assert re.search(r"events +1\b", shown)
    assert re.search(r"events +1\b", hands.run(*receipt))
    assert "SHOPPER_NOT_FOUND" in hands.run(*export, code=1)

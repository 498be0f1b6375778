"""The commands of docs/operate/private-counts.md, typed for a shop with a hundred buyers."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.live.hands import WINES, Hands

pytestmark = pytest.mark.full

PAGE = (Path(__file__).parents[3] / "docs/operate/private-counts.md").read_text("utf-8")
(BLOCK,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
COUNT, BY_COUNTRY, BUDGET = (shlex.split(line)[1:] for line in BLOCK.splitlines())
BUYERS = 300


@pytest.fixture(scope="module")
def hands(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Hands:
    """Return the command line with many buyers of one wine, and one buyer of another."""
    hands = Hands(gateway, tmp_path_factory.mktemp("counts"), "counts")
    rows = ["event_id,type,product_id,user_id"]
    rows += [f"counts-{n},PURCHASE,{WINES[0].id},counts-{n}" for n in range(BUYERS)]
    rows += [f"counts-rare,PURCHASE,{WINES[1].id},counts-0"]
    (hands.folder / "counts.csv").write_text("\n".join(rows) + "\n")
    hands.run("events", "import", "counts.csv")
    return hands


def test_the_page_counts_and_shows_the_budget(hands: Hands) -> None:
    shown = hands.run(*COUNT, "--most-products", "1")
    (folder,) = re.findall(r"^file://(\S+)$", shown.replace("folder ", "folder\n"), re.MULTILINE)
    found = json.loads((Path(folder) / "counts.json").read_text())
    counts = {one["product_id"]: one["shoppers"] for one in found["counts"]}
    assert abs(counts[WINES[0].id] - BUYERS) < 100, "300 and noise of 2.8"
    assert WINES[1].id not in counts, "one buyer"
    assert "threshold" in hands.run(*BY_COUNTRY)
    left = hands.run(*BUDGET)
    assert "Epsilon 1.5 of 3 in 365 days is left." in left
    assert re.search(r"0\.5 +1e-08 +shoppers by product, PURCHASE", left)


def test_more_than_is_left_is_refused_with_what_is_left(hands: Hands) -> None:
    said = hands.run("privacy", "counts", "--epsilon", "2", code=1)
    assert "PRIVACY_BUDGET_SPENT" in said
    assert "epsilon 1.5" in said

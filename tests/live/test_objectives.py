"""The page Objectives, typed as it stands, in a shop of its own."""

import re
import shlex
from pathlib import Path

import pytest

from sightline_client import SightlineClient
from tests.live.hands import Hands
from tests.waiting import until

pytestmark = pytest.mark.full

PAGE = (Path(__file__).parents[2] / "docs/merchandise/objectives.md").read_text("utf-8")
(FILE,) = re.findall(r"^```\n(id,title.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NUMBERS, OBJECTIVE = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [shlex.split(each)[1:] for each in re.findall(r"^sightline .+$", PAGE, re.MULTILINE)]


async def test_the_commands_of_the_page_do_what_it_says(gateway: str, tmp_path: Path) -> None:
    hands = Hands(gateway, tmp_path, "cellar")
    (tmp_path / "cellar.csv").write_text(FILE, "utf-8")
    (tmp_path / "earn.toml").write_text(f"{OBJECTIVE}\n{NUMBERS}", "utf-8")
    imported, check, diff = COMMANDS
    async with SightlineClient(gateway, catalog="cellar") as client:
        await client.create_catalog("cellar")
        assert "4 products stored" in hands.run(*imported)
        checked = hands.run(*check)
        assert "It would be accepted" in checked
        assert "numbers.attributes.abv.least" in checked

        async def answered() -> bool:
            answer = await client.recommend(visitor="taster", page_size=4)
            return len(answer.results) == 4 and not answer.degradations

        await until(answered)

        async def compared() -> bool:
            facts = hands.facts(*diff)
            return int(facts.get("answerCount", 0)) > 0

        await until(compared)
        shown = hands.run(*diff)
        assert "objective_strength" in shown
        assert "NOT MEASURED" in shown  # no model has learned chances
        product = await client.get_product("white-1")
        assert product.cost is not None
        assert (product.rating, product.rating_count, product.stock) == (4.0, 8, 25)

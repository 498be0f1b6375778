"""The commands of docs/merchandise/synonyms.md, typed at a suite, and what they change."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from sightline_client import InvalidRequest, Product, SightlineClient, SynonymRule
from tests.live.hands import SIGHTLINE
from tests.waiting import SECONDS, until

PAGE = (Path(__file__).parents[2] / "docs/merchandise/synonyms.md").read_text("utf-8")
(FILE,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(COMMANDS,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SET, SHOW = (shlex.split(line)[1:] for line in COMMANDS.splitlines())
SHOP = "shoes"
TITLES = {"p0": "Blue sneaker", "p1": "Trainer", "p2": "Red wine", "p3": "Sofa"}


def typed(gateway: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SIGHTLINE, *arguments, "--target", gateway, "--catalog", SHOP],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd=folder,
    )


@pytest.mark.when("docs", "client", "services/retriever")
async def test_shoppers_find_products_by_other_words(gateway: str, tmp_path: Path) -> None:
    async with SightlineClient(gateway, catalog=SHOP) as client:
        await client.create_catalog(SHOP)
        await client.upsert_products([Product(name, title) for name, title in TITLES.items()])
        assert (await client.get_synonyms()).rules == ()

        (tmp_path / "synonyms.txt").write_text(FILE, encoding="utf-8")
        done = typed(gateway, tmp_path, *SET)
        assert (done.returncode, "3 rules" in done.stdout) == (0, True), done.stderr
        shown = typed(gateway, tmp_path, *SHOW).stdout
        assert shown.splitlines() == [
            *("sneaker, trainer, running shoe", "couch, sofa", "vino, vin => wine")
        ]

        async def reasons() -> dict[str, str]:
            answer = await client.recommend(text="trainers", language="en", page_size=4)
            return {
                each.product.product_id: reason.text
                for each in answer.results
                for reason in each.reasons
                if reason.code == "MATCHES_WORDS"
            }

        async def used() -> bool:
            return "p0" in await reasons()

        await until(used)
        assert (await reasons())["p0"] == "Has “sneaker”, which means “trainers” here"
        listed = await client.listing(text="vino")
        assert [each.product.product_id for each in listed.results] == ["p2"]
        found = await client.suggest("couch")
        assert [each.product_id for each in found.suggestions if each.product_id] == ["p3"]

        (tmp_path / "wrong.txt").write_text("sofa, couch\n\n=> wine\n", encoding="utf-8")
        wrong = typed(gateway, tmp_path, "synonyms", "set", "wrong.txt")
        assert wrong.returncode == 1
        assert "line 3" in wrong.stderr
        with pytest.raises(InvalidRequest):
            await client.set_synonyms([SynonymRule(("alone",))])
        assert len((await client.get_synonyms()).rules) == 3

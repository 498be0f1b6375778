"""The commands about typing errors of docs/integrate/texts.md, typed at a suite with the wines."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from sightline_client import CorrectedQuery, SightlineClient
from tests.live.hands import SIGHTLINE
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

PAGE = (Path(__file__).parents[2] / "docs/integrate/texts.md").read_text("utf-8")
SECTION = PAGE.partition("## Typing errors")[2].partition("\n## ")[0]
(COMMANDS,) = re.findall(r"^```sh\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
CORRECTED, AS_TYPED = (shlex.split(line)[1:] for line in COMMANDS.splitlines())


def typed(gateway: str, *arguments: str) -> str:
    done = subprocess.run(
        [SIGHTLINE, *arguments, "--target", gateway],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def test_the_page_corrects_a_text(gateway: str, shop_is_open: None) -> None:
    assert "Searched for “merlot” instead of “merlto”." in typed(gateway, *CORRECTED)
    assert "Searched for" not in typed(gateway, *AS_TYPED)


async def test_a_corrected_text_has_the_answer_of_the_right_one(
    gateway: str, shop_is_open: None
) -> None:
    async with SightlineClient(gateway) as client:
        right, wrong = await client.search(text="merlot"), await client.search(text="merlto")
        assert right.corrected_queries == ()
        assert wrong.corrected_queries == (CorrectedQuery(0, "merlto", "merlot"),)
        ids = [[each.product.product_id for each in found.results] for found in (right, wrong)]
        assert ids[0] == ids[1]
        recommended = await client.recommend(text="merlto")
        assert recommended.corrected_queries == wrong.corrected_queries

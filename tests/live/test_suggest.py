"""The commands of docs/integrate/suggest.md, typed at a suite with the wines."""

import json
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from local_suite.suite import Suite
from sightline_client import (
    Event,
    EventType,
    SightlineClient,
    Suggestion,
    SuggestionKind,
    Suggestions,
)
from tests.live.hands import SIGHTLINE
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

PAGE = (Path(__file__).parents[2] / "docs/integrate/suggest.md").read_text("utf-8")
COMMANDS, CURL, REPORTS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PLAIN, TOP, MISTYPED = (shlex.split(line)[1:] for line in COMMANDS.splitlines())
SEARCHES, MISSING = (shlex.split(line)[1:] for line in REPORTS.splitlines())


def typed(gateway: str, *arguments: str) -> str:
    done = subprocess.run(
        [SIGHTLINE, *arguments, "--target", gateway],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_kind(found: Suggestions, kind: SuggestionKind) -> Sequence[Suggestion]:
    return [each for each in found.suggestions if each.kind is kind]


def test_the_page_suggests_and_corrects(gateway: str, suite: Suite, shop_is_open: None) -> None:
    assert "merlot" in typed(gateway, *PLAIN).lower()
    assert "red wine" in typed(gateway, *TOP).lower()
    found = json.loads(typed(gateway, *MISTYPED))
    assert found["corrected"]
    assert any("merlot" in each["text"].lower() for each in found["suggestions"])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", CURL.replace("http://127.0.0.1:8680", suite.http)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    assert 0 < len(answer["suggestions"]) <= 5
    assert not answer.get("degradations")


async def test_what_is_suggested_is_found(client: SightlineClient) -> None:
    found = await client.suggest("mer", top=20)
    for each in found.suggestions:
        marked = [each.text[part].casefold() for part in each.highlights]
        assert "mer" in marked or each.kind is SuggestionKind.PRODUCT, each
    for each in of_kind(found, SuggestionKind.COMPLETION):
        listed = await client.listing(text=each.text)
        assert listed.product_count > 0
    for each in of_kind(found, SuggestionKind.FACET_VALUE):
        listed = await client.listing(filter=each.filter)
        assert listed.product_count > 0
    for each in of_kind(found, SuggestionKind.PRODUCT):
        assert (await client.get_product(each.product_id)).title == each.text


async def test_searches_of_enough_shoppers_are_suggested(gateway: str, shop_is_open: None) -> None:
    """In a catalog of its own: searches are counted again after ten minutes only."""
    searches = [
        Event(f"{text}-{number}", EventType.SEARCH, visitor=f"cookie-{number}", query=text)
        for text, count in (("Merlot  dry", 20), ("secret", 19))
        for number in range(count)
    ]
    async with SightlineClient(gateway, catalog="suggested") as client:
        assert sum([b.written_count async for b in client.write_events(searches)]) == len(searches)
        found = await client.suggest("dry mer")
        (past,) = found.suggestions
        assert (past.kind, past.text) == (SuggestionKind.PAST_SEARCH, "merlot dry")
        assert (await client.suggest("secret")).suggestions == ()
        top = await client.top_searches()
        assert [(one.text, one.shopper_count) for one in top.searches] == [("merlot dry", 20)]
        assert top.searches[0].product_count == 0
    assert "merlot dry" in typed(gateway, *SEARCHES, "--catalog", "suggested")
    assert "merlot dry" in typed(gateway, *MISSING, "--catalog", "suggested")

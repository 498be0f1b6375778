"""The commands of docs/integrate/http.md, typed at a suite with the wines."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.http import openapi
from gateway.http.contract import public_methods
from local_suite.suite import Suite
from tests.waiting import SECONDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/integrate/http.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8680"
PHOTO = "100062"


def typed(block: str, suite: Suite, **replaced: str) -> list[Any]:
    """Run a block in the repository's root. Return the JSON values that it prints."""
    for name, value in {ADDRESS: suite.http, **replaced}.items():
        block = block.replace(name, value)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(values(done.stdout))


def values(text: str) -> Any:
    """Yield the values that follow one another in a text; a text that is none as it is."""
    decoder, at = json.JSONDecoder(), 0
    if not text.startswith("{"):
        yield text
        return
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        yield value


def block(words: str) -> str:
    """Return the one block that has these words."""
    (found,) = (each for each in BLOCKS if words in each)
    return str(found)


@pytest.mark.parametrize("words", ["--data-binary", "signals[0].image"])
def test_a_search_by_photo_finds_its_own_wine(words: str, suite: Suite, shop_is_open: None) -> None:
    (answer,) = typed(block(words), suite)
    assert len(answer["results"]) == 3
    assert PHOTO in [each["product"]["productId"] for each in answer["results"]]


def test_a_recommendation_passes_its_filter(suite: Suite, shop_is_open: None) -> None:
    (answer,) = typed(block(":recommend \\\n"), suite)
    assert len(answer["results"]) == 3
    prices = [each["product"]["price"] for each in answer["results"]]
    assert all(int(price["units"]) < 50 for price in prices)
    assert answer["attributionToken"]


def test_products_are_read_and_listed(suite: Suite, shop_is_open: None) -> None:
    product, listed = typed(block("pageSize=2"), suite)
    assert product["productId"] == PHOTO
    assert len(listed["products"]) == 2


def test_products_and_events_are_written(suite: Suite, shop_is_open: None) -> None:
    upserted, written, deleted = typed(block("products:upsert"), suite)
    assert upserted["results"][0]["etag"]
    assert written["writtenCount"] == 1
    assert deleted["deletedCount"] == 1


def test_an_error_is_that_of_the_page(suite: Suite, shop_is_open: None) -> None:
    (problem,) = typed(block("pagesize"), suite)
    (shown,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert problem | {"requestId": "…"} == json.loads(shown)


def test_a_job_is_followed_to_its_end(suite: Suite, shop_is_open: None) -> None:
    jobs = f"curl -s '{ADDRESS}/v1/catalogs/default/jobs?pageSize=1&kind=train'"
    (listed,) = typed(jobs, suite)
    job = listed["jobs"][0]["jobId"].replace("/", "%2F")
    (events,) = typed(block("JOB_ID"), suite, JOB_ID=job)
    assert events.startswith("id: 1\ndata: {")
    assert "event: end" in events


def test_every_command_of_the_page_is_typed_here() -> None:
    words = (
        "--data-binary",
        "signals[0].image",
        ":recommend \\\n",
        "pageSize=2",
        "products:upsert",
        "pagesize",
        "JOB_ID",
    )
    assert sorted(map(block, words)) == sorted(BLOCKS)


def test_the_description_names_every_address(suite: Suite, shop_is_open: None) -> None:
    (described,) = typed(f"curl -s {ADDRESS}/openapi.json", suite)
    assert described == openapi.describe(public_methods(), openapi.sources())

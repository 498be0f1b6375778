"""The pages that compare systems deny no capability that the contract has."""

from pathlib import Path

import pytest

from gateway.http.contract import public_methods

PAGES = sorted((Path(__file__).parents[2] / "docs/compare").glob("*.md"))
ABSENT = "not available"
CALLS = {
    "segment": "ListSegments",
    "page-level": "RecommendShelves",
    "shelves": "RecommendShelves",
    "complet": "Suggest",
    "suggest": "Suggest",
    "brand": "RecommendValues",
    "facet": "List",
    "browse": "List",
    "orderby": "List",
    "boost": "Recommend",
    "promotion": "Recommend",
    "buy it again": "Recommend",
    "recently viewed": "Recommend",
    "similar": "Recommend",
    "personalized-ranking": "Recommend",
    "search": "Search",
    "explain": "ExplainRecommendation",
    "experiment": "ListExperiments",
    "metric": "GetEvaluation",
    "attribution": "GetOnlineReport",
    "branch": "CopyCatalog",
    "purge": "PurgeProducts",
    "erase": "EraseUser",
}
"""The call that does what words of another system name, in lower case."""


def denied(page: str) -> list[str]:
    """Return what the rows of a page call absent, in lower case."""
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ")]
    return [row[1].lower() for row in rows if any(ABSENT in each.lower() for each in row[2:])]


@pytest.mark.parametrize("page", PAGES, ids=lambda each: each.name)
def test_no_row_denies_what_a_call_does(page: Path) -> None:
    said = denied(page.read_text("utf-8"))
    assert [(each, call) for each in said for words, call in CALLS.items() if words in each] == []


def test_the_calls_of_the_words_are_in_the_contract() -> None:
    assert set(CALLS.values()) <= {each.descriptor.name for each in public_methods()}


def test_a_row_that_denies_a_call_is_found() -> None:
    assert denied("| User Segmentation | not available | |\n| item | product | |") == [
        " user segmentation "
    ]

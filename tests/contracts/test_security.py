"""docs/operate/security.md: each line of its table names tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operate/security.md").read_text("utf-8")


def lines() -> list[list[str]]:
    """The cells of each line of the threat model."""
    table = PAGE.partition("| asset |")[2].partition("\n\n")[0]
    rows = [row.strip("|").split(" | ") for row in table.splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in rows]


def test_each_promise_names_who_is_stopped_and_tests_that_there_are() -> None:
    assert len(lines()) >= 10
    for asset, attacker, stops, shown in lines():
        assert all((asset, attacker, stops)), asset
        tests = re.findall(r"`(tests/[^`]+)`", shown)
        assert tests, f"{asset}: nothing shows it"
        for test in tests:
            assert "def test_" in (ROOT / test).read_text("utf-8"), test


def test_reports_are_asked_for_in_private_where_github_looks() -> None:
    page = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "Report a vulnerability" in page
    assert "docs/operate/security.md" in page
    assert "SECURITY.md" in PAGE

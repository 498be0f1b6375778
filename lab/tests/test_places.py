"""Pages that show the tables of benches, and the README that lists all."""

import re

import pytest

from bench.harness import docs
from lab.__main__ import BENCHES, SET
from lab.places import BLOCKS, LAB, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_every_page_has_the_comments_of_its_bench(name: str) -> None:
    text = PAGES[name].read_text()
    assert name in BENCHES
    for block in BLOCKS.get(name, (name,)):
        start, end = docs.marks(block)
        assert text.count(start) == text.count(end) == 1
        assert text.index(start) < text.index(end)


def test_the_readme_has_a_row_for_each_bench() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (LAB / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(BENCHES)


def test_other_forms_are_of_benches_that_there_are() -> None:
    assert {*SET.longer, *SET.samples} <= set(BENCHES)

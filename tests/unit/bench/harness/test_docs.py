"""Tables in the pages that show them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.__main__ import BENCHES, SET
from bench.harness import docs
from bench.harness.machine import ROOT
from bench.harness.model import BenchResult, BenchTable, Goal, PageBlock

RESULT = BenchResult(
    (BenchTable("Steps", ("what", "1-NN"), (("a | b", "61.0"),), "of 2 photos"),), {}
)


def test_the_tables_replace_what_stood_between_the_comments_and_nothing_else(
    tmp_path: Path,
) -> None:
    page = tmp_path / "page.md"
    start, end = docs.marks("ablation")
    page.write_text(f"# Page\n{start}\nold\n{end}\nafter\n")
    docs.write("ablation", RESULT, page)
    docs.write("ablation", RESULT, page)
    assert page.read_text() == (
        f"# Page\n{start}\n**Steps.** of 2 photos\n\n"
        f"| what | 1-NN |\n| --- | --- |\n| a / b | 61.0 |\n{end}\nafter\n"
    )


def test_pictures_stand_beside_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("\n".join(docs.marks("capacity")))
    docs.write("capacity", replace(RESULT, pictures={"a.svg": "<svg/>"}), page)
    assert (tmp_path / "a.svg").read_text() == "<svg/>"


def test_what_was_not_measured_leaves_the_page_as_it_is(tmp_path: Path) -> None:
    docs.write("ablation", BenchResult((), {}), tmp_path / "absent.md")


def test_a_page_without_the_comments_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    with pytest.raises(ValueError, match="has no <!-- bench ablation -->"):
        docs.write("ablation", RESULT, page)


def test_a_page_of_several_blocks_has_each_with_its_own_tables_and_goals(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("\nbetween\n".join("\n".join(docs.marks(one)) for one in ("texts", "more")))
    table = RESULT.tables[0]
    blocks = {
        "texts": PageBlock((table,)),
        "more": PageBlock((replace(table, title="More"),), (Goal("speed", 1, "ms", None),)),
    }

    docs.write("texts", replace(RESULT, page=blocks), page)

    first, second = page.read_text().split("\nbetween\n")
    assert "**Steps.**" in first
    assert "speed" not in first
    assert "**More.**" in second
    assert "- NOT MEASURED: speed" in second


def test_a_bench_whose_page_has_no_block_today_leaves_it_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("\n".join(docs.marks("texts")))
    docs.write("texts", replace(RESULT, page={}), page)
    assert page.read_text() == "\n".join(docs.marks("texts"))


@pytest.mark.parametrize("name", SET.pages)
def test_every_page_has_the_comments_of_its_bench(name: str) -> None:
    text = SET.pages[name].read_text()
    assert name in BENCHES
    start, end = docs.marks(name)
    assert text.count(start) == text.count(end) == 1
    assert text.index(start) < text.index(end)


def test_the_readme_has_a_row_for_each_bench() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "bench" / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(BENCHES)

"""The generated products without photos, and the figures of the bench."""

import csv
from pathlib import Path

import pytest

from bench.cases import text_imports
from bench.cases.text_imports import TextChunk
from bench.harness.model import GoalVerdict
from retriever.domain.texts import text_of

CHUNKS = [TextChunk(1_000, 10, 1, {"triton": 6.0, "embedder": 2.0}, 8, 5) for _ in range(6)]


def test_the_goal_compares_rates_of_the_same_texts() -> None:
    goal = text_imports.goal(CHUNKS)
    assert goal.measured is not None
    assert goal.measured.value == pytest.approx(0.8)
    assert goal.verdict is GoalVerdict.MET
    assert text_imports.goal([]).verdict is GoalVerdict.NOT_MEASURED


def test_the_table_gives_milliseconds_a_product() -> None:
    rows = {row[0]: row[1] for row in text_imports.table(CHUNKS).rows}
    assert rows["texts/s, table to searchable"] == "100.0"
    assert rows["texts/s, onnxruntime alone"] == "125.0"
    assert rows["the suite, ms"] == "8.00"
    assert rows["suite ÷ raw"] == "1.60"


def test_no_two_products_share_a_text_and_the_table_has_them_all(tmp_path: Path) -> None:
    products = [text_imports.product(number) for number in range(500)]
    assert len(set(map(text_of, products))) == len(products)
    text_imports.write(tmp_path / "p.csv", products)
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [each.product_id for each in products]

"""The bench of searches by the record, on a small catalog."""

import asyncio
from pathlib import Path

import pytest

from lab.cases import standin


@pytest.mark.slow
def test_a_small_catalog_is_measured_without_an_engine(tmp_path: Path) -> None:
    case = asyncio.run(standin.measure(str(tmp_path), 200, 8))
    assert len(case.reading) == standin.ROUNDS
    assert {name: len(taken) for name, taken in case.searches.items()} == dict.fromkeys(
        standin.CONDITIONS, standin.QUERIES
    )
    assert case.peak_bytes >= case.held_bytes > 200 * 8 * 4
    found = standin.result([case])
    (table,) = found.tables
    assert [len(row) for row in table.rows] == [len(table.headers)]
    assert table.rows[0][:2] == ("200", "8")

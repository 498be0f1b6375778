"""The bench of recommendations for users among a million products: its table."""

from bench.cases.monolith.asking import USER
from bench.cases.monolith.load import LoadCell
from lab.cases.million_users import ONE, table
from local_suite.programs import APART


def test_each_shape_has_a_row_of_its_own_figures() -> None:
    cells = {
        (name, USER, callers): LoadCell(
            name, USER, callers, costs=[cost], rates=[10.0 * cost], medians=[100.0 * callers]
        )
        for name, cost in ((APART, 12.0), (ONE, 8.0))
        for callers in (1, 8)
    }
    apart, one = table(cells, {APART: 4.25, ONE: 3.0}).rows
    assert [row[0] for row in (apart, one)] == [APART, ONE]
    assert ["12.0" in apart[2], "8.0" in one[2], "100" in apart[1]] == [True] * 3
    assert [apart[-1], one[-1]] == ["4.2", "3.0"]

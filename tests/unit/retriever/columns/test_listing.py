"""Order of lists of products, on columns in memory."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.columns.listing import Position, first_positions
from retriever.columns.table import ProductTable
from retriever.domain.product import ProductOrder
from sightline_rules.evaluation.work import Work
from tests.unit.retriever.rows import row


@pytest.mark.parametrize("order", ProductOrder)
@given(data=st.data())
def test_pages_are_those_of_all_products_in_order(order: ProductOrder, data: st.DataObject) -> None:
    """Few values, so that ids decide often."""
    times = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=12))
    prices = data.draw(st.lists(st.integers(0, 3), min_size=len(times), max_size=len(times)))
    rows = [
        row(f"p{number:02}", create_time=time, price_micros=10**6 * price, currency="EUR")
        for number, (time, price) in enumerate(zip(times, prices, strict=True))
    ]
    table, places = ProductTable(data.draw(st.permutations(rows)), 1), np.arange(len(rows))
    size = data.draw(st.integers(1, 4))
    whole = done(first_positions(table, places, order, None, len(rows)))
    assert len({*whole}) == len(rows)
    pages: list[Position] = []
    while page := done(first_positions(table, places, order, pages[-1] if pages else None, size)):
        assert len(page) == min(size, len(rows) - len(pages))
        pages += page
    assert pages == [*whole]


def done(work: Work[Sequence[Position]]) -> Sequence[Position]:
    """Return the result of work that is done at once."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: Sequence[Position] = end.value
            return found

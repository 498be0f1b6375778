"""The page of two shops has the simulation's figures, and costs are those of their parts."""

from dataclasses import replace

import pytest

from bench import sizing
from bench.sizing import ShopSize
from lab import sizing_shops
from lab.capacity import runs
from lab.capacity.inputs import large_work
from lab.capacity.scenarios import MIX
from lab.sizing_shops import Needs, Prices

SHOPS = sizing_shops.PAGE.read_text("utf-8")


def test_the_page_of_two_shops_holds_its_table_and_says_where_each_figure_is_from() -> None:
    made = sizing.filled(SHOPS, {"shops": sizing_shops.table()})
    assert made == SHOPS, "run: python -m lab.sizing_shops"
    _, _, *rows = sizing_shops.table().splitlines()
    origins = [row.split(" | ")[-2] for row in rows]
    assert set(origins) == {sizing_shops.SIMULATED, sizing_shops.EXTRAPOLATED}
    assert all(row.split(" | ")[-1].removesuffix(" |") for row in rows), "each has its source"


def test_shops_cost_what_their_parts_do() -> None:
    small, large = (Needs(each, 80) for each in sizing_shops.simulated())
    shop = ShopSize(1_000_000, 80)
    usual, free = Prices(), Prices(processor=0.0, memory=0.0, disk=0.0)
    assert small.month(shop, free) == 0
    assert small.month(shop, usual) == pytest.approx(
        small.month(shop, replace(free, processor=usual.processor))
        + small.month(shop, replace(free, memory=usual.memory))
        + small.month(shop, replace(free, disk=usual.disk))
    )
    assert large.pods > 5 * small.pods
    busy = {name: need / small.size["pods"][name] for name, need in busy_pods(100.0).items()}
    assert max(busy.values()) <= runs.PLANNED


def busy_pods(rate: float) -> dict[str, float]:
    return runs.needs(rate, MIX, large_work)

import math
from statistics import fmean, variance

import numpy as np
import pytest
from scipy import stats

from servicekit.rpc.requests import RequestInvalid
from vision.detection.stock import (
    ShelfStock,
    StockLack,
    StockRequest,
    StockSuggestion,
    checked,
    demand_quantile,
    gamma_quantile,
    quantity,
    suggest,
)
from vision.domain.detections import CountedSales, ProductSales

TODAY = 20_000


def one(sales: CountedSales | None, on_shelf: int = 4, known_day: int = 0) -> StockSuggestion:
    shelf = ShelfStock({"a": on_shelf}, {"a": known_day} if known_day else {})
    (found,) = suggest(StockRequest(), shelf, sales)
    return found


def sold(units: dict[int, int], first_day: int = TODAY - 56) -> CountedSales:
    """Return sales by days before today."""
    by_day = {TODAY - ago: count for ago, count in units.items()}
    return CountedSales(first_day, TODAY - 1, {"a": ProductSales(min(by_day, default=0), by_day)})


@pytest.mark.parametrize("mean", [0.3, 4.0, 60.0, 199.0, 201.0, 5_000.0, 1e6])
@pytest.mark.parametrize("excess", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.999])
def test_quantiles_of_demand_equal_those_of_scipy(mean: float, excess: float, level: float) -> None:
    shape = mean / excess if excess else math.inf
    exact = stats.nbinom(shape, 1 / (1 + excess)) if excess else stats.poisson(mean)

    assert demand_quantile(level, mean, excess) == pytest.approx(exact.ppf(level), abs=1, rel=1e-4)


@pytest.mark.parametrize("shape", [3.0, 5.5, 40.0, 1000.0])
@pytest.mark.parametrize("level", [0.025, 0.5, 0.975])
def test_quantiles_of_rates_equal_those_of_scipy(shape: float, level: float) -> None:
    assert gamma_quantile(level, shape) == pytest.approx(stats.gamma(shape).ppf(level), rel=0.03)


@pytest.mark.parametrize(
    "asked",
    [
        StockRequest(lead_time_days=0),
        StockRequest(lead_time_days=366),
        StockRequest(lead_time_days=math.nan),
        StockRequest(service_level=0.4),
        StockRequest(service_level=1),
        StockRequest(history_days=13),
        StockRequest(history_days=367),
    ],
)
def test_a_request_out_of_range_is_rejected(asked: StockRequest) -> None:
    with pytest.raises(RequestInvalid, match=r"stock\."):
        checked(asked)


def test_steady_sales_suggest_demand_and_safety_less_the_shelf() -> None:
    found = one(sold(dict.fromkeys(range(1, 57), 2)))

    assert found.quantity is not None
    assert (found.sold, found.days) == (112, 56)
    assert found.quantity.expected == pytest.approx(14, abs=0.1)
    assert found.quantity.safety > 0
    assert found.quantity.low <= found.quantity.units <= found.quantity.high
    assert found.text.startswith(f"{found.quantity.units} = 14.1 expected in 7 days")


def test_a_full_shelf_needs_nothing() -> None:
    found = one(sold(dict.fromkeys(range(1, 57), 1)), on_shelf=100)

    assert found.quantity is not None
    assert found.quantity.units == 0
    assert "at least 0" in found.text


def test_too_few_days_or_units_give_no_number() -> None:
    assert one(sold({1: 50}, first_day=TODAY - 13)).lack is StockLack.DAYS
    assert one(sold({1: 2, 20: 2})).lack is StockLack.SALES
    assert one(CountedSales(0, 0, {})).lack is StockLack.DAYS
    assert one(None).lack is StockLack.UNAVAILABLE
    assert one(None).quantity is None


def test_days_count_from_when_the_product_exists() -> None:
    units = dict.fromkeys(range(1, 21), 1)

    assert one(sold(units)).days == 20
    assert one(sold(units), known_day=TODAY - 30).days == 30
    assert one(sold(units), known_day=TODAY - 900).days == 56
    assert one(sold({}), known_day=TODAY - 30).days == 30


@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_the_stock_lasts_as_often_as_asked(spread: float) -> None:
    """Rates are drawn, sales of 8 weeks seen, and the next week's demand compared."""
    chance, asked, lasted = np.random.default_rng(5), StockRequest(service_level=0.9), 0
    trials = 2_000
    for _ in range(trials):
        rate = chance.gamma(2.0, 1.5) + 0.3

        def draw(days: float, rate: float = rate) -> int:
            if spread == 1:
                return int(chance.poisson(rate * days))
            return int(chance.negative_binomial(rate * days / (spread - 1), 1 / spread))

        daily = [draw(1) for _ in range(56)]
        if sum(daily) < 5:
            lasted += 1
            continue
        measured = max(1.0, variance(daily) / fmean(daily))
        found = quantity(asked, 0, sold=sum(daily), days=56, spread=measured)
        lasted += draw(7) <= found.units

    assert 0.88 < lasted / trials < 0.95

"""The most expensive requests that were found have a price that is known before they run."""

from collections.abc import AsyncIterator

import grpc
import pytest

from gateway.model.price import MOST_SECONDS
from servicekit.status import from_rpc_error
from tests.fakes.gateway_wire import running
from tests.fuzz.cost import cases
from tests.fuzz.cost.cases import PRICED
from tests.fuzz.cost.recipes import CATALOG, Recipe

FRACTION = 0.5
"""Minimum ratio of a request's price to its cost."""
FOUND = cases.read()
KNOWN = [each for each in FOUND if each.recipe.call in PRICED and each.code == "OK"]


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Yield the port of a gateway that rejects every request, as each is above its limit."""
    async with running(request_seconds=1e-6, catalogs=(CATALOG,)) as suite:
        yield suite.port


async def price(port: int, recipe: Recipe) -> float:
    """Return the price in the gateway's rejection."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(recipe.method.path, None, None)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(recipe.build(1), timeout=30)
    error = from_rpc_error(refused.value)
    assert error.reason == "REQUEST_TOO_EXPENSIVE", error
    return float(error.metadata["price_seconds"])


@pytest.mark.skipif(not FOUND, reason="NOT MEASURED: no search has written the cases yet")
def test_the_file_has_ten_cases_of_some_calls():
    assert len(FOUND) == 10
    assert len({each.recipe.call for each in FOUND}) > 2
    assert len(KNOWN) > 3


@pytest.mark.parametrize("case", KNOWN)
async def test_a_costly_request_has_a_price_of_half_its_cost_at_least(
    case: cases.CostlyCase, port: int
) -> None:
    assert await price(port, case.recipe) >= FRACTION * case.cpu


async def test_an_ordinary_request_has_a_small_price(port: int):
    assert await price(port, Recipe("Recommend", texts=1, characters=20)) < MOST_SECONDS / 10

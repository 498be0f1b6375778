"""The charge of every public call: by a price of its own, or by what it did cost.

Calls that look at many products, decode photos or use models know their prices before they run, and
are charged where these are computed. All others are charged a step, so that no call is free.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from gateway.model.price import step_price
from gateway.state.prices import RequestPrices
from servicekit.admission import access, quotas
from servicekit.rpc.owned import path_of
from servicekit.rpc.server import Binding, Context

_STEP = step_price()


def serve(binding: Binding, prices: RequestPrices) -> Binding:
    """Charge the calls of a servicer that have no price of their own: their protos don't say that
    they are priced."""
    for method in access.POOL.FindServiceByName(binding.full_name).methods:
        if not access.rule(path_of(method)).priced:
            charging = _streaming if method.server_streaming else _charging
            inner = getattr(binding.servicer, method.name)
            setattr(binding.servicer, method.name, charging(inner, prices))
    return binding


def _charging(
    inner: Callable[[Any, Context], Awaitable[Any]], prices: RequestPrices
) -> Callable[[Any, Context], Awaitable[Any]]:
    async def charged(request: Any, context: Context) -> Any:
        with prices.counted(_STEP):
            return await inner(request, context)

    def method(request: Any, context: Context) -> Awaitable[Any]:
        return (inner if quotas.account.get() is None else charged)(request, context)

    return method


def _streaming(
    inner: Callable[[Any, Context], AsyncGenerator[Any, None]], prices: RequestPrices
) -> Callable[[Any, Context], AsyncIterator[Any]]:
    """Charge the beginning of a stream, which waits for most of its time."""

    async def method(request: Any, context: Context) -> AsyncIterator[Any]:
        with prices.counted(_STEP):
            pass
        async with aclosing(inner(request, context)) as answers:
            async for answer in answers:
                yield answer

    return method

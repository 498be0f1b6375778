"""Filters as text, replaced by the expressions that they mean before a call reads its request.

So records, page tokens, etags, prices and other services know expressions alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor

from gateway.model.errors import FilterInvalid
from gateway.model.filters import expression
from servicekit.admission import access
from servicekit.rpc.server import Binding, Context
from sightline.common.v1.filter_pb2 import Filter
from sightline.filter_text import MAX_LENGTH, FilterSyntaxError
from sightline_rules.filter_checks import MAX_DEPTH

Method = Callable[[Any, Context], Awaitable[Any]]

BESIDE = 8_192
"""Characters from which on texts are parsed in a thread: they take about 10 ms (2026-11)."""


def serve(binding: Binding) -> Binding:
    """Make the methods of a servicer read filters as text, as far as their requests have filters.

    Raises TypeError for a stream of such requests.
    """
    for method in access.POOL.FindServiceByName(binding.full_name).methods:
        if _ways(method.input_type):
            if method.client_streaming or method.server_streaming:
                raise TypeError(f"{method.full_name}: filters of streams are not read")
            inner = getattr(binding.servicer, method.name)
            setattr(binding.servicer, method.name, _reading(inner))
    return binding


def _reading(inner: Method) -> Method:
    async def replaced(request: Any, context: Context) -> Any:
        await replace(request)
        return await inner(request, context)

    def method(request: Any, context: Context) -> Awaitable[Any]:
        return (replaced if _is_filtered(request) else inner)(request, context)

    return method


def _is_filtered(request: Any) -> bool:
    """Return whether a field that leads to filters is set."""
    for name, several in _ways(request.DESCRIPTOR):
        if getattr(request, name) if several else request.HasField(name):
            return True
    return False


async def replace(request: Any) -> None:
    """Replace all texts of a request by their expressions. Raises FilterInvalid."""
    given = [*_texts(request, "", 0)]
    size = 0
    for path, message, depth in given:
        size += len(message.text)
        if size > MAX_LENGTH:
            problem = f"all texts of a request have at most {MAX_LENGTH:,} characters together"
            raise FilterInvalid.at(path, problem)
        if depth > MAX_DEPTH + 1:
            raise FilterInvalid.at(path, f"is nested deeper than {MAX_DEPTH} levels")
    if size > BESIDE:
        found = await asyncio.to_thread(_expressions, given)
    else:
        found = _expressions(given)
    for (_, message, _), meant in zip(given, found, strict=True):
        market_id = message.market_id
        message.CopyFrom(meant)
        message.market_id = market_id


def _expressions(given: Sequence[tuple[str, Filter, int]]) -> list[Filter]:
    return [_expression(path, message.text) for path, message, _ in given]


def _expression(path: str, text: str) -> Filter:
    try:
        return expression(text)
    except FilterSyntaxError as error:
        where = f"{error.message}, at character {error.column + 1}\n{error.pointer}"
        raise FilterInvalid.at(path, where) from error


def _texts(message: Any, path: str, depth: int) -> Iterator[tuple[str, Filter, int]]:
    """Yield the filters of a message that are texts, with the paths of the texts, and the number of
    filters around each, itself included."""
    if isinstance(message, Filter):
        depth += 1
        if message.WhichOneof("expression") == "text":
            yield f"{path}text", message, depth
            return
    for name, several in _ways(message.DESCRIPTOR):
        # Errors about an explained request name its fields.
        inner = path if name == "request" else f"{path}{name}"
        if several:
            for index, each in enumerate(getattr(message, name)):
                yield from _texts(each, f"{inner}[{index}].", depth)
        elif message.HasField(name):
            yield from _texts(getattr(message, name), inner and f"{inner}.", depth)


@cache
def _ways(kind: Descriptor) -> tuple[tuple[str, bool], ...]:
    """Return the fields that lead to filters, each with whether it is repeated."""
    return tuple(
        (each.name, each.is_repeated)
        for each in kind.fields
        if each.message_type is not None and _leads(each.message_type, frozenset())
    )


def _leads(kind: Descriptor, above: frozenset[str]) -> bool:
    """Return whether a message is or can have a filter."""
    return kind.full_name == Filter.DESCRIPTOR.full_name or any(
        _leads(each.message_type, above | {kind.full_name})
        for each in kind.fields
        if each.message_type is not None and each.message_type.full_name not in above
    )

"""Errors of tools and resources: the reason and what to do, for an agent to read."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from prometheus_client import Counter

from sightline_agents.catalog import advice
from sightline_agents.catalog.photos import PhotoInvalid
from sightline_client import FilterSyntaxError
from sightline_client.errors import NotFound, SightlineError

P = ParamSpec("P")
R = TypeVar("R")


_ERRORS = Counter(
    "sightline_agents_tool_errors_total",
    "Errors that MCP's tools answered, by tool and reason.",
    ["tool", "reason"],
)


def as_tool_error(tool: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Raise the errors of a tool as ToolError."""

    @wraps(tool)
    async def answered(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return await tool(*arguments, **options)
        except SightlineError as error:
            reason, text = error.reason or error.code.name, advice.of_error(error)
        except FilterSyntaxError as error:
            reason, text = "FILTER_INVALID", advice.of_filter(error)
        except PhotoInvalid as error:
            reason, text = "PHOTO_INVALID", f"PHOTO_INVALID: {error}"
        _ERRORS.labels(tool.__name__, reason).inc()
        raise ToolError(text)

    return answered


def as_resource_error(read: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Raise the errors of a resource as ResourceError."""

    @wraps(read)
    async def answered(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return await read(*arguments, **options)
        except NotFound as error:
            raise ResourceNotFoundError(advice.of_error(error)) from None
        except SightlineError as error:
            raise ResourceError(advice.of_error(error)) from None

    return answered

"""Sections of a page that come from calls of their own: one that fails leaves the others."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from sightline_client.errors import SightlineError, Unauthenticated
from sightline_console.screens.visit import reason_of, text_of, title_of

A = TypeVar("A")
Told: TypeAlias = tuple[str, str, str]
"""Title, reason and text of an error."""


@dataclass(frozen=True, slots=True)
class Section(Generic[A]):
    """Contents of a section, or the reason for showing nothing."""

    found: A | None = None
    told: Told | None = None


async def section(call: Awaitable[A]) -> Section[A]:
    """Return the answer to a call, or its error. Raises Unauthenticated, and Unavailable without a
    gateway: all sections would say the same."""
    try:
        return Section(await call)
    except Unauthenticated:
        raise
    except SightlineError as error:
        if error.reason == "GATEWAY_UNREACHABLE":
            raise
        return Section(None, told(error))


def told(error: SightlineError) -> Told:
    """Return what is said about an error."""
    return title_of(error), reason_of(error), text_of(error)

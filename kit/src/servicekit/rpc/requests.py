"""Checks shared by all requests: catalog, request id, pages and times."""

import base64
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from servicekit import telemetry
from servicekit.catalogs.known import CatalogNotFound, KnownCatalogs
from servicekit.config import DEFAULT_CATALOG
from servicekit.errors import FieldViolation, InvalidArgument

V = TypeVar("V")


class FieldsInvalid(InvalidArgument, reason="REQUEST_INVALID"):
    """Fields are invalid, and the message names them. Subclasses fix the reason."""

    def __init__(self, *violations: FieldViolation, reason: str = "") -> None:
        super().__init__(describe(violations), violations=violations, reason=reason)

    @classmethod
    def at(cls, field: str, description: str) -> Self:
        """Return the error about one field."""
        return cls(FieldViolation(field, description))


class RequestInvalid(FieldsInvalid):
    """Fields of a request are out of their documented range."""


class PageSizeInvalid(FieldsInvalid, reason="PAGE_SIZE_INVALID"):
    """The page size is out of its range."""

    def __init__(self, most: int) -> None:
        super().__init__(FieldViolation("page_size", f"must be 1 to {most}, or 0 for the default"))


class PageTokenInvalid(FieldsInvalid, reason="PAGE_TOKEN_INVALID"):
    """The page token is invalid, or belongs to another request."""

    def __init__(self, description: str = "is not a page token of this list") -> None:
        super().__init__(FieldViolation("page_token", description))


def describe(violations: Collection[FieldViolation]) -> str:
    """Join the first three violations into one line."""
    shown = "; ".join(f"{each.field}: {each.description}" for each in list(violations)[:3])
    return f"{shown}; and {len(violations) - 3} more" if len(violations) > 3 else shown


def enter(catalog_id: str, request_id: str, known: Collection[str]) -> str:
    """Return the catalog of a request, and take its request id (see `take_request_id`).

    Raises the errors of `catalog`.
    """
    take_request_id(request_id)
    return catalog(catalog_id, known)


def take_request_id(given: str) -> str:
    """Set and return the id of this call: the message's own if valid, else the transport's.

    It goes into every later log line and to every peer.
    """
    if given and telemetry.accept_request_id(given) == given:
        telemetry.request_id.set(given)
    return telemetry.request_id.get()


def catalog(catalog_id: str, known: Collection[str]) -> str:
    """Return the name of a catalog, empty = the default.

    Raises CatalogNotFound unless it is known, or what `KnownCatalogs.refusal` returns.
    """
    name = catalog_id or DEFAULT_CATALOG
    if name not in known:
        raise known.refusal(name) if isinstance(known, KnownCatalogs) else CatalogNotFound
    return name


def check_count(field: str, count: int, most: int) -> None:
    """Raise RequestInvalid unless a repeated field has 1 to `most` entries."""
    if not 1 <= count <= most:
        raise RequestInvalid.at(field, f"has {count} entries; 1 to {most} are taken")


def page_size(given: int, default: int, most: int) -> int:
    """Return the entries of a page. Raises PageSizeInvalid unless `given` is 0 to `most`."""
    if not 0 <= given <= most:
        raise PageSizeInvalid(most)
    return given or default


@dataclass(frozen=True)
class Pages(Generic[V]):
    """Pages of a list: each begins after the last entry of the one before."""

    default: int
    """Entries of a page whose request names no number."""
    most: int
    place: Callable[[V], tuple[str | int, ...]]
    """Place of an entry in the list's order."""
    types: tuple[type, ...]
    """Types of the parts of a place."""

    async def read(
        self,
        about: Sequence[str],
        size: int,
        token: str,
        read: Callable[[tuple[Any, ...], int], Awaitable[Sequence[V]]],
    ) -> tuple[list[V], str]:
        """Return a page and the token of the next one. `about`: see `page_token`. `read`: returns
        entries after a place (empty: from the beginning), up to a number. Raises PageSizeInvalid,
        PageTokenInvalid."""
        size = page_size(size, self.default, self.most)
        found = await read(page_place(token, about, *self.types), size + 1)
        page = list(found[:size])
        return page, page_token(about, *self.place(page[-1])) if len(found) > size else ""


_VERSION = 1
"""Version of page tokens."""


def page_token(about: Sequence[str], *place: str | int) -> str:
    """Return an opaque token for the page after `place`, the last position of the page before.

    `about` identifies the list: catalog, kind, filter, order. A token is valid for that list only.
    """
    return pack_token(_VERSION, *about, *place)


def page_place(token: str, about: Sequence[str], *types: type) -> tuple[Any, ...]:
    """Return the place in a `page_token`, of these types; () for an empty token.

    A token is no secret, and a caller may forge one: texts are not empty and storable, numbers have
    63 bits. Raises PageTokenInvalid.
    """
    if not token:
        return ()
    head, place = [_VERSION, *about], unpack_token(token)
    place = place[len(head) :] if place[: len(head)] == head else []
    if [type(part) for part in place] != [*types] or not all(map(_is_storable, place)):
        raise PageTokenInvalid
    return tuple(place)


def pack_token(*parts: object) -> str:
    """Encode JSON values as one word."""
    text = json.dumps(parts, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def unpack_token(token: str) -> list[Any]:
    """Decode the values of `pack_token`. Raises PageTokenInvalid."""
    padded = token.rstrip("=") + "=" * (-len(token.rstrip("=")) % 4)
    try:
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise PageTokenInvalid from error
    if not isinstance(parts, list):
        raise PageTokenInvalid
    return parts


def _is_storable(part: str | int) -> bool:
    """Return whether stores accept a value: JSON also has larger numbers and lone surrogates."""
    if isinstance(part, int):
        return abs(part) < 2**63
    return part != "" and not any("\ud800" <= c <= "\udfff" or c == "\0" for c in part)


def duration(seconds: float) -> Any:
    """Return what protobuf makes a duration of, to the microsecond."""
    micros = int(seconds * 1e6 + 0.5)
    return {"seconds": micros // 1_000_000, "nanos": micros % 1_000_000 * 1_000}


def timestamp(micros: int) -> Timestamp:
    """Return microseconds since 1970 (UTC) as a message."""
    seconds, rest = divmod(micros, 1_000_000)
    return Timestamp(seconds=seconds, nanos=1_000 * rest)

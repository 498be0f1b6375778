"""Addresses of the console's own pages."""

from collections.abc import Iterable
from urllib.parse import quote, urlencode, urlsplit

HOME = "/"


def address(path: str, values: Iterable[tuple[str, str]] = ()) -> str:
    """Return the address of a page, with those values that are not empty."""
    query = urlencode([(name, value) for name, value in values if value])
    return f"{path}?{query}" if query else path


def segment(value: str) -> str:
    """Return a value as one segment of a path."""
    return quote(value, safe="")


def own(value: str) -> str:
    """Return the address if it is one of a page of the console, else that of its first page: a form
    must not lead elsewhere."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return HOME
    plain = value.isascii() and value.isprintable() and "\\" not in value
    if not plain or parts.scheme or parts.netloc or not value.startswith("/"):
        return HOME
    return HOME if value.startswith("//") else value

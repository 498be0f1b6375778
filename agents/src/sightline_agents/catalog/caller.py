"""The caller of a request, whose own token goes to the gateway with each call."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sightline_client.transport.token import check

_token: ContextVar[str | None] = ContextVar("token", default=None)


class AuthorizationInvalid(ValueError):
    """The header Authorization names no bearer token."""


def current() -> str | None:
    """Return the token of the request that is being answered; None: it has none."""
    return _token.get()


@contextmanager
def named(authorization: str | None) -> Iterator[None]:
    """Send the token of this header with the calls of the block. Raises AuthorizationInvalid."""
    set_before = _token.set(None if authorization is None else _bearer(authorization))
    try:
        yield
    finally:
        _token.reset(set_before)


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    try:
        check(token)
    except ValueError:
        token = ""
    if scheme.lower() != "bearer" or not token:
        raise AuthorizationInvalid("Authorization: write `Bearer TOKEN`, with the caller's token")
    return token

"""The caller of a request, whose own token goes to the gateway with each call."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from sightline_client import SightlineClient
from sightline_client.errors import NotFound
from sightline_client.transport.token import check

_LOG = logging.getLogger(__name__)
_MOST = 64 * 1024
"""Maximum bytes read of a token's file."""
_NO_IMAGE = "0" * 64
"""Id of a photo that no catalog has: the digest of no bytes that are known."""
_token: ContextVar[str | None] = ContextVar("token", default=None)


class AuthorizationInvalid(ValueError):
    """The header Authorization names no bearer token."""


def current() -> str | None:
    """Return the token of the request that is being answered; None: it has none."""
    return _token.get()


class AnonymousToken:
    """The token of requests that bring none, in a file that can be replaced."""

    def __init__(self, file: Path) -> None:
        """`file`: its first line is the token. Nothing is read yet."""
        self._file = file
        self._last: str | None = None
        self._problem = ""
        """Problem that was logged, once for all requests that meet it."""

    def current(self) -> str | None:
        """Return the token of the request that is being answered, or else the file's. While the
        file can't be read, the token from before stays in use."""
        return _token.get() or self._read()

    def _read(self) -> str | None:
        try:
            with self._file.open("rb") as opened:
                token = opened.readline(_MOST).decode("utf-8", "replace").strip()
            check(token)
        except (OSError, ValueError) as error:
            if self._problem != (problem := f"{type(error).__name__}: {error}"):
                _LOG.warning("%s: can't be used; the token from before is: %s", self._file, problem)
            self._problem = problem
            return self._last
        self._last, self._problem = token, ""
        return token


@contextmanager
def named(authorization: str | None) -> Iterator[None]:
    """Send the token of this header with the calls of the block. Raises AuthorizationInvalid."""
    set_before = _token.set(None if authorization is None else token_of(authorization))
    try:
        yield
    finally:
        _token.reset(set_before)


async def admit(client: SightlineClient, authorization: str | None) -> None:
    """Ask the gateway whether it takes the calls of this header's caller, by a small read.

    Raises AuthorizationInvalid, SightlineError.
    """
    with named(authorization), suppress(NotFound):
        await client.get_image(_NO_IMAGE)


def token_of(authorization: str) -> str:
    """Return the token of a header. Raises AuthorizationInvalid."""
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    try:
        check(token)
    except ValueError:
        token = ""
    if scheme.lower() != "bearer" or not token:
        raise AuthorizationInvalid("Authorization: write `Bearer TOKEN`, with the caller's token")
    return token

"""Token of the caller, sent with every call of a channel."""

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import grpc

Token: TypeAlias = str | Callable[[], str | None]
"""A token, or a function that returns the token of each call; None = none is sent."""

_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
_SENDABLE = re.compile(r"[!-~]+")


def check(token: str) -> None:
    """Raise ValueError, without the token in it, unless a header can hold the token."""
    if not token:
        raise ValueError("the token is empty")
    if not _SENDABLE.fullmatch(token):
        raise ValueError("the token has characters that a header can't contain, such as spaces")


def say_with_calls(channel: grpc.aio.Channel, token: Token) -> None:
    """Send the token with each later call of the channel.

    An interceptor of grpc.aio would need a task of its own for each call.
    """
    added = _adding(token)
    for kind in _KINDS:
        setattr(channel, kind, _saying(getattr(channel, kind), added))


def _adding(token: Token) -> Callable[[], tuple[tuple[str, str], ...]]:
    if isinstance(token, str):
        fixed = _metadata(token)
        return lambda: fixed
    return lambda: _metadata(token())


def _metadata(token: str | None) -> tuple[tuple[str, str], ...]:
    """Return the metadata that names the caller. ValueError where a header can't hold the token."""
    if token is None:
        return ()
    check(token)
    return (("authorization", f"Bearer {token}"),)


def _saying(
    make: Callable[..., Callable[..., Any]], added: Callable[[], tuple[tuple[str, str], ...]]
) -> Callable[..., Callable[..., Any]]:
    """Wrap a channel's method that makes calls so that they send more metadata."""

    def made(*arguments: Any, **options: Any) -> Callable[..., Any]:
        call = make(*arguments, **options)

        def called(*given: Any, metadata: Any = None, **more: Any) -> Any:
            return call(*given, metadata=(*(metadata or ()), *added()), **more)

        return called

    return made

"""Token of the caller, sent with every call of a channel."""

import re
from collections.abc import Callable
from typing import Any

import grpc

_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
_SENDABLE = re.compile(r"[!-~]+")


def check(token: str) -> None:
    """Raise ValueError, without the token in it, unless a header can hold the token."""
    if not token:
        raise ValueError("the token is empty")
    if not _SENDABLE.fullmatch(token):
        raise ValueError("the token has characters that a header can't contain, such as spaces")


def say_with_calls(channel: grpc.aio.Channel, token: str) -> None:
    """Send the token with each later call of the channel.

    An interceptor of grpc.aio would need a task of its own for each call.
    """
    pair = ("authorization", f"Bearer {token}")
    for kind in _KINDS:
        setattr(channel, kind, _saying(getattr(channel, kind), pair))


def _saying(
    make: Callable[..., Callable[..., Any]], pair: tuple[str, str]
) -> Callable[..., Callable[..., Any]]:
    """Wrap a channel's method that makes calls so that they send one more pair of metadata."""

    def made(*arguments: Any, **options: Any) -> Callable[..., Any]:
        call = make(*arguments, **options)

        def called(*given: Any, metadata: Any = None, **more: Any) -> Any:
            return call(*given, metadata=(*(metadata or ()), pair), **more)

        return called

    return made

"""Equal calls of one request: a peer is asked once, and all of them get its answer."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from google.protobuf.message import Message

T = TypeVar("T")

answers: ContextVar[dict[Hashable, asyncio.Future[Any]] | None] = ContextVar(
    "equal_calls", default=None
)
"""Answers of the idempotent calls of a request, by method and message. `None`: each call is made.
"""


@contextmanager
def shared() -> Iterator[None]:
    """Let equal idempotent calls of the body share one answer."""
    bound = answers.set({})
    try:
        yield
    finally:
        answers.reset(bound)


async def once(
    method: Hashable, request: Message | Hashable, call: Callable[[], Coroutine[Any, Any, T]]
) -> T:
    """Return the answer of `call`, or of an equal one of the same request.

    If that one failed or was cancelled, `call` is made: its deadline may be later.
    """
    known = answers.get()
    if known is None:
        return await call()
    given = request
    if isinstance(request, Message):
        given = request.SerializeToString(deterministic=True)
    key = method, given
    while (given := known.get(key)) is not None:
        found = await asyncio.shield(given)
        if found is not None:
            answer: T = found
            return answer
    mine = known[key] = asyncio.get_running_loop().create_future()
    try:
        answer = await call()
    except BaseException:
        del known[key]
        mine.set_result(None)
        raise
    mine.set_result(answer)
    return answer

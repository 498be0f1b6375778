"""Execution of a request's calls in parallel."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TypeVar

from servicekit.errors import ServiceError

K = TypeVar("K")
T = TypeVar("T")


async def in_parallel(*jobs: Coroutine[object, object, T]) -> list[T]:
    """Return the results of all jobs; the first error cancels the others and is raised as it is."""
    if len(jobs) == 1:
        return [await jobs[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
    except BaseExceptionGroup as errors:
        error = _first(errors.with_traceback(None))
    else:
        return [task.result() for task in tasks]
    try:
        raise error
    finally:
        del error, tasks, group  # its traceback has this frame: what jobs held would stay


async def first_alone(
    items: Sequence[K], call: Callable[[K], Awaitable[T]], most: int
) -> list[T | ServiceError]:
    """Call for each item, at most `most` at once, and return the answers or their ServiceErrors.

    The first one is called alone: where it fails, the others are not called and have its error.
    """
    turn = asyncio.Semaphore(most)

    async def kept(item: K) -> T | ServiceError:
        async with turn:
            try:
                return await call(item)
            except ServiceError as error:
                return error

    found = [await kept(item) for item in items[:1]]
    if found and isinstance(found[0], ServiceError):
        return found * len(items)
    return found + await in_parallel(*map(kept, items[1:]))


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

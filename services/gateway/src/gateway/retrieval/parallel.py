"""Execution of a request's calls in parallel."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

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


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

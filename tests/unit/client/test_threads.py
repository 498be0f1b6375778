"""Work in threads, and its cancellation."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from sightline_client.files.seen import SeenIds
from sightline_client.transport.row_import import read_ahead
from sightline_client.transport.threads import in_thread
from tests.waiting import SECONDS


async def test_what_a_thread_comes_to_is_answered_or_raised() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)


async def test_work_that_is_called_off_is_waited_for() -> None:
    begun, go_on = threading.Event(), threading.Event()
    ended: list[str] = []

    def work() -> None:
        begun.set()
        go_on.wait(SECONDS)
        ended.append("whole")
        raise ValueError("which nobody hears")

    working = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, 30)
    working.cancel()
    done, _ = await asyncio.wait([working], timeout=0.1)
    assert not done
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert ended == ["whole"]


async def test_rows_that_are_called_off_close_nothing_under_the_thread_that_reads_them() -> None:
    begun, go_on = threading.Event(), threading.Event()
    found: list[int] = []

    def rows(seen: SeenIds) -> Iterator[int]:
        begun.set()
        go_on.wait(SECONDS)
        found.append(seen.first("a", 7))
        yield 7

    async def read() -> None:
        with SeenIds() as seen:
            async for _ in read_ahead(rows(seen), lambda _: 1):
                pass

    reading = asyncio.create_task(read())
    await asyncio.to_thread(begun.wait, 30)
    reading.cancel()
    await asyncio.sleep(0.05)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert found == [7]

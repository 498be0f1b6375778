import asyncio
from collections.abc import Sequence

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from servicekit.rpc import equal_calls


class Peer:
    """A peer that answers a call when told to, with its number, or fails it."""

    def __init__(self, *fails: int) -> None:
        self.asked = 0
        self.answer = asyncio.Event()
        self._fails = fails

    async def ask(self) -> int:
        self.asked += 1
        number = self.asked
        await self.answer.wait()
        if number in self._fails:
            raise OSError(number)
        return number


async def begun(peer: Peer, *texts: str) -> Sequence[asyncio.Task[int]]:
    """Begin a call for each text, side by side."""
    calls = [equal_calls.once("find", StringValue(value=text), peer.ask) for text in texts]
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    return tasks


async def test_equal_calls_of_a_request_are_made_once() -> None:
    peer = Peer()
    with equal_calls.shared():
        tasks = await begun(peer, "red", "white", "red")
        peer.answer.set()
        assert await asyncio.gather(*tasks) == [1, 2, 1]
        (later,) = await begun(peer, "white")
        assert await later == 2
    assert peer.asked == 2


async def test_calls_of_other_methods_are_other_calls() -> None:
    peer = Peer()
    peer.answer.set()
    with equal_calls.shared():
        found = [await equal_calls.once(each, StringValue(), peer.ask) for each in ("find", "list")]
    assert found == [1, 2]


async def test_requests_share_no_answers() -> None:
    peer = Peer()
    peer.answer.set()
    for number in (1, 2):
        with equal_calls.shared():
            (task,) = await begun(peer, "red")
            assert await task == number
    for number in (3, 4):
        (task,) = await begun(peer, "red")
        assert await task == number


async def test_after_a_failure_one_of_the_others_asks_again() -> None:
    peer = Peer(1)
    with equal_calls.shared():
        tasks = await begun(peer, "red", "red", "red")
        peer.answer.set()
        with pytest.raises(OSError, match="1"):
            await tasks[0]
        assert [await task for task in tasks[1:]] == [2, 2]


async def test_a_cancelled_call_cancels_no_other() -> None:
    peer = Peer()
    with equal_calls.shared():
        first, second, third = await begun(peer, "red", "red", "red")
        third.cancel()
        first.cancel()
        await asyncio.wait({first, third})
        peer.answer.set()
        assert await second == 2
    assert first.cancelled()
    assert third.cancelled()

"""Frames of a live camera: the newest messages of a stream are checked, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from contextvars import ContextVar

import pytest

from gateway.servicer.frame_stream import checked
from servicekit.admission import costs
from servicekit.admission.memory_budget import ByteBudget, in_flight
from servicekit.errors import Unavailable
from servicekit.rpc.requests import RequestInvalid
from sightline.gateway.v1.watch_service_pb2 import StreamFramesRequest
from sightline.retriever.v1 import watch_pb2
from sightline.retriever.v1.watch_service_pb2 import SendFramesResponse
from tests.waiting import until

ROOM = 10_000
quota: ContextVar[int] = ContextVar("quota", default=-1)


def message(number: int, watch_id: str = "shelf") -> StreamFramesRequest:
    frame = watch_pb2.WatchFrame(image=b"%d" % number)
    return StreamFramesRequest(watch_id=watch_id, frames=[frame])


class Camera:
    """A stream of messages: `sent` ones, and then none until it is cancelled."""

    def __init__(self, *sent: StreamFramesRequest, ends: bool = True) -> None:
        self.sent, self.ends, self.read, self.left = sent, ends, 0, False

    async def messages(self) -> AsyncIterator[StreamFramesRequest]:
        try:
            for number, each in enumerate(self.sent):
                quota.set(number)  # as admission does, for each message
                self.read = number + 1
                yield each
                for _ in range(9):
                    await asyncio.sleep(0)
            if not self.ends:
                await asyncio.Event().wait()
        finally:
            self.left = True


class Checks:
    """Checks messages once they are let."""

    def __init__(self) -> None:
        self.let, self.seen, self.quotas = asyncio.Event(), list[StreamFramesRequest](), [0] * 0

    async def __call__(self, request: StreamFramesRequest) -> SendFramesResponse:
        kept = StreamFramesRequest()
        kept.CopyFrom(request)
        self.seen.append(kept)
        self.quotas.append(quota.get())
        assert costs.spent_ms() < 1_000
        await self.let.wait()
        if request.frames[0].image == b"fails":
            raise Unavailable("not there", reason="EMBEDDER_UNAVAILABLE")
        result = watch_pb2.FrameResult(outcome=watch_pb2.FrameResult.OUTCOME_PROCESSED)
        return SendFramesResponse(results=[result] * len(request.frames))


@pytest.fixture
def budget() -> Iterator[ByteBudget]:
    made = ByteBudget(ROOM)
    token = in_flight.set((made, "camera"))
    yield made
    in_flight.reset(token)


async def test_each_message_is_answered_in_its_turn(budget: ByteBudget) -> None:
    checks = Checks()
    checks.let.set()
    found = [each async for each in checked(Camera(message(0)).messages(), checks)]
    assert [len(each.results) for each in found] == [1]
    assert budget.free == ROOM


async def test_while_one_is_checked_the_newest_two_wait_and_the_others_are_counted(
    budget: ByteBudget,
) -> None:
    camera, checks = Camera(*map(message, range(6)), ends=False), Checks()
    async with aclosing(checked(camera.messages(), checks)) as answers:
        first = asyncio.create_task(anext(answers))
        await until(lambda: camera.read == 6)
        assert [each.frames[0].image for each in checks.seen] == [b"0"]
        held = ROOM - budget.free
        assert held == sum(message(number).ByteSize() for number in (0, 4, 5))
        checks.let.set()
        found = [await first, await anext(answers), await anext(answers)]
    assert [each.dropped_count for each in found] == [0, 3, 0]
    assert [each.frames[0].image for each in checks.seen] == [b"0", b"4", b"5"]
    assert [each.dropped_count for each in checks.seen] == [0, 3, 0], "the watch counts them too"
    assert checks.quotas == [0, 4, 5], "each is charged to the quota with which it was read"
    assert budget.free == ROOM


async def test_a_camera_that_never_ends_is_left_when_its_caller_leaves(budget: ByteBudget) -> None:
    camera, checks = Camera(message(0), message(1), ends=False), Checks()
    async with aclosing(checked(camera.messages(), checks)) as answers:
        waiting = asyncio.create_task(anext(answers))
        await until(lambda: camera.read == 2)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert camera.left
    assert budget.free == ROOM


async def test_an_error_ends_the_stream(budget: ByteBudget) -> None:
    failing = message(0)
    failing.frames[0].image = b"fails"
    camera, checks = Camera(failing, ends=False), Checks()
    checks.let.set()
    with pytest.raises(Unavailable):
        [each async for each in checked(camera.messages(), checks)]
    assert camera.left
    assert budget.free == ROOM


async def test_a_message_of_another_watch_is_refused_after_the_answers_before_it() -> None:
    camera, checks = Camera(message(0), message(1, "other")), Checks()
    checks.let.set()
    answers = checked(camera.messages(), checks)
    assert len((await anext(answers)).results) == 1
    with pytest.raises(RequestInvalid) as caught:
        await anext(answers)
    assert [each.field for each in caught.value.violations] == ["watch_id"]

"""Calls of the gateway by its HTTP face."""

from contextlib import ExitStack
from typing import Any
from unittest.mock import AsyncMock

from gateway.http.calls import STREAMS_EACH, StreamChannels
from servicekit.config import ServerSettings


async def test_streams_have_as_many_connections_as_they_need() -> None:
    """A connection to the gateway carries so many streams of one caller, and twice as many of
    all."""
    assert ServerSettings().max_streams_per_connection >= STREAMS_EACH * 2
    made: list[Any] = []

    def more() -> Any:
        made.append(AsyncMock())
        return made[-1]

    channels = StreamChannels(more)
    with ExitStack() as held:
        used = [held.enter_context(channels.one()) for _ in range(3 * STREAMS_EACH)]
        assert [used.count(each) for each in made] == [STREAMS_EACH] * 3
    with channels.one() as again:
        assert again is made[0], "kept"
    await channels.close()
    assert all(each.close.await_count == 1 for each in made)

"""The load generator keeps as many requests in flight as it has clients, and no more."""

import asyncio

import pytest

from bench.harness.load import closed_loop, lasting


@pytest.mark.parametrize("clients", [1, 3])
async def test_every_request_is_sent_once_by_so_many_clients(clients: int) -> None:
    now = most = 0

    async def call(request: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        return request

    done, seconds = await closed_loop(range(12), clients, call)
    assert sorted(timed.answer for timed in done) == list(range(12))
    assert most == clients
    assert all(0.002 <= timed.seconds <= seconds for timed in done)


async def test_the_first_error_ends_it_as_itself() -> None:
    async def call(request: int) -> int:
        raise ConnectionError(str(request))

    with pytest.raises(ConnectionError):
        await closed_loop(range(12), 2, call)


def test_requests_last_as_long_as_the_time_but_are_at_least_so_many() -> None:
    assert [*lasting(range(10), 0.0, least=3)] == [0, 1, 2]
    assert [*lasting(range(10), 60.0)] == [*range(10)]

"""A gateway with canned answers for every test of the client."""

from collections.abc import AsyncIterator, Iterator

import pytest

from sightline_client import SightlineClient
from tests.fakes.gateway import FakeGateway


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as fake:
        yield fake


@pytest.fixture
async def client(gateway: FakeGateway) -> AsyncIterator[SightlineClient]:
    async with SightlineClient(gateway.target) as client:
        yield client

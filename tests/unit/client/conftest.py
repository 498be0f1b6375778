"""A gateway with canned answers for every test of the client."""

from collections.abc import AsyncIterator, Iterator
from functools import cache

import pytest
import typer.testing

from sightline_client import SightlineClient
from tests.fakes.gateway import FakeGateway

# The commands are put together once, and not for each that a test types: that takes 60 ms.
typer.testing._get_command = cache(typer.testing._get_command)


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as fake:
        yield fake


@pytest.fixture
async def client(gateway: FakeGateway) -> AsyncIterator[SightlineClient]:
    async with SightlineClient(gateway.target) as client:
        yield client

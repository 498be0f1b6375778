"""A store with the kit's own tables, a clock that tests move, processes that decode, and the ways
to call a server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from servicekit.decoding.decoders import Decoders
from servicekit.sql.database import Database
from tests.fakes.hostile_asked import made
from tests.fakes.kit_clock import Clock
from tests.fakes.kit_store import MIGRATIONS
from tests.fakes.kit_ways import IN_PROCESS, NETWORK, WAY

MIB = 2**20


@pytest.fixture(params=[NETWORK, IN_PROCESS])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Make the test over the network, and within the process."""
    WAY[0] = request.param
    yield WAY[0]
    WAY[0] = NETWORK


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/store.db", migrations=MIGRATIONS)
    made.migrate()
    yield made
    made.close()


@pytest.fixture
async def alone() -> AsyncIterator[Decoders]:
    """Yield decoders of one process, with enough time."""
    found = made(1, seconds=60, memory_bytes=200 * MIB)
    await found.start()
    yield found
    found.close()


@pytest.fixture
async def patient() -> AsyncIterator[Decoders]:
    """Yield decoders with a time limit that even a busy machine does not reach."""
    found = made(seconds=60, memory_bytes=200 * MIB)
    await found.start()
    yield found
    found.close()

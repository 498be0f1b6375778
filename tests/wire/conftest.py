"""A server and records that many tests over real gRPC share."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from servicekit.decoding.fork_server import ForkServer, Link
from tests.engines import MilvusLite, milvus_lite
from tests.stores import Stores


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusLite]:
    """Yield one engine for all tests of this process, each of which creates collections of its
    own."""
    with milvus_lite(tmp_path_factory.mktemp("engine") / "milvus") as running:
        yield running


@pytest.fixture
def record_url(stores: Stores, tmp_path: Path) -> str:
    """Return the URL of a retriever's record: empty and migrated."""
    return stores.sqlite("retriever.record.migrations", tmp_path / "record.db")


class SharedForkServer(ForkServer):
    """Fork server that stores of photos use one after another: it imports decoders, which takes
    more processor time than most tests."""

    async def fork(self) -> Link:
        try:
            return await super().fork()
        except BaseException:
            super().close()  # an unfinished exchange is on its socket
            raise

    def close(self) -> None:
        """Keep running for the next store, which has processes of its own."""
        self._one_by_one = asyncio.Lock()  # of the next test's loop


@pytest.fixture(scope="session")
def fork_servers() -> Iterator[dict[tuple[str, int], SharedForkServer]]:
    """Yield the fork servers of all tests of this process, by module and size of its memory."""
    made: dict[tuple[str, int], SharedForkServer] = {}
    yield made
    for each in made.values():
        ForkServer.close(each)


@pytest.fixture
def shared_decoders(
    fork_servers: dict[tuple[str, int], SharedForkServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Have stores of photos use the fork servers of all tests."""

    def taken(module: str, room: int) -> SharedForkServer:
        return fork_servers.setdefault((module, room), SharedForkServer(module, room))

    monkeypatch.setattr("servicekit.decoding.decoders.ForkServer", taken)


@pytest.fixture
def event_sink() -> None:
    """Return where a ranker's events go first: None, its record; a module may override it."""

"""A server and records that many tests over real gRPC share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.fixture
def event_sink() -> None:
    """Return where a ranker's events go first: None, its record; a module may override it."""

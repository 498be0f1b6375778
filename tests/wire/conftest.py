"""A server that many tests over real gRPC share."""

from collections.abc import Iterator

import pytest

from tests.engines import MilvusLite, milvus_lite


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusLite]:
    """One for every test of this process: each makes collections of its own."""
    with milvus_lite(tmp_path_factory.mktemp("engine") / "milvus") as running:
        yield running


@pytest.fixture
def event_sink() -> None:
    """Where a ranker's events go first: into its record; a module may say otherwise."""

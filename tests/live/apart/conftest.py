"""A suite whose services are processes of their own, for tests that stop or watch one of them."""

import asyncio
from collections.abc import Iterator

import pytest

from local_suite.programs import APART
from local_suite.suite import Suite
from tests.collector import Collector
from tests.live.conftest import open_shop, shared

CATALOGS = (
    *("default", "kills", "isolated", "beside"),
    *("fuzz", "fuzz-kept", "fuzz-photos", "upgraded"),
)
"""The wines; what is written while processes are killed; two shops that must know nothing of each
other; what the fuzzer writes and deletes, and what must stay there: rows, and photos; what a new
model is rolled out for."""


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Suite]:
    """Run every service and engine as a process of its own."""
    yield from shared(tmp_path_factory.mktemp("apart"), CATALOGS, collector, APART)


@pytest.fixture(scope="session")
def gateway(suite: Suite) -> str:
    """Return the gateway's address."""
    return suite.addresses()["gateway"]


@pytest.fixture(scope="session")
def shop_is_open(gateway: str) -> None:
    """Load 100 wines and 1,000 ratings, train a model on them and promote it."""
    asyncio.run(open_shop(gateway))

"""What is typed on services that are processes of their own, and while some are killed."""

from collections.abc import Iterator

import pytest

from local_suite.suite import Suite
from tests.live.conftest import RUNNING, running

CATALOGS = (
    *("default", "hands", "peace", "war"),
    *("fixes", "fixes-empty", "fixes-new"),
    *("first-files", "operations", "privacy", "counts", "feeds", "german", "chinese"),
)
"""One that stays empty; what the command line loads; the same file, in peace and while servers are
killed; what faults are made in and fixed; what a shop's first files go into; what the handbook's
commands are typed on; what feeds and pages bring; two shops that begin."""


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Run every service and engine as a process of its own."""
    with RUNNING:
        yield RUNNING.enter_context(running(tmp_path_factory.mktemp("shell-suite"), CATALOGS))


@pytest.fixture(scope="session")
def gateway(suite: Suite) -> str:
    """Return the gateway's address."""
    return suite.addresses()["gateway"]

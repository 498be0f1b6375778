"""Fixtures of all tests, and which of them `make full` runs alone."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
from threadpoolctl import threadpool_limits

from servicekit.admission.access import ANYONE, caller
from servicekit.sql import database as sql
from tests import tiers
from tests.fakes.kit_logs import plain_logs
from tests.late_locks import LockedLate, watch_writes
from tests.seconds import Seconds
from tests.stores import SQLITE, STARTED, NewStore, Stores
from tests.tools import NotRun
from tests.waiting import SECONDS

# Nothing is timed in a test.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
# For each change; `make full` draws 100.
hypothesis.settings.register_profile("quick", deadline=None, max_examples=25)
# The same examples for every mutant (tests/mutation); failing examples are not stored.
hypothesis.settings.register_profile(
    "mutants",
    deadline=None,
    derandomize=True,
    database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)

# A background job of a shell ignores SIGINT, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# What ends the tests ends what their fixtures started, too.
signal.signal(signal.SIGTERM, signal.default_int_handler)

# A process that compiles all that it imports takes twice the time, and tests start hundreds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["LC_ALL"] = "C.UTF-8"  # texts of the command are in English
sys.dont_write_bytecode = False

# Threads that share a small product spin while they wait for a core that another test has. With
# one, a training on the wines takes a third of the processor time.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# gRPC's own lines about connections that end, on the standard error that some tests read.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

plain_logs()

# There is nothing to free while 8,000 tests are collected: looking took half the time.
gc.disable()


def pytest_configure(config: pytest.Config) -> None:
    """Count processor seconds, and note what is not run, in every process that runs tests."""
    config.pluginmanager.register(Seconds())
    config.pluginmanager.register(NotRun())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to `make full` what need not run for each change."""
    tiers.leave_out(items)


def pytest_collection_finish() -> None:
    """Freeze existing objects, so that later garbage collections skip them."""
    gc.freeze()
    gc.enable()
    threadpool_limits(limits=1, user_api="blas")


@pytest.fixture(autouse=True)
def _nobody_calls() -> None:
    """Reset the current caller, which another test may have set."""
    caller.set(ANYONE)


@pytest.fixture(scope="session", autouse=True)
def late_locks() -> Iterator[list[LockedLate]]:
    """Refuse writes of what a transaction read before its lock, in all stores of this process."""
    with watch_writes() as found:
        yield found


@pytest.fixture(autouse=True)
def _no_late_lock(late_locks: list[LockedLate]) -> Iterator[None]:
    """Fail a test in which such a write was refused, whoever caught the error."""
    late_locks.clear()
    yield
    assert not late_locks, late_locks


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """Yield empty records for all tests of this process."""
    with ExitStack() as stack:
        yield Stores(tmp_path_factory.mktemp("stores"), stack)


@pytest.fixture(params=[SQLITE, STARTED])
def new_store(
    request: pytest.FixtureRequest,
    stores: Stores,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[NewStore]:
    """Return a factory of stores on SQLite and, as a separate test, on PostgreSQL."""
    # PostgreSQL ends a write whose process pauses for this long, as it may on a busy machine.
    monkeypatch.setattr(sql, "WRITE_SECONDS", round(SECONDS))
    with stores.on(request.param, tmp_path) as make:
        yield make

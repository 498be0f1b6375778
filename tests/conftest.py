"""Fixtures of all tests, and the distribution of tests to several processes (`-n`)."""

import fcntl
import gc
import os
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
from threadpoolctl import threadpool_limits
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from servicekit import sql
from servicekit.access import ANYONE, caller
from tests.late_locks import LockedLate, watch_writes
from tests.seconds import Seconds
from tests.stores import SQLITE, STARTED, NewStore, Stores
from tests.waiting import SECONDS

# Nothing is timed in a test.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
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

# There is nothing to free while 8,000 tests are collected: looking took half the time.
gc.disable()

LIVE = "tests/live/"
WITHOUT_SUITE = {
    f"{LIVE}test_{name}.py"
    for name in (
        *("access", "engines", "milvus_engine", "milvus_server_engine", "page", "plans"),
        *("restore", "shapes", "start", "typescript_shop"),
    )
}
"""Live tests that start what they need themselves."""

SHELL, APART = f"{LIVE}shell/", f"{LIVE}apart/"
"""Tests that have a whole suite of their own."""

TOGETHER = (
    (SHELL,),
    (APART,),
    tuple(f"tests/wire/test_{name}" for name in ("retriever", "backfills", "publish", "rollout")),
    tuple(f"tests/contracts/test_{name}" for name in ("k8s", "cluster_check", "memory")),
)
"""Beginnings of the names of files whose tests share what takes long to make: a whole suite; an
engine of vectors; overlays that are rendered and the schemas of Kubernetes."""

BEFORE_OTHERS = f"{LIVE}test_feedback.py"
"""Tests of clicks, which the events of others on the same shop would blur."""

LONGEST_FIRST = (SHELL, APART, f"{LIVE}test_start.py", BEFORE_OTHERS, LIVE, "tests/wire/")
"""Groups that take long; they begin first, so that the processes end at about the same time."""


def group(test: str) -> str:
    """Return the group of a test id, whose tests run in one process: its file, or all tests that
    share an expensive fixture."""
    file = test.partition("::")[0]
    for names in TOGETHER:
        if file.startswith(names):
            return names[0]
    return LIVE if file.startswith(LIVE) and file not in WITHOUT_SUITE else file


class Scheduling(LoadFileScheduling):
    """Scheduler that assigns groups to processes in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def pytest_configure(config: pytest.Config) -> None:
    """Count processor seconds in every process that runs tests."""
    config.pluginmanager.register(Seconds())


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest groups first, if tests run in several processes."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: [not item.nodeid.startswith(each) for each in LONGEST_FIRST])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Let one of several processes import everything before the others.

    In a new clone the first import compiles modules and rewrites tests, which takes 20 s of
    processor time. Each process would do it otherwise.
    """
    if not hasattr(session.config, "workerinput"):
        return (yield)
    run = session.config.workerinput["testrunuid"]
    with (Path(tempfile.gettempdir()) / f"collecting-{run}").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH)
        found = yield
    Path(lock.name).unlink(missing_ok=True)
    return found


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

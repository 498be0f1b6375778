"""A real PostgreSQL for tests and benches: the server that the package pgserver carries.

Its programs alone are used: pgserver's own starter opens every folder above the data to everybody.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.waiting import SECONDS

BECOME = """import os, sys
user, group, *command = sys.argv[1:]
os.setgroups([])
os.setgid(int(group))
os.setuid(int(user))
os.execv(command[0], command)"""
"""Gives up root's rights and becomes the command; the process stays the same."""

NOT_HERE = "NOT MEASURED: there is no PostgreSQL here (pgserver has wheels for Linux x86-64 only)"
"""Text in place of a result."""


class NoPostgreSQL(Exception):
    """Error: this platform has no PostgreSQL."""

    def __init__(self) -> None:
        super().__init__(NOT_HERE)


@dataclass(slots=True)
class PostgreSQL:
    """One server on a socket in `folder`, which can be killed and restarted on its data."""

    folder: Path
    """A short path: that of a socket has at most 107 bytes."""
    programs: Path
    options: Mapping[str, str]
    """Settings of its configuration besides the defaults."""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def url(self, database: str) -> str:
        """Return SQLAlchemy's URL of a database."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def execute(self, statement: str) -> None:
        """Run it outside of any transaction, as CREATE DATABASE needs."""
        with self.connect() as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """Start the server and wait until it answers. After a kill, wait first until all children
        of the killed server are gone: until then PostgreSQL refuses to start."""
        assert self.process is None, "already running"
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                self.process = self._launch()
            with suppress(psycopg.OperationalError), self.connect():
                return
            time.sleep(0.02)
        raise TimeoutError((self.folder / "log").read_text()[-2000:])

    def _launch(self) -> subprocess.Popen[bytes]:
        options = [f"-c{name}={value}" for name, value in self.options.items()]
        place = [f"-k{self.folder}", "-clisten_addresses="]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*as_nobody(), self._program("postgres"), "-D", self._data, *place, *options],
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """Kill the server (kill -9); its children end when they notice."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=SECONDS)
            self.process = None

    def stop(self) -> None:
        """Stop the server by an immediate shutdown."""
        if self.process is not None:
            self.process.send_signal(3)
            self.process.wait(timeout=SECONDS)
            self.process = None

    def make(self) -> None:
        """Create its empty data."""
        given = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        command = [*as_nobody(), self._program("initdb"), "-D", self._data, *given]
        subprocess.run(command, check=True, capture_output=True)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _program(self, name: str) -> str:
        return str(self.programs / name)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Connect with autocommit: each statement is a transaction."""
        return psycopg.connect(
            host=str(self.folder), user="postgres", dbname=database, autocommit=True
        )


def packages() -> Path:
    """Return the folder with the package, and the libraries of its programs beside it. Raise
    NoPostgreSQL."""
    found = importlib.util.find_spec("pgserver")
    if found is None or found.origin is None:
        raise NoPostgreSQL
    return Path(found.origin).parent.parent


@contextmanager
def postgresql(*, durable: bool = True) -> Iterator[PostgreSQL]:
    """Run an empty server during the block. Raise NoPostgreSQL. Without `durable` it does not wait
    for the disk: it survives kill -9, but no loss of power."""
    source = packages()
    options = {"shared_buffers": "64MB", "dynamic_shared_memory_type": "mmap"}
    if not durable:
        options |= {"fsync": "off", "full_page_writes": "off"}
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if os.geteuid() == 0:
            _give_away(source, folder)
            source = folder
        server = PostgreSQL(folder, source / "pgserver" / "pginstall" / "bin", options)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _give_away(source: Path, folder: Path) -> None:
    """Copy the programs to where another account can read them, and give the folder to that
    account."""
    unused = shutil.ignore_patterns("include", "*.a")
    for name in ("pgserver", "pgserver.libs"):
        shutil.copytree(source / name, folder / name, ignore=unused)
    nobody = _nobody()
    shutil.chown(folder, nobody.pw_uid, nobody.pw_gid)


def as_nobody() -> list[str]:
    """Return the words before a command that run it under another account: PostgreSQL refuses to
    run as root. Popen's own `user` and `group` would fork this process instead of using vfork, and
    a fork of a process with gRPC's threads can die before it runs the program."""
    if os.geteuid() != 0:
        return []
    nobody = _nobody()
    return [sys.executable, "-I", "-c", BECOME, str(nobody.pw_uid), str(nobody.pw_gid)]


def _nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")

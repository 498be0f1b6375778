"""Programs and files of a suite."""

import contextlib
import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"

MARKER = "SIGHTLINE_SUITE"
"""Environment variable of every process of a suite. Its value is the DATA folder, which identifies
the suite's processes even after its supervisor was killed."""

_SOCKET_FOLDER_BYTES = 80
"""Linux allows 107 for the path of a unix socket; supervisor appends its pid for a moment."""

_FORBIDDEN = set("\"'\\;#%?*\n\r\t")
"""Characters with a meaning in supervisor's configuration, in a command or in a database URL."""


class SuiteError(Exception):
    """Failed command of a suite. The message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process of the suite."""

    name: str
    """Name in commands, e.g. `ranker-worker`."""
    group: str
    """Programs of a group stop together: first `edge`, then `services`, then `engines`."""
    command: tuple[str, ...]
    """Command line; the first entry is an absolute path."""
    folder: Path
    """Working directory."""
    healthy: Callable[[], bool]
    """Health probe: takes at most about a second and never raises."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """Ports by purpose; the address of the program is that of `grpc`."""
    serves: Mapping[str, int] = field(default_factory=dict)
    """gRPC ports of the services inside, by name, if it runs several."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Settings, as environment variables."""
    keys: tuple[Path, ...] = ()
    """Files of one random key each, created if missing, readable by their owner only."""
    stop_seconds: int = 12
    """Seconds between SIGTERM and SIGKILL."""
    forks: bool = False
    """True if the process only forks the one that does its work, again when that dies."""

    def listens(self) -> dict[str, dict[str, int]]:
        """Return its ports by purpose, under its name or those of the services inside."""
        if not self.serves:
            return {self.name: dict(self.ports)}
        return {
            service: dict(self.ports) if port == self.ports["grpc"] else {"grpc": port}
            for service, port in self.serves.items()
        }


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of a suite's files. Create it with `layout`, which validates the path."""

    data: Path
    """The DATA folder, absolute."""

    @property
    def logs(self) -> Path:
        """Folder of the log files, `<program>.log`."""
        return self.data / "logs"

    @property
    def config(self) -> Path:
        """The rendered configuration of supervisor."""
        return self.data / "run" / "supervisord.conf"

    @property
    def pid(self) -> Path:
        """File of supervisor's process id, for information only."""
        return self.data / "run" / "supervisord.pid"

    @property
    def lock(self) -> Path:
        """File that supervisor locks while it runs."""
        return self.data / "run" / "suite.lock"

    @property
    def facts(self) -> Path:
        """Options that the running suite was started with (JSON)."""
        return self.data / "run" / "suite.json"

    @property
    def socket(self) -> Path:
        """Supervisor's control socket."""
        return self.socket_of("supervisor")

    def socket_of(self, name: str) -> Path:
        """Return the path of a socket: in DATA, or in a temporary folder if that path is too
        long."""
        inside = self.data / "run"
        if len(os.fsencode(inside)) <= _SOCKET_FOLDER_BYTES:
            return inside / f"{name}.sock"
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"sightline-{os.getuid()}" / f"{digest}-{name}.sock"

    def make(self) -> None:
        """Create the folders. Raise SuiteError if the socket's folder belongs to another user."""
        for folder in (self.data, self.logs, self.config.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self.socket.parent
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise SuiteError(
                f"{folder} belongs to another user; set TMPDIR to a folder that you own"
            )


def make_key(path: Path) -> None:
    """Write a new key unless the file exists."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_hex(32)}\n")


def layout(data: Path) -> Layout:
    """Return the layout of DATA folder `data`.

    Raise SuiteError for a path with forbidden characters.
    """
    absolute = data.resolve()
    bad = sorted(set(str(absolute)) & _FORBIDDEN)
    if bad:
        raise SuiteError(
            f"DATA={absolute} can't be used: its path contains {' '.join(map(repr, bad))}"
        )
    return Layout(absolute)

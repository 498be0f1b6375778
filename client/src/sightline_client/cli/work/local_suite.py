"""State of a local suite, read without calling it."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
USUAL_DATA = ".data/suite"
_SECONDS = 1.0
_HIGHEST_BASE = 60_000


@dataclass(frozen=True, slots=True)
class LocalSuite:
    """A suite that was started here, and may run."""

    data: Path
    """Data folder."""
    ports: Mapping[str, Mapping[str, int]]
    """Ports of each program, by purpose."""
    again: str
    """The command that starts it."""
    running: bool

    def silent(self) -> Iterator[tuple[str, int]]:
        """Yield the programs with a port on which nothing listens."""
        return ((name, port) for name, port in self._all() if not listens(HOST, port))

    def taken(self) -> Iterator[tuple[str, int]]:
        """Yield the programs with a port on which something listens."""
        return ((name, port) for name, port in self._all() if listens(HOST, port))

    def other_base(self) -> int:
        """Return another PORT_BASE, whose ports are all free."""
        first = min(port for _, port in self._all())
        steps = [port - first for _, port in self._all()]
        bases = range(first + 1_000, _HIGHEST_BASE, 100)
        return next(
            (base for base in bases if not any(listens(HOST, base + step) for step in steps)), first
        )

    def _all(self) -> Iterator[tuple[str, int]]:
        return ((name, port) for name, its in self.ports.items() for port in its.values())


def suite(target: str, environment: Mapping[str, str] = os.environ) -> LocalSuite | None:
    """Return the suite in DATA, or where `make up` puts it below this folder, if the target is its
    gateway; otherwise None.
    """
    data = Path(environment.get("DATA") or USUAL_DATA).absolute()
    host, _, port = target.rpartition(":")
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        facts = json.loads((data / "run" / "suite.json").read_text(encoding="utf-8"))
        ports = {str(name): dict(its) for name, its in facts["ports"].items()}
        if host in (HOST, "localhost") and ports["gateway"]["grpc"] == int(port):
            return LocalSuite(data, ports, str(facts["again"]), _answers(facts["socket"]))
    return None


def listens(host: str, port: int) -> bool:
    """Return whether something accepts connections there."""
    with suppress(OSError), socket.create_connection((host, port), _SECONDS):
        return True
    return False


def at(target: str) -> bool:
    """Return whether something accepts connections at HOST:PORT; False for a target of another
    kind."""
    host, _, port = target.rpartition(":")
    return port.isdigit() and int(port) < 65_536 and listens(host.strip("[]"), int(port))


def _answers(path: str) -> bool:
    """Return whether a supervisor listens on its socket."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_SECONDS)
        probe.connect(path)
        return True
    return False

"""Supervisor's control interface (http://supervisord.org/api.html); its only adapter."""

import http.client
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from local_suite.model import SuiteError

_NOT_RUNNING = 70
_ALREADY_STARTED = 60


@dataclass(frozen=True, slots=True)
class ProgramState:
    """Supervisor's state of a program."""

    name: str
    state: str
    """STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN."""
    pid: int
    """Process id; 0 when there is no process."""
    started: int
    """When the newest process was started, in seconds since 1970."""
    description: str
    """Supervisor's description of the state, such as `Exited too quickly`."""


class SupervisorControl:
    """Client of a running supervisor. Calls raise ConnectionError if none runs."""

    def __init__(self, socket: Path, groups: Mapping[str, str]) -> None:
        """Connect on the first call, at the socket. `groups`: the group of each program."""
        self._socket = socket
        self._groups = groups

    def states(self) -> dict[str, ProgramState]:
        """Return the state of each program by name."""
        return {
            info["name"]: ProgramState(
                info["name"], info["statename"], info["pid"], info["start"], info["description"]
            )
            for info in self._call("getAllProcessInfo")
        }

    def pid(self) -> int:
        """Return supervisor's own process id."""
        return int(self._call("getPID"))

    def stop(self, program: str) -> None:
        """Stop the program. Return when its process has ended."""
        self._call("stopProcess", self._full(program), True, allowed=_NOT_RUNNING)

    def start(self, program: str) -> None:
        """Start the program. Return at once."""
        self._call("startProcess", self._full(program), False, allowed=_ALREADY_STARTED)

    def shutdown(self) -> None:
        """Stop all programs, then supervisor. Return at once."""
        self._call("shutdown")

    def _full(self, program: str) -> str:
        return f"{self._groups[program]}:{program}"

    def _call(self, method: str, *arguments: object, allowed: int | None = None) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            proxy: Any = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
            return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == allowed:
                return None
            raise SuiteError(f"supervisor rejected {method}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise ConnectionError(f"no supervisor listens at {self._socket}") from error
        finally:
            transport.close()

"""Log entries of the services: an error that an answer hides is in the log."""

from __future__ import annotations

import re

from local_suite.suite import Suite

_GUILTY = re.compile(r'"code": "(INTERNAL|UNKNOWN)"|Traceback \(most recent|"level": "critical"')
_ENGINES = frozenset({"triton", "milvus"})
"""Engines, whose logs have other formats."""
_LINE = 1_500
_GAVE_UP = "boost::interprocess::lock_exception"
"""Last words of a Triton one of whose processes got no processor for a second as it started; see
lab/research/triton.md."""


def marks(suite: Suite) -> dict[str, int]:
    """Return the current size of each service's log."""
    return {
        name: suite.log(name).stat().st_size
        for name in suite.programs
        if name not in _ENGINES and suite.log(name).exists()
    }


def end_of(suite: Suite, name: str) -> int:
    """Return the current size of a log, also of an engine."""
    log = suite.log(name)
    return log.stat().st_size if log.exists() else 0


def triton_gave_up(suite: Suite, since: int) -> bool:
    """Return whether Triton ended by itself since its log had that size."""
    with suite.log("triton").open("rb") as file:
        file.seek(since)
        return _GAVE_UP.encode() in file.read()


def guilty(suite: Suite, since: dict[str, int]) -> list[tuple[str, str]]:
    """Return program and line of log entries, written after the marks, that no input may cause."""
    found = []
    for name, start in since.items():
        with suite.log(name).open("rb") as file:
            file.seek(start if suite.log(name).stat().st_size >= start else 0)
            found += [
                (name, line[:_LINE])
                for line in file.read().decode("utf-8", "replace").splitlines()
                if _GUILTY.search(line)
            ]
    return found

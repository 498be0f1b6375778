"""Logging as a service does it, for the duration of a block."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from servicekit import telemetry


@contextmanager
def json_logs(level: str = "info") -> Iterator[None]:
    """Log to the current stderr as a service does during the block."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    telemetry.configure_logging("shop", level)
    try:
        yield
    finally:
        _put_back(before)


def _put_back(before: tuple[list[logging.Handler], int]) -> None:
    telemetry.flush_logs()
    telemetry._lines = None
    root = logging.getLogger()
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    plain_logs()


def plain_logs() -> None:
    """Log with plain tracebacks where nothing is configured. Those of structlog show all local
    values, at a cost of seconds and gigabytes where a test has large ones."""
    structlog.reset_defaults()
    *before, _ = structlog.get_config()["processors"]
    shown = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[*before, shown])

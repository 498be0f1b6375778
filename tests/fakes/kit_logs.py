"""Logging as a service has it, for the length of a block."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from servicekit import telemetry


@contextmanager
def json_logs() -> Iterator[None]:
    """Logging as a service has it, to what is stderr now; put back afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("sightline")
    before = root.handlers[:], root.level, ours.level
    telemetry.configure_logging("shop", "info")
    try:
        yield
    finally:
        _put_back(before)


def _put_back(before: tuple[list[logging.Handler], int, int]) -> None:
    root, ours = logging.getLogger(), logging.getLogger("sightline")
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    structlog.reset_defaults()

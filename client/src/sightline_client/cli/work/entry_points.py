"""Functions that installed packages register for commands which need no suite."""

from importlib.metadata import entry_points
from typing import Any


def registered(group: str) -> Any | None:
    """Return the first function of an entry point group that can be imported; None without one."""
    for point in entry_points(group=group):
        try:
            return point.load()
        except ImportError:
            continue  # the package is installed without its extras
    return None

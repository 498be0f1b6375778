"""Functions that installed packages register for commands which need no suite."""

from importlib.metadata import entry_points
from typing import Any

from sightline_client.files.model import FileRefused


def registered(group: str, lacking: str, fix: str) -> Any:
    """Return the first function of an entry point group that can be imported. FileRefused without
    one: what is lacking, and how to fix it."""
    for point in entry_points(group=group):
        try:
            return point.load()
        except ImportError:
            continue  # the package is installed without its extras
    raise FileRefused(lacking, fix)

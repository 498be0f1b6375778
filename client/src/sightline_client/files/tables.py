"""Tables of words and names beside the modules of this package that read them."""

import tomllib
from importlib import resources
from typing import Any


def table(name: str) -> dict[str, Any]:
    """Return the content of NAME.toml."""
    return tomllib.loads((resources.files(__package__) / f"{name}.toml").read_text("utf-8"))

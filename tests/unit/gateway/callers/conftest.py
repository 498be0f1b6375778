"""A file of keys, and a clock that a test moves."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

WriteKeys = Callable[..., Path]


def entry(name: str, token: str, roles: str, catalogs: str = '["default"]', more: str = "") -> str:
    """Return a key's entry in the file."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    return (
        f'[[keys]]\nname = "{name}"\nsha256 = "{digest}"\nroles = {roles}\n'
        f"catalogs = {catalogs}\n{more}\n"
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"

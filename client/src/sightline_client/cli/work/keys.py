"""Keys of callers: new tokens, and the gateway's file of their hashes."""

import hashlib
import json
import os
import secrets
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sightline_client.cli.language import _
from sightline_client.files.model import FileRefused

PREFIX = "slk_"
"""Prefix of every token, so that a leaked one can be recognised."""
ANY_SHOPPER = "any"
_TOKEN_BYTES = 32
_NEW_FILE = 0o600


def new_token() -> str:
    """Return a token of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


@dataclass(frozen=True)
class CallerKey:
    """Entry of a caller in the gateway's file of keys."""

    name: str
    roles: Sequence[str]
    catalogs: Sequence[str]
    expires: date | None = None
    """First day (UTC) on which the key is invalid; None if it never expires."""
    shoppers: str = ANY_SHOPPER
    """Shoppers that requests may name: `any`, `none`, or `own` for the one with `user_id`."""
    user_id: str = ""

    def entry(self, token: str) -> str:
        """Return the key in TOML, with the token's hash."""
        lines = [
            "[[keys]]",
            f"name = {json.dumps(self.name, ensure_ascii=False)}",
            f'sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"',
            f"roles = {json.dumps(list(self.roles))}",
            f"catalogs = {json.dumps(list(self.catalogs))}",
        ]
        if self.shoppers != ANY_SHOPPER:
            lines.append(f'shoppers = "{self.shoppers}"')
        if self.user_id:
            lines.append(f"user_id = {json.dumps(self.user_id, ensure_ascii=False)}")
        lines += [f"expires = {self.expires.isoformat()}"] if self.expires else []
        return "\n".join(lines) + "\n"


def append(path: Path, name: str, entry: str) -> None:
    """Append a key to a file, created with permissions for its owner alone. FileRefused for a file
    that holds no keys or has the name already; OSError."""
    held = path.read_text("utf-8", "replace") if path.exists() else ""
    if name in _names(path, held):
        raise FileRefused(
            _("{path}: already has a key {name}", path=path, name=name),
            _("use another --name, or delete that key from the file"),
        )
    between = "\n" if held and not held.endswith("\n\n") else ""
    between += "\n" if held and not held.endswith("\n") else ""
    _names(path, held + between + entry)
    with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _NEW_FILE), "wb") as file:
        file.write((between + entry).encode())


def write_token(path: Path, token: str) -> None:
    """Write a token to a new file, which its owner alone may read from the moment it exists.
    FileRefused for a file that exists; OSError."""
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _NEW_FILE)
    except FileExistsError:
        raise FileRefused(
            _("{path}: already exists, and others may have opened it", path=path),
            _("name another --out, or remove that file"),
        ) from None
    with open(opened, "w", encoding="ascii") as file:
        file.write(f"{token}\n")


def _names(path: Path, text: str) -> set[object]:
    """Return the names of the keys in the text of a file. Raises FileRefused."""
    try:
        return {key.get("name") for key in tomllib.loads(text).get("keys", [])}
    except (ValueError, AttributeError, TypeError) as error:
        raise FileRefused(
            _("{path}: invalid file of keys ({error})", path=path, error=error),
            _("fix it, or name another --file"),
        ) from None

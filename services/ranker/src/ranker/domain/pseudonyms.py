"""Keyed pseudonyms: the only form in which ids of people are stored.

A pseudonym is HMAC-SHA256 over (catalog, kind of id, id) with a key from a file. Without the key it
is impossible to check whether a known id is in the store. With another key nothing would match, so
the key's fingerprint is stored with the data, and the service does not start if it differs.
"""

import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from ranker.domain.errors import KeyUnusable
from ranker.domain.events import Identity, Shopper
from servicekit.weak_keys import ADVICE, is_weak

KEY_BYTES = 32

_NEW_RECORD = "to change it, start with an empty record"


class Pseudonyms:
    """Pseudonyms under one key."""

    def __init__(self, key: bytes) -> None:
        """`key` holds at least KEY_BYTES random bytes. Raise KeyUnusable if it is shorter."""
        if len(key) < KEY_BYTES:
            raise KeyUnusable(f"the pseudonym key has {len(key)} bytes, {KEY_BYTES} are needed")
        self._key = key
        self.key_id = _mac(key, (b"key id",)).hex()[:16]
        """Id of the key, stored in each row: 16 hexadecimal digits."""
        self.fingerprint = _mac(key, (b"key check",)).hex()
        """Fingerprint of the key, compared with that of the store: 64 hexadecimal digits."""

    def of(self, catalog_id: str, shopper: Shopper) -> str:
        """Return the shopper's pseudonym in the catalog, 64 hexadecimal digits."""
        return self._pseudonym(catalog_id, shopper.kind, shopper.id)

    def of_session(self, catalog_id: str, session_id: str) -> str:
        """Return the visit's pseudonym; empty for an unknown visit."""
        return self._pseudonym(catalog_id, Identity.SESSION, session_id) if session_id else ""

    def digest(self, catalog_id: str, text: str) -> bytes:
        """Return an 8-byte keyed digest of a text about a shopper, for later comparison."""
        return _mac(self._key, (catalog_id.encode(), b"digest", text.encode()))[:8]

    def hashed(self, catalog_id: str, text: str) -> str:
        """Return a keyed hash of a text, 32 hexadecimal digits: equal texts of a catalog have equal
        hashes. Empty for an empty text."""
        return (
            _mac(self._key, (catalog_id.encode(), b"text", text.encode())).hex()[:32]
            if text
            else ""
        )

    def _pseudonym(self, catalog_id: str, kind: Identity, value: str) -> str:
        parts = (catalog_id.encode(), kind.value.encode(), value.encode())
        return _mac(self._key, parts).hex()


def load(path: Path, *, create: bool) -> Pseudonyms:
    """Return the pseudonyms under the key in `path` (64 hexadecimal digits). With `create` a
    missing file is written first, readable by its owner only; of two processes that start at
    once, one writes it and both read the same. KeyUnusable if it is missing, malformed or
    guessable: with the key, people can be found by their ids."""
    if create and not path.exists():
        _create(path)
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise KeyUnusable(f"there is no pseudonym key at {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnusable(f"the pseudonym key at {path} can't be read: {error}") from error
    try:
        found = Pseudonyms(bytes.fromhex(text))
    except ValueError:
        raise KeyUnusable(f"the pseudonym key at {path} is not hexadecimal") from None
    if is_weak(text):
        raise KeyUnusable(f"the pseudonym key at {path} is {ADVICE}; {_NEW_RECORD}")
    return found


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # fails if another process was faster, and keeps its key
        except FileExistsError:
            return
    finally:
        draft.unlink()


def _mac(key: bytes, parts: Iterable[bytes]) -> bytes:
    """Return the HMAC over `parts`, each after its length, which makes the input unambiguous."""
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(key, message, "sha256")

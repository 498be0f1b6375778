"""Keyed pseudonyms: the only form in which ids of people are stored.

A pseudonym is HMAC-SHA256 over (catalog, kind of id, id) with a key from a file. Without the key it
is impossible to check whether a known id is in the store. With another key nothing would match, so
the key's fingerprint is stored with the data, and the service does not start if it differs.

A file may have several keys, oldest first. Each later one renews pseudonyms: it is an HMAC over the
hash of the former pseudonym, so that stored pseudonyms can be renewed without the ids
(`python -m ranker.rekey`), and so can the hashes that erasures leave. Who learned a former key can
then no longer check an id.
"""

import hmac
import os
import secrets
import struct
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from ranker.domain.erasure import person_hash
from ranker.domain.errors import KeyUnusable
from ranker.domain.events import Identity, Shopper
from servicekit.keys.weak_keys import ADVICE, is_weak

KEY_BYTES = 32
_length = struct.Struct(">I").pack

_NEW_RECORD = "to change it, start with an empty record"


class Pseudonyms:
    """Pseudonyms under the last of some keys."""

    def __init__(self, key: bytes, *later: bytes) -> None:
        """Each key holds at least KEY_BYTES random bytes. Raise KeyUnusable if one is shorter."""
        for each in (key, *later):
            if len(each) < KEY_BYTES:
                problem = f"the pseudonym key has {len(each)} bytes, {KEY_BYTES} are needed"
                raise KeyUnusable(problem)
        self._key, self._later = key, later
        last, before = (key, *later)[-1], tuple(map(bytes, (key, *later)[:-1]))
        self.key_id = _mac(last, (b"key id", *before)).hex()[:16]
        """Id of the last key, stored in each row: 16 hexadecimal digits."""
        self.fingerprint = _mac(last, (b"key check", *before)).hex()
        """Fingerprint of the keys, compared with that of the store: 64 hexadecimal digits."""

    @property
    def former(self) -> "Pseudonyms | None":
        """Return the pseudonyms without the last key; None if there is one key."""
        return Pseudonyms(self._key, *self._later[:-1]) if self._later else None

    def since(self, key: str) -> "Renewal | None":
        """Return what renews pseudonyms of the key with this fingerprint, or id; None if it is none
        of these keys."""
        known: Pseudonyms | None = self
        while known is not None and key not in (known.fingerprint, known.key_id):
            known = known.former
        return None if known is None else Renewal(self._later[len(known._later) :])

    def renewals(self, key: str = "") -> "Sequence[Renewal]":
        """Return what renews pseudonyms of the key with this fingerprint, or id; if it is none of
        these keys, of each of them, of which the last one changes nothing."""
        if (known := self.since(key)) is not None:
            return [known]
        return [Renewal(self._later[start:]) for start in range(len(self._later) + 1)]

    def of(self, catalog_id: str, shopper: Shopper) -> str:
        """Return the shopper's pseudonym in the catalog, 64 hexadecimal digits."""
        first = self.first(catalog_id, shopper.kind, shopper.id)
        return Renewal(self._later).of(first) if self._later else first

    def of_session(self, catalog_id: str, session_id: str) -> str:
        """Return the visit's pseudonym; empty for an unknown visit."""
        if not session_id:
            return ""
        return self.of(catalog_id, Shopper(Identity.SESSION, session_id))

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

    def first(self, catalog_id: str, kind: Identity, value: str) -> str:
        """Return the pseudonym under the first key, which renewals do not change."""
        parts = (catalog_id.encode(), kind.encode(), value.encode())
        return _mac(self._key, parts).hex()


class Renewal:
    """Renewal of stored pseudonyms by later keys."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = keys

    def __bool__(self) -> bool:
        return bool(self._keys)

    def of(self, pseudonym: str) -> str:
        """Return the renewed pseudonym."""
        for key in self._keys:
            pseudonym = _renewed(key, person_hash(pseudonym))
        return pseudonym

    def of_hash(self, hashed: str) -> str:
        """Return the hash of the renewed pseudonym of one with this hash."""
        for key in self._keys:
            hashed = person_hash(_renewed(key, hashed))
        return hashed


def _renewed(key: bytes, hashed: str) -> str:
    return _mac(key, (b"renewed", hashed.encode())).hex()


def load(path: Path, *, create: bool) -> Pseudonyms:
    """Return the pseudonyms under the keys in `path`, a line of 64 hexadecimal digits each. With
    `create` a missing file is written first, readable by its owner only; of two processes that
    start at once, one writes it and both read the same. KeyUnusable if it is missing, malformed or
    guessable: with the key, people can be found by their ids."""
    if create and not path.exists():
        _create(path)
    try:
        lines = path.read_text(encoding="ascii").split()
    except FileNotFoundError:
        raise KeyUnusable(f"there is no pseudonym key at {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnusable(f"the pseudonym key at {path} can't be read: {error}") from error
    try:
        found = Pseudonyms(*map(bytes.fromhex, lines or [""]))
    except ValueError:
        raise KeyUnusable(f"the pseudonym key at {path} is not hexadecimal") from None
    if any(map(is_weak, lines)):
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


def _mac(key: bytes, parts: Sequence[bytes]) -> bytes:
    """Return the HMAC over `parts`, each after its length, which makes the input unambiguous."""
    framed = chain.from_iterable(zip(map(_length, map(len, parts)), parts, strict=True))
    return hmac.digest(key, b"".join(framed), "sha256")

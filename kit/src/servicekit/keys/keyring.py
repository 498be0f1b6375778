"""Keys that sign data which callers hold or store: tokens, backups, spaces.

A file has a line for each key: 64 hexadecimal digits, as `openssl rand -hex 32` prints them. The
first key signs, all of them verify. To rotate: append a new key, move it to the first line once
every replica has it, and delete the old one once its signatures are obsolete. Empty lines and those
that begin with `#` are ignored; changes take effect without a restart.

Without a file the only key is empty, hence public: its signatures prove nothing, but stay valid
across restarts, processes and replicas. Use this on a single machine only.
"""

import base64
import binascii
import hmac
import re
import struct
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from operator import methodcaller
from pathlib import Path
from typing import TypeAlias

from servicekit.keys.weak_keys import ADVICE, is_weak
from servicekit.watched_files import Reloaded, Unreadable, stale_keys

_KEY = re.compile(r"[0-9a-f]{64}")
_ID, _MAC, _TIME = 4, 16, 8
"""Bytes of a token's head: the key's id, the MAC, the end in microseconds since 1970."""

_MARK = 16
"""Hexadecimal digits of a mark."""


class SignatureInvalid(ValueError):
    """The data is not signed by a key of the ring for this purpose."""


class TokenExpired(SignatureInvalid):
    """The token was valid once."""


class KeyRing:
    """Signing keys, the active one first."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        """`keys`: 32 random bytes each; none: the empty key."""
        self.secret = bool(keys)
        """True if a signature proves anything."""
        self._keys = {_digest(key, ("key id",))[:_ID]: key for key in reversed(keys or (b"",))}
        self._first = list(self._keys)[-1]

    def sign(self, about: Sequence[str], content: bytes) -> str:
        """Return the signature `KEY:MAC` in hexadecimal digits.

        `about` binds it to a purpose: it is invalid for any other.
        """
        return self._signature(self._first, about, content)

    def check(self, about: Sequence[str], content: bytes, signature: str) -> None:
        """Raise SignatureInvalid unless a key of the ring signed `content` for `about`."""
        given = signature.encode("utf-8", "surrogatepass")
        made = [self._signature(key_id, about, content).encode() for key_id in self._keys]
        if not any(hmac.compare_digest(given, each) for each in made):
            raise SignatureInvalid

    def mark(self, about: Sequence[str]) -> str:
        """Return 16 hexadecimal digits that only holders of the keys can compute from `about`."""
        return _digest(self._keys[self._first], ("mark", *about)).hex()[:_MARK]

    def has_mark(self, about: Sequence[str], mark: str) -> bool:
        """Return whether a key of the ring makes this mark of `about`."""
        made = (_digest(key, ("mark", *about)).hex()[:_MARK] for key in self._keys.values())
        return any(hmac.compare_digest(each, mark) for each in made)

    def derive(self, about: Sequence[str], key_id: str = "") -> tuple[str, bytes] | None:
        """Return the id of a key, and 32 bytes that only holders of that key can compute.

        `key_id`: a key of the ring, as returned before; empty: the active one. None: the ring has
        no such key.
        """
        wanted = bytes.fromhex(key_id) if key_id else self._first
        key = self._keys.get(wanted)
        return None if key is None else (wanted.hex(), _digest(key, ("derived", *about)))

    def seal(self, about: Sequence[str], content: bytes, expire_micros: int) -> str:
        """Return a base64url token that holds `content`, readable to everyone, until
        `expire_micros`. `about`: see `sign`."""
        body = expire_micros.to_bytes(_TIME, "big") + content
        mac = _digest(self._keys[self._first], about, body)[:_MAC]
        return _word(self._first + mac + body)

    def open(self, about: Sequence[str], token: str, now_micros: int) -> bytes:
        """Return the content of a token. Raises SignatureInvalid, TokenExpired."""
        data = _bytes(token)
        key, body = self._keys.get(data[:_ID]), data[_ID + _MAC :]
        mac = _digest(key or b"", about, body)[:_MAC]
        if key is None or not hmac.compare_digest(data[_ID : _ID + _MAC], mac):
            raise SignatureInvalid
        if now_micros >= int.from_bytes(body[:_TIME], "big"):
            raise TokenExpired
        return body[_TIME:]

    def _signature(self, key_id: bytes, about: Sequence[str], content: bytes) -> str:
        return f"{key_id.hex()}:{_digest(self._keys[key_id], about, content).hex()}"


SigningKeys: TypeAlias = Callable[[], KeyRing]
"""The ring as it is now."""


@cache
def open_keys() -> KeyRing:
    """Return the ring of a process without a key file."""
    return KeyRing()


def signing_keys(path: Path | None) -> SigningKeys:
    """Return an accessor of the keys in a file, as they are now, or of `open_keys` without one.

    Raises Unreadable.
    """
    if path is None:
        return open_keys
    return Reloaded(lambda: [path], lambda: _read(path), stale=stale_keys("signing")).get


def _read(path: Path) -> KeyRing:
    return KeyRing(read_keys(path))


def read_keys(path: Path) -> list[bytes]:
    """Return the keys of a file, 32 bytes each, in the order of its lines. Raises Unreadable."""
    try:
        lines = [line.strip() for line in path.read_text("ascii").splitlines()]
    except (OSError, UnicodeError) as error:
        raise Unreadable(f"{path}: {error}") from None
    found = [line for line in lines if line and not line.startswith("#")]
    if not found or len(set(found)) < len(found) or not all(map(_KEY.fullmatch, found)):
        raise Unreadable(
            f"{path}: needs a line of 64 hexadecimal digits for each key, no two alike"
        )
    if any(map(is_weak, found)):
        raise Unreadable(f"{path}: a key is {ADVICE}")
    return [bytes.fromhex(line) for line in found]


def _bytes(token: str) -> bytes:
    """Decode a token. Raises SignatureInvalid, also for a non-canonical encoding."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise SignatureInvalid from None
    if _word(data) != token:
        raise SignatureInvalid
    return data


def _word(data: bytes) -> str:
    """Encode bytes as base64url without padding."""
    encoded = binascii.b2a_base64(data, newline=False).translate(_URL_SAFE)
    return encoded.rstrip(b"=").decode()


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


_encode = methodcaller("encode", "utf-8", "surrogatepass")
_LENGTH = struct.Struct(">Q").pack


def _digest(key: bytes, texts: Sequence[str], *data: bytes) -> bytes:
    """Return the HMAC-SHA256 of texts and data, each prefixed by its length: different lists give
    different bytes."""
    parts = [*map(_encode, texts), *data]
    framed = zip(map(_LENGTH, map(len, parts)), parts, strict=True)
    return hmac.digest(key, b"".join(chain.from_iterable(framed)), "sha256")

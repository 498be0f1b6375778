"""Encrypted texts and vectors in SQL: attributes of shoppers, words of searches, and vectors of
photos.

A sealed text is MARK, the id of a data key, and base64 of nonce and ciphertext (AES-256-GCM, NIST
SP 800-38D), bound to its table, column and catalog. Data keys are stored wrapped
(servicekit.keys.wrapping). A sealed vector is the same in bytes, without base64. Texts and vectors
of before the encryption are plain until the worker seals them. The sealer is an execution option of
the store's connections, so that statements need no other argument.
"""

import base64
import os
import threading
import time
from collections.abc import Callable

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from ranker.domain.errors import EncryptionKeyMissing
from ranker.record.tables import DATA_KEYS
from servicekit.keys.wrapping import KeyWrapper, UnwrapFailed

OPTION = "ranker_sealer"
MARK = "\x01"
"""First character of a sealed text. No attribute holds it; a search that does is marked PLAIN."""
PLAIN = f"{MARK}0:"
NONCE_BYTES, KEY_BITS = 12, 256
CURRENT_SECONDS = 60.0
"""Seconds for which the id of the newest data key is cached."""


class Sealer:
    """Data keys of a store, unwrapped on first use."""

    def __init__(self, wrapper: KeyWrapper, clock: Callable[[], float] = time.monotonic) -> None:
        self.wrapper, self._clock = wrapper, clock
        self._ciphers: dict[str, AESGCM] = {}
        self._current = (-CURRENT_SECONDS, "")
        self._lock = threading.Lock()

    def seal(self, connection: Connection, about: str, text: str) -> str:
        """Return the text, sealed with the newest data key. Raise EncryptionKeyMissing."""
        key_id, sealed = self.encrypt(connection, about, text.encode())
        return f"{prefix(key_id)}{base64.b64encode(sealed).decode()}"

    def open(self, connection: Connection, about: str, text: str) -> str:
        """Return a sealed text's content. Raise EncryptionKeyMissing."""
        key_id, _, content = text.removeprefix(MARK).partition(":")
        return self.decrypt(connection, about, key_id, base64.b64decode(content)).decode()

    def encrypt(self, connection: Connection, about: str, data: bytes) -> tuple[str, bytes]:
        """Encrypt with the newest data key. Return its id, and nonce and ciphertext. Raise
        EncryptionKeyMissing."""
        key_id = self._newest(connection)
        nonce = os.urandom(NONCE_BYTES)
        cipher = self._cipher(connection, key_id)
        return key_id, nonce + cipher.encrypt(nonce, data, about.encode())

    def decrypt(self, connection: Connection, about: str, key_id: str, sealed: bytes) -> bytes:
        """Return the content of nonce and ciphertext. Raise EncryptionKeyMissing."""
        cipher = self._cipher(connection, key_id)
        try:
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode())
        except InvalidTag:
            raise EncryptionKeyMissing(
                "a value was changed, or sealed for another column"
            ) from None

    def _newest(self, connection: Connection) -> str:
        until, key_id = self._current
        if self._clock() >= until:
            t = DATA_KEYS.c
            newest = sa.select(t.key_id).order_by(t.created_micros.desc(), t.key_id).limit(1)
            found = connection.execute(newest).scalar()
            if found is None:
                raise EncryptionKeyMissing("the store has no data key")
            key_id = found
            self._current = (self._clock() + CURRENT_SECONDS, key_id)
        return key_id

    def _cipher(self, connection: Connection, key_id: str) -> AESGCM:
        with self._lock:
            if key_id not in self._ciphers:
                t = DATA_KEYS.c
                row = connection.execute(sa.select(DATA_KEYS).where(t.key_id == key_id)).first()
                if row is None:
                    raise EncryptionKeyMissing(f"the store has no data key {key_id}")
                try:
                    key = self.wrapper.unwrap(row.wrapped, row.wrapped_with)
                except UnwrapFailed as error:
                    raise EncryptionKeyMissing(str(error)) from error
                self._ciphers[key_id] = AESGCM(key)
            return self._ciphers[key_id]


def prefix(key_id: str) -> str:
    """Return what texts and vectors sealed with a data key begin with."""
    return f"{MARK}{key_id}:"


def seal(connection: Connection, about: str, text: str) -> str:
    """Return a text as it is stored: sealed if the store's connections have a sealer. `about`: its
    table, column and catalog. Raise EncryptionKeyMissing."""
    sealer = _sealer(connection)
    if not text or sealer is None:
        return f"{PLAIN}{text}" if text.startswith(MARK) else text
    return sealer.seal(connection, about, text)


def unseal(connection: Connection, about: str, text: str) -> str:
    """Return the content of a stored text. Raise EncryptionKeyMissing."""
    if not text.startswith(MARK):
        return text
    if text.startswith(PLAIN):
        return text.removeprefix(PLAIN)
    sealer = _sealer(connection)
    if sealer is None:
        raise EncryptionKeyMissing("the text is sealed: set RANKER_ENCRYPTION_KEYS_FILE")
    return sealer.open(connection, about, text)


def seal_vector(connection: Connection, about: str, vector: bytes) -> bytes:
    """Return a vector of float32 as it is stored, as `seal` does."""
    sealer = _sealer(connection)
    if sealer is None:
        return vector
    key_id, sealed = sealer.encrypt(connection, about, vector)
    return prefix(key_id).encode() + sealed


def unseal_vector(connection: Connection, about: str, stored: bytes) -> bytes:
    """Return the content of a stored vector. Raise EncryptionKeyMissing.

    A plain vector has a multiple of 4 bytes. A sealed one never has: id, nonce and tag are 46.
    """
    if len(stored) % 4 == 0:
        return stored
    sealer = _sealer(connection)
    if sealer is None:
        raise EncryptionKeyMissing("the vector is sealed: set RANKER_ENCRYPTION_KEYS_FILE")
    key_id, _, sealed = stored.removeprefix(MARK.encode()).partition(b":")
    return sealer.decrypt(connection, about, key_id.decode(), sealed)


def value_of(catalog_id: str) -> str:
    """Return what binds a sealed value of an attribute."""
    return f"attributes.value\0{catalog_id}"


def query_of(catalog_id: str) -> str:
    """Return what binds the sealed words of a search."""
    return f"events.query\0{catalog_id}"


def photo_of(catalog_id: str) -> str:
    """Return what binds the sealed vector of a photo."""
    return f"answers.photo\0{catalog_id}"


def _sealer(connection: Connection) -> Sealer | None:
    found: Sealer | None = connection.get_execution_options().get(OPTION)
    return found

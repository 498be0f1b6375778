"""Encryption of data keys by a key that lies outside the store (envelope encryption).

Rows are encrypted with data keys, which are stored beside them, wrapped. The wrapping key is in a
file, or never leaves a key management service that a command asks. To change it, only the data keys
are wrapped again. AES key wrap: RFC 3394. Needs the extra `encryption`.
"""

import base64
import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from servicekit.keys.keyring import read_keys
from servicekit.watched_files import Reloaded, stale_keys

COMMAND_SECONDS = 30.0


class UnwrapFailed(Exception):
    """A data key can't be decrypted: its wrapping key is missing, or the service refused."""


class KeyWrapper(Protocol):
    """Holder of wrapping keys."""

    @property
    def current(self) -> str:
        """Return the id of the wrapping key that `wrap` uses."""

    def wrap(self, data_key: bytes) -> bytes:
        """Encrypt a data key. Raises UnwrapFailed. Blocks."""

    def unwrap(self, wrapped: bytes, key_id: str) -> bytes:
        """Decrypt a data key that the wrapping key of this id encrypted. Raises UnwrapFailed.
        Blocks."""


class FileKeys:
    """Wrapping keys in a file, a line of 64 hexadecimal digits each: the first one wraps, all of
    them unwrap. Changes take effect without a restart."""

    def __init__(self, path: Path) -> None:
        """Raise Unreadable."""

        def read() -> Mapping[str, bytes]:
            return {_id(key): key for key in read_keys(path)}

        self._path = path
        self._keys = Reloaded(lambda: [path], read, stale=stale_keys("wrapping"))

    @property
    def current(self) -> str:
        return next(iter(self._keys.get()))

    def wrap(self, data_key: bytes) -> bytes:
        return aes_key_wrap(next(iter(self._keys.get().values())), data_key)

    def unwrap(self, wrapped: bytes, key_id: str) -> bytes:
        key = self._keys.get().get(key_id)
        if key is None:
            raise UnwrapFailed(f"{self._path} has no key {key_id}: restore its line")
        try:
            return aes_key_unwrap(key, wrapped)
        except InvalidUnwrap:
            raise UnwrapFailed(f"key {key_id} did not wrap this data key") from None


class CommandKeys:
    """A program that wraps and unwraps, such as one that calls a key management service.

    It is started as `PROGRAM wrap` and `PROGRAM unwrap`, gets the base64 of a key on standard input
    and prints that of the result.
    """

    current = "command"

    def __init__(self, program: Path) -> None:
        self._program = program

    def wrap(self, data_key: bytes) -> bytes:
        return self._run("wrap", data_key)

    def unwrap(self, wrapped: bytes, key_id: str) -> bytes:
        if key_id != self.current:
            raise UnwrapFailed(f"the data key was wrapped by key {key_id} of a file")
        return self._run("unwrap", wrapped)

    def _run(self, verb: str, given: bytes) -> bytes:
        try:
            done = subprocess.run(
                [self._program, verb],
                input=base64.b64encode(given),
                capture_output=True,
                timeout=COMMAND_SECONDS,
                check=True,
            )
            return base64.b64decode(done.stdout, validate=False)
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip()
            raise UnwrapFailed(f"{self._program} {verb} failed: {said}") from None
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise UnwrapFailed(f"{self._program} {verb} failed: {error}") from None


class BothKeys:
    """A command, and the file that was used before it: to move from one to the other."""

    def __init__(self, first: KeyWrapper, former: KeyWrapper) -> None:
        self._first, self._former = first, former

    @property
    def current(self) -> str:
        return self._first.current

    def wrap(self, data_key: bytes) -> bytes:
        return self._first.wrap(data_key)

    def unwrap(self, wrapped: bytes, key_id: str) -> bytes:
        holder = self._first if key_id == self._first.current else self._former
        return holder.unwrap(wrapped, key_id)


def key_wrapper(path: Path | None, command: Path | None) -> KeyWrapper | None:
    """Return the wrapper of the settings; None without any. A command wraps if both are given.
    Raises Unreadable."""
    file = FileKeys(path) if path is not None else None
    if command is None:
        return file
    program = CommandKeys(command)
    return program if file is None else BothKeys(program, file)


def _id(key: bytes) -> str:
    """Return the id of a wrapping key, 16 hexadecimal digits."""
    return hashlib.sha256(b"wrapping key\0" + key).hexdigest()[:16]

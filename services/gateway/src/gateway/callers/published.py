"""Public keys of an identity provider (JWKS), refreshed periodically.

A thread fetches them, so that no call waits; until then the previous keys stay valid. While the
address fails they stay valid for a day.
"""

import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any, Final

import jwt

from gateway.callers.signed import UNUSABLE
from servicekit.telemetry import get_logger
from servicekit.watched_files import stale_keys

FRESH_SECONDS: Final = 300.0
"""Seconds between two successful fetches: a withdrawn key is rejected after at most this time."""
STALE_SECONDS: Final = 86_400.0
"""Seconds after the last successful fetch from which the keys are no longer valid."""
LEAST_SECONDS: Final = 30.0
"""Minimum seconds between two fetches, regardless of the number of tokens with unknown keys."""
SECONDS: Final = 10.0
"""Timeout of a fetch, in seconds."""
MOST_BYTES: Final = 1 << 20
_CHUNK: Final = 1 << 16


class PublishedKeys:
    """The keys at an address."""

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Fetch the keys. If that fails, there are none until a later fetch succeeds."""
        self._address, self._clock = address, clock
        self._keys: jwt.PyJWKSet | None = None
        self._looked = self._fetched = clock()
        self._looking = threading.Lock()
        self._stale = stale_keys("jwks")
        self._look()

    def get(self) -> jwt.PyJWKSet:
        """Return the current keys, or recent ones. Raises KeyError while there are none."""
        now = self._clock()
        if self._keys is None or now - self._looked >= FRESH_SECONDS:
            self.refresh()
        if self._keys is None or now - self._fetched >= STALE_SECONDS:
            raise KeyError(self._address)
        return self._keys

    def refresh(self) -> None:
        """Start a fetch, unless one is running or was made within LEAST_SECONDS."""
        if self._clock() - self._looked >= LEAST_SECONDS and not self._looking.locked():
            self._looked = self._clock()
            threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        with self._looking:
            try:
                self._keys = jwt.PyJWKSet.from_json(fetch(self._address).decode())
                self._fetched = self._clock()
                self._stale(False)
            except UNUSABLE as error:
                self._stale(True)
                get_logger().error("no keys fetched", address=self._address, problem=repr(error))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects are rejected: the settings name the hosts that may answer."""

    def redirect_request(self, *_: Any) -> None:
        return None


def fetch(address: str) -> bytes:
    """Fetch a file from a web server. Raises OSError, ValueError."""
    end = time.monotonic() + SECONDS
    body = b""
    opener = urllib.request.build_opener(_NoRedirects)
    with opener.open(address, timeout=SECONDS) as answer:
        while chunk := answer.read1(_CHUNK):
            body += chunk
            if len(body) > MOST_BYTES or time.monotonic() > end:
                raise ValueError(f"more than {MOST_BYTES} bytes, or {SECONDS:g} s")
    return body

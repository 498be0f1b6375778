"""TLS for callers over HTTP, from files that may change while the server runs."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Self

from gateway.http.settings import HttpSettings
from servicekit.rpc.tls import CERTIFICATE, KEY, Certificates
from servicekit.tasks.loops import Loop

RENEW_SECONDS = 60.0
"""Seconds between two looks at the files of certificates."""


class CallersTls:
    """The TLS context of a server, and the files that it is loaded from."""

    def __init__(self, folder: Path, authorities: Path | None) -> None:
        """See `servicekit.rpc.tls.Certificates`. Raises Unreadable."""
        self._folder = folder
        self._files = Certificates(folder, authorities, "callers")
        self._used = self._files.calling()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load()
        if authorities is not None:
            self.context.load_verify_locations(authorities)
            self.context.verify_mode = ssl.CERT_REQUIRED

    @classmethod
    def of(cls, settings: HttpSettings) -> Self | None:
        """Create it from settings; None: plain text. Raises Unreadable."""
        if settings.tls_folder is None:
            return None
        return cls(settings.tls_folder, settings.tls_callers_ca_file)

    async def renew(self) -> None:
        """Reload changed certificates until cancelled; new connections use them."""
        await Loop("certificates", self._renew, RENEW_SECONDS).run()

    async def _renew(self) -> None:
        # Only what was checked: a context has no key any more after half of a pair.
        if (now := self._files.calling()) is not self._used:
            self._load()
            self._used = now

    def _load(self) -> None:
        self.context.load_cert_chain(self._folder / CERTIFICATE, self._folder / KEY, password="")

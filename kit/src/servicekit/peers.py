"""Authentication between the services of one installation: by a shared key, by certificates, or by
both.

A file holds the keys. Every call to a peer carries the first key, and a service accepts all of
them. To rotate without failed calls, add the new key everywhere, then make it the first one
everywhere, and delete the old one last.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from servicekit.access import AUTHORIZATION, FOR, OPEN, AccessPolicy, PeersOnly, known
from servicekit.config import PeerSettings
from servicekit.reloaded import Reloaded, Unreadable, stale_keys
from servicekit.tls import AUTHORITY, Certificates
from servicekit.weak_keys import ADVICE, is_weak

LEAST, MOST = 32, 1_024
"""Characters of a key."""


@dataclass(frozen=True, slots=True)
class PeerCredentials:
    """Credentials shared by the services of an installation; none by default, as on one machine."""

    keys: Callable[[], Sequence[str]] | None = None
    """The key that is sent, then others that are accepted."""
    tls: Certificates | None = None
    names: frozenset[str] = frozenset()
    """Certificate names of peers that may call; empty: all signed certificates."""

    @classmethod
    def of(cls, settings: PeerSettings) -> Self:
        """Return the credentials that settings name. Raises Unreadable."""
        path, folder = settings.peer_key_file, settings.peer_tls_folder
        return cls(
            None if path is None else _keys(path).get,
            None if folder is None else Certificates(folder, folder / AUTHORITY, "peers"),
            frozenset(settings.peer_names),
        )

    def access(self) -> AccessPolicy:
        """Return the policy for callers of this service.

        TLS rejects invalid certificates before.
        """
        if self.keys is None and not self.names:
            return OPEN
        return PeersOnly(self.keys, self.names)

    def metadata(self) -> dict[str, str]:
        """Return the metadata of a call to a peer: the key and the original caller."""
        sent = {} if self.keys is None else {AUTHORIZATION: f"Bearer {self.keys()[0]}"}
        return sent | {FOR: quote(name)} if (name := known()) else sent


NO_CREDENTIALS = PeerCredentials()


def _keys(path: Path) -> Reloaded[Sequence[str]]:
    return Reloaded(lambda: [path], lambda: _read(path), stale=stale_keys("peers"))


def _read(path: Path) -> Sequence[str]:
    try:
        keys = path.read_text("ascii").split()
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path}: {error}") from None
    if not 1 <= len(keys) <= 2 or not all(map(_good, keys)):
        raise Unreadable(
            f"{path}: must hold one key, or two during rotation, of {LEAST} to {MOST}"
            " characters each, such as `openssl rand -hex 32` prints"
        )
    if any(map(is_weak, keys)):
        raise Unreadable(f"{path}: a key is {ADVICE}")
    return keys


def _good(key: str) -> bool:
    return LEAST <= len(key) <= MOST and key.isprintable()

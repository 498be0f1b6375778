"""Authentication between the services of one installation: by keys, by certificates, or by both.

A service is known by the name in its certificate, `spiffe://TRUST-DOMAIN/sightline/SERVICE`, or by
the key that it shares with the service that it calls, and only with that one: no service can call
another one in the name of a third. What a service may call is declared in the protos
(`servicekit.admission.access`).

A folder has a key file for each service at the other end, `SERVICE.key`: its first key is sent with
calls to that service, and all of its keys are accepted from it. To rotate without failed calls, add
the new key at both ends, then make it the first one at both, and delete the old one last.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from servicekit.admission.access import (
    FOR,
    OPEN,
    AccessPolicy,
    PeerName,
    PeersOnly,
    PeerUnknown,
    known,
)
from servicekit.config import PeerSettings
from servicekit.keys.weak_keys import ADVICE, is_weak
from servicekit.rpc.tls import AUTHORITY, Certificates
from servicekit.watched_files import Reloaded, Unreadable, read_each, stale_keys

LEAST, MOST = 32, 1_024
"""Characters of a key."""
PEER_KEY = "x-sightline-peer-key"
"""Metadata of a call between services: the key that the two share."""
SUFFIX = ".key"

Keys = Mapping[PeerName, Sequence[str]]
"""By service at the other end: the key that is sent, then others that are accepted."""


@dataclass(frozen=True, slots=True)
class PeerCredentials:
    """Credentials of a process for calls between services; none by default, as on one machine."""

    keys: Callable[[], Keys] | None = None
    """Keys that this process shares with one other service each."""
    tls: Certificates | None = None
    names: frozenset[str] = frozenset()
    """Alternative names of which a caller's certificate must have one; empty: it needs none."""
    trust_domain: str = ""
    """The trust domain of the services' names."""
    called: PeerName | None = None
    """The service that these credentials are sent to."""

    @classmethod
    def of(cls, settings: PeerSettings) -> Self:
        """Return the credentials that settings name. Raises Unreadable."""
        keys, folder = settings.peer_keys_folder, settings.peer_tls_folder
        return cls(
            None if keys is None else _keys(keys).get,
            None if folder is None else Certificates(folder, folder / AUTHORITY, "peers"),
            frozenset(settings.peer_names),
            settings.peer_trust_domain,
        )

    def access(self) -> AccessPolicy:
        """Return the policy for callers of this service.

        TLS rejects invalid certificates before.
        """
        if self.keys is None and self.tls is None:
            return OPEN
        return PeersOnly(self.identify)

    def calling(self, peer: PeerName) -> Self:
        """Return the credentials for calls to a service. Raises Unreadable without a key for it."""
        if self.keys is not None and peer not in self.keys():
            raise Unreadable(f"no {peer}{SUFFIX} in the folder of keys: {peer} is called")
        return replace(self, called=peer)

    def metadata(self) -> dict[str, str]:
        """Return the metadata of a call to a peer: the keys and the original caller."""
        sent = {}
        if self.keys is not None and self.called is not None:
            # A file that was deleted since is noticed by the peer.
            sent[PEER_KEY] = self.keys().get(self.called, [""])[0]
        return sent | {FOR: quote(name)} if (name := known()) else sent

    def identify(self, metadata: Mapping[str, str], context: Any) -> PeerName:
        """Return the peer that made a call.

        A certificate and a key are both required where both are set, and name the same peer. Raises
        PeerUnknown.
        """
        shown = set()
        if self.tls is not None:
            shown.add(self._by_certificate(context.auth_context()))
        if self.keys is not None:
            shown.add(_by_key(self.keys(), metadata.get(PEER_KEY, "")))
        if len(shown) > 1:
            raise PeerUnknown
        return shown.pop()

    def _by_certificate(self, shown: Mapping[str, Sequence[bytes]]) -> PeerName:
        if self.names and self.names.isdisjoint(_decoded(shown, "x509_subject_alternative_name")):
            raise PeerUnknown
        # gRPC names it if the certificate's only URI is a well-formed SPIFFE id.
        for name in _decoded(shown, "peer_spiffe_id"):
            prefix, _, service = name.rpartition("/")
            if prefix == f"spiffe://{self.trust_domain}/sightline" and service in [*PeerName]:
                return PeerName(service)
        raise PeerUnknown


NO_CREDENTIALS = PeerCredentials()


def _keys(folder: Path) -> Reloaded[Keys]:
    files: Mapping[Path, Sequence[str]] = {}

    def read() -> Keys:
        nonlocal files
        found, problems = read_each(_files(folder), _of_service, files)
        keys = _together(folder, found, problems)
        files = found
        if problems:
            raise Unreadable("; ".join(problems.values()), keys)
        return keys

    return Reloaded(lambda: _files(folder), read, stale=stale_keys("peers"))


def _decoded(shown: Mapping[str, Sequence[bytes]], field: str) -> list[str]:
    """Return a property of the caller's certificate, which TLS has verified."""
    return [name.decode("utf-8", "replace") for name in shown.get(field, ())]


def _by_key(keys: Keys, given: str) -> PeerName:
    for peer, theirs in keys.items():
        if _has(theirs, given):
            return peer
    raise PeerUnknown


def _has(keys: Iterable[str], given: str) -> bool:
    """Return whether `given` is one of the keys."""
    return any(hmac.compare_digest(given.encode(), key.encode()) for key in keys)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def _together(
    folder: Path, files: Mapping[Path, Sequence[str]], problems: Mapping[Path, str]
) -> Keys:
    """Return the keys of a folder's files by service. Raises Unreadable."""
    if not files:
        none = f"{folder}: has no SERVICE{SUFFIX}, such as {PeerName.GATEWAY}{SUFFIX}"
        raise Unreadable("; ".join(problems.values()) or none)
    every = [key for keys in files.values() for key in keys]
    if len(set(every)) < len(every):
        raise Unreadable(f"{folder}: has a key twice; each pair of services needs its own")
    return {PeerName(path.name.removesuffix(SUFFIX)): keys for path, keys in files.items()}


def _of_service(path: Path) -> Sequence[str]:
    """Read the keys that are shared with a service. Raises Unreadable."""
    if path.name.removesuffix(SUFFIX) not in [*PeerName]:
        raise Unreadable(f"{path}: names no service; these are {', '.join(PeerName)}")
    return _read_file(path)


def _read_file(path: Path) -> Sequence[str]:
    """Read the keys of a file. Raises Unreadable."""
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

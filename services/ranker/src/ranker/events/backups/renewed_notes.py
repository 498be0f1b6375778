"""Renewal of pseudonyms in notes beside the backups, so that erasures find their shoppers there.

Hashes of erased shoppers stay: a restore compares those of every key.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

from ranker.domain.pseudonyms import Pseudonyms, Renewal
from ranker.events.backups import purges
from servicekit.artefacts.backup_errors import BackupDamaged, BackupUnsigned
from servicekit.artefacts.backups import Backups
from servicekit.telemetry import get_logger

Said: TypeAlias = Mapping[str, Any]
"""The content of a note."""


class RenewedNotes:
    """Notes while no worker runs. Calls are repeatable, and raise BackupsUnavailable and
    BackupsFull."""

    def __init__(self, backups: Backups, key: Pseudonyms) -> None:
        self._backups, self._key = backups, key

    def begin(self, former: str) -> None:
        """Write the key's fingerprint into notes of purges that lack it, as those of releases until
        0.36 do. `former`: that of the record, before its pseudonyms are renewed."""
        self._each(lambda _name, said: {"key": former, **said} if _actor(said) else said)

    def renew(self) -> tuple[int, int]:
        """Return the numbers of renewed notes, and of those that can't be read, which stay."""
        return self._each(self._renewed)

    def _renewed(self, name: str, said: Said) -> Said:
        if "consents" in said:
            decided = purges.decided_in(name, said)
            renewals = [self._key.since(one.key_id) or Renewal(()) for one in decided]
            new = [purges.renewed(*each, self._key) for each in zip(decided, renewals, strict=True)]
            return {**said, "consents": [asdict(one) for one in new]}
        renewal, actor = self._key.since(said.get("key", "")), _actor(said)
        if not renewal or not actor:
            return said
        params = {**said["params"], "actor": renewal.of(actor)}
        return {**said, "params": params, "key": self._key.fingerprint}

    def _each(self, change: Callable[[str, Said], Said]) -> tuple[int, int]:
        changed = unread = 0
        for name in purges.names(self._backups):
            try:
                said = purges.read(self._backups, name)
                new = change(name, said)
            except (BackupDamaged, BackupUnsigned) as error:
                unread += 1
                problem = {"reason": error.reason, "problem": str(error)}
                get_logger().error("unreadable note beside the backups", note=name, **problem)
                continue
            if new != said:
                purges.put(self._backups, name, new)
                changed += 1
        return changed, unread


def _actor(said: Said) -> str:
    """Return the shopper's pseudonym in a note of a purge; empty in any other."""
    params = said.get("params")
    return str(params.get("actor", "")) if isinstance(params, dict) else ""

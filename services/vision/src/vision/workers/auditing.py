"""Alerts are entries of the audit log, which the retriever has: they are sent there until it has
stored them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vision.record import Record

BATCH = 500
"""Entries that are sent together."""
AUDITING = "audit log"
"""Name for servicekit.tasks.supervision."""


@dataclass(frozen=True, slots=True)
class Auditing:
    """Sends entries to the audit log."""

    record: Record
    append: Callable[[Sequence[Mapping[str, Any]]], Awaitable[None]]
    """Stores entries; those that are stored already are left as they are."""

    async def step(self) -> bool:
        """Send the oldest entries. Return whether there are more."""
        notes = await self.record.audit_notes(BATCH)
        if not notes:
            return False
        await self.append(notes)
        await self.record.drop_audit_notes([note["id"] for note in notes])
        return len(notes) == BATCH

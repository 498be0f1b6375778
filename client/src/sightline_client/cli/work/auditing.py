"""Chains of the audit log: verify, archive and drop them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sightline_client.cli.language import _
from sightline_client.client import SightlineClient
from sightline_client.files import audit
from sightline_client.files.audit import AuditSegment
from sightline_client.values.audit_chain import ChainBroken, ChainCheck
from sightline_client.values.operations import AuditEntry, AuditSeal

STORES = ("retriever", "ranker")
"""The services that store audit entries."""

Heads = Mapping[str, Mapping[int, bytes]]
"""Known hashes by store and number."""


async def verify(client: SightlineClient, heads: Heads) -> list[AuditSegment]:
    """Verify the chains of a catalog. Raise ChainBroken."""
    return [await _verified(client, store, heads.get(store, {})) for store in STORES]


async def _verified(
    client: SightlineClient, store: str, heads: Mapping[int, bytes]
) -> AuditSegment:
    check: ChainCheck | None = None
    try:
        async for page in client.read_audit_chain(store):
            check = check or ChainCheck(page.seal, heads)
            for entry in page.entries:
                check.add(entry)
        check = check or ChainCheck(heads=heads)
        check.finish()
    except ChainBroken as error:
        raise ChainBroken(
            _("{store}, catalog {catalog}: {error}", client, store=store, error=error)
        ) from None
    return _segment(store, client.catalog, check)


def verify_files(paths: Sequence[Path]) -> list[AuditSegment]:
    """Verify archives. Those of one chain must be consecutive. Raise ChainBroken,
    FileRefused."""
    segments: list[AuditSegment] = []
    ends: dict[tuple[str, str], AuditSeal] = {}
    for path in paths:
        segment = audit.verify(path)
        chain = segment.store, segment.catalog
        if ends.get(chain, segment.begin) != segment.begin:
            raise ChainBroken(
                _(
                    "{path}: continues from entry {number}, but the archive before ends at "
                    "{ends_number}",
                    segment.begin,
                    path=path,
                    ends_number=ends[chain].number,
                )
            )
        ends[chain] = segment.end
        segments.append(segment)
    return segments


async def archive(
    client: SightlineClient, folder: Path, before: datetime
) -> list[tuple[Path, AuditSegment]]:
    """Write an archive for each store: the entries up to the last one before a time.

    Entries are verified first. Raise ChainBroken; FileExistsError.
    """
    written = []
    for store in STORES:
        check, entries = await _older(client, store, before)
        if check is None or not check.count:
            continue  # only a chained entry seals a segment
        segment = _segment(store, client.catalog, check)
        path = folder / _name(segment)
        audit.write(path, segment, entries)
        audit.verify(path)
        written.append((path, segment))
    return written


async def _older(
    client: SightlineClient, store: str, before: datetime
) -> tuple[ChainCheck | None, list[AuditEntry]]:
    """Return the first entries of a chain, until one of `before` or later, and their check."""
    check: ChainCheck | None = None
    entries: list[AuditEntry] = []
    async for page in client.read_audit_chain(store):
        check = check or ChainCheck(page.seal)
        for entry in page.entries:
            late = entry.time is not None and entry.time >= before
            if late and entry.number:
                return check, entries
            if not late:
                check.add(entry)
                entries.append(entry)
    return check, entries


async def drop(client: SightlineClient, segment: AuditSegment) -> int:
    """Delete the entries of a verified archive from their store. Return their number."""
    count, unfinished = 0, True
    while unfinished:
        done = await client.drop_audit_entries(segment.store, segment.end)
        count, unfinished = count + done.dropped_count, done.unfinished
    return count


def _segment(store: str, catalog: str, check: ChainCheck) -> AuditSegment:
    end = AuditSeal(check.number, check.hash)
    return AuditSegment(store, catalog, check.begin, end, check.count, check.unchained)


def _name(segment: AuditSegment) -> str:
    catalog = segment.catalog if segment.catalog != "?" else "undeclared"
    first, last = segment.begin.number + 1, segment.end.number
    return f"audit-{catalog}-{segment.store}-{first}-{last}.jsonl"

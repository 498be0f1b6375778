"""Archives of audit entries: a segment of one chain, as JSON Lines.

The first line says which chain it is and what the segment continues from, the last one is its seal.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sightline_client.files.model import FileRefused
from sightline_client.values.audit_chain import ChainBroken, ChainCheck
from sightline_client.values.operations import AuditEntry, AuditSeal

FORMAT = "sightline-audit/1"
_NEW_FILE = 0o600
_MOST_LINE = 2**20
"""Characters of a line."""


@dataclass(frozen=True, slots=True)
class AuditSegment:
    """A segment of a chain."""

    store: str
    catalog: str
    begin: AuditSeal
    """What it continues from."""
    end: AuditSeal
    """Its seal: number and hash of the last entry."""
    count: int
    """Number of chained entries."""
    unchained: int
    """Number of entries before them that are not chained."""


def write(path: Path, segment: AuditSegment, entries: Iterable[AuditEntry]) -> None:
    """Write an archive that only its owner may read. FileExistsError if the file exists."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _NEW_FILE)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        head = {"archive": FORMAT, "store": segment.store, "catalog": segment.catalog}
        file.write(_line(head | {"after": _seal(segment.begin)}))
        for entry in entries:
            time = None if entry.time is None else entry.time.isoformat()
            own = asdict(entry) | {"time": time, "hash": entry.hash.hex()}
            del own["store"], own["catalog"]
            file.write(_line(own))
        file.write(_line({"seal": _seal(segment.end)}))
        file.flush()
        os.fsync(file.fileno())


def verify(path: Path) -> AuditSegment:
    """Check each entry of an archive, and its seal. FileRefused if it is none; ChainBroken."""
    try:
        with path.open(encoding="utf-8") as file:
            return _verified(_values(file))
    except ChainBroken as error:
        raise ChainBroken(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileRefused(
            f"{path}: is not an archive of audit entries: {error!r}",
            "name a file that `sightline audit archive` wrote",
        ) from None


def _verified(values: Iterator[dict[str, Any]]) -> AuditSegment:
    head = next(values, {})
    if head.get("archive") != FORMAT:
        raise ValueError(f"the first line does not have the format {FORMAT}")
    store, catalog = str(head["store"]), str(head["catalog"])
    check = ChainCheck(_read_seal(head["after"]))
    for value in values:
        if "seal" not in value:
            check.add(_entry(value, store, catalog))
            continue
        end = _read_seal(value["seal"])
        if (check.number, check.hash) != (end.number, end.hash):
            raise ChainBroken(
                f"the seal is of entry {end.number}, the last entry is {check.number}"
            )
        check.finish()
        if next(values, None) is not None:
            raise ChainBroken("lines follow the seal")
        return AuditSegment(store, catalog, check.begin, end, check.count, check.unchained)
    raise ChainBroken(f"the file ends after entry {check.number}, before its seal")


def _values(file: Any) -> Iterator[dict[str, Any]]:
    while line := file.readline(_MOST_LINE):
        yield json.loads(line)


def _entry(value: dict[str, Any], store: str, catalog: str) -> AuditEntry:
    time = value["time"]
    own = value | {
        "time": None if time is None else _instant(time),
        "hash": bytes.fromhex(value["hash"]),
    }
    return AuditEntry(store=store, catalog=catalog, **own)


def _instant(text: str) -> datetime:
    """Read a time, in UTC if it has no zone."""
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _seal(seal: AuditSeal) -> dict[str, Any]:
    return {"number": seal.number, "hash": seal.hash.hex()}


def _read_seal(value: dict[str, Any]) -> AuditSeal:
    return AuditSeal(int(value["number"]), bytes.fromhex(value["hash"]))

"""A chain of audit entries: changed, deleted, inserted and moved entries are detected."""

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from servicekit.audit.record import entry_hash as stored_hash
from sightline_client.files import audit
from sightline_client.files.audit import AuditSegment
from sightline_client.files.model import FileRefused
from sightline_client.values.audit_chain import (
    NO_HASH,
    START,
    ChainBroken,
    ChainCheck,
    entry_hash,
)
from sightline_client.values.operations import AuditEntry, AuditSeal

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def entry(number: int, chained: bool = True) -> AuditEntry:
    return AuditEntry(
        entry_id=f"e{number}",
        time=BEGIN + timedelta(minutes=number, microseconds=number),
        caller="ops, \u00fcber",
        method="sightline.gateway.v1.AdminService/DropGeneration",
        catalog="default",
        code="OK",
        reason="",
        request_id=f"r{number}",
        left_out=number % 3,
        store="retriever",
        number=number if chained else 0,
        hash=b"",
    )


def chained(entries: Iterable[AuditEntry], previous: bytes = NO_HASH) -> list[AuditEntry]:
    made = []
    for each in entries:
        previous = entry_hash(previous, each)
        made.append(dataclasses.replace(each, hash=previous))
    return made


CHAIN = chained(entry(number) for number in range(1, 7))


def verify(
    entries: Sequence[AuditEntry], begin: AuditSeal = START, **known: dict[int, bytes]
) -> ChainCheck:
    check = ChainCheck(begin, **known)
    for each in entries:
        check.add(each)
    check.finish()
    return check


def test_the_client_computes_the_hashes_that_stores_do() -> None:
    for number in (1, 2):
        one = entry(number)
        assert one.time is not None
        row = dataclasses.asdict(one) | {
            "id": one.entry_id,
            "time": round(one.time.timestamp() * 1e6),
            "catalog_id": one.catalog,
        }
        assert entry_hash(NO_HASH, one) == stored_hash(NO_HASH, row)


def test_a_whole_chain_is_verified() -> None:
    check = verify(CHAIN)
    assert (check.count, check.number, check.hash) == (6, 6, CHAIN[-1].hash)
    assert verify(CHAIN, heads={6: CHAIN[-1].hash, 2: CHAIN[1].hash}).number == 6


@pytest.mark.parametrize(
    "field", [field.name for field in dataclasses.fields(AuditEntry) if field.name != "store"]
)
def test_a_changed_entry_is_found(field: str) -> None:
    value = getattr(CHAIN[2], field)
    other = {
        str: "x",
        int: 9,
        bytes: bytes(32),
        datetime: BEGIN,
    }[type(value)]
    changed = dataclasses.replace(CHAIN[2], **{field: other})
    with pytest.raises(ChainBroken, match=r"entry (3|9) "):
        verify([*CHAIN[:2], changed, *CHAIN[3:]])


def test_a_changed_entry_with_its_hash_made_anew_is_found_by_the_next_one() -> None:
    (changed,) = chained([dataclasses.replace(CHAIN[2], caller="x")], CHAIN[1].hash)
    with pytest.raises(ChainBroken, match=r"entry 4 \(e4\) was changed, or the one before it"):
        verify([*CHAIN[:2], changed, *CHAIN[3:]])


def test_a_deleted_entry_is_found() -> None:
    with pytest.raises(ChainBroken, match=r"entry 3 is missing: entry 4 \(e4\)"):
        verify([*CHAIN[:2], *CHAIN[3:]])
    with pytest.raises(ChainBroken, match="entry 1 is missing"):
        verify(CHAIN[1:])


def test_entries_deleted_at_the_end_are_found_by_a_known_head() -> None:
    verify(CHAIN[:4])
    with pytest.raises(ChainBroken, match="entries 5 to 6 are missing at the end"):
        verify(CHAIN[:4], heads={6: CHAIN[-1].hash})


def test_a_chain_that_was_made_anew_is_found_by_a_known_head() -> None:
    anew = chained([dataclasses.replace(CHAIN[0], caller="x"), *CHAIN[1:]])
    verify(anew)
    with pytest.raises(ChainBroken, match=r"entry 6 \(e6\) has another hash than --head"):
        verify(anew, heads={6: CHAIN[-1].hash})


def test_an_inserted_entry_is_found() -> None:
    more = dataclasses.replace(entry(3), entry_id="forged", hash=bytes(32))
    with pytest.raises(ChainBroken, match=r"entry 3 \(forged\) was changed"):
        verify([*CHAIN[:2], more, *CHAIN[2:]])
    with pytest.raises(ChainBroken, match=r"entry 3 \(e3\) is in the place of entry 4"):
        verify([*CHAIN[:3], *CHAIN[2:]])
    with pytest.raises(ChainBroken, match=r"entry e7 .* is not chained, but newer"):
        verify([entry(7, chained=False), *CHAIN])


def test_moved_entries_are_found() -> None:
    with pytest.raises(ChainBroken, match="entry 3 is missing: entry 4"):
        verify([*CHAIN[:2], CHAIN[3], CHAIN[2], *CHAIN[4:]])
    swapped = [
        dataclasses.replace(CHAIN[3], number=3),
        dataclasses.replace(CHAIN[2], number=4),
    ]
    with pytest.raises(ChainBroken, match=r"entry 3 \(e4\) was changed"):
        verify([*CHAIN[:2], *swapped, *CHAIN[4:]])


def test_entries_from_before_the_chain_are_counted_and_not_verified() -> None:
    old = [entry(number - 9, chained=False) for number in range(3)]
    assert verify([*old, *CHAIN]).unchained == 3


def test_a_chain_may_begin_at_a_seal_and_at_no_other_hash() -> None:
    seal = AuditSeal(2, CHAIN[1].hash)
    assert verify(CHAIN[2:], seal).count == 4
    assert verify([], seal).number == 2
    with pytest.raises(ChainBroken, match="entry 3"):
        verify(CHAIN[2:], AuditSeal(2, CHAIN[0].hash))
    with pytest.raises(ChainBroken, match="the seal at entry 2 has another hash"):
        verify(CHAIN[2:], seal, heads={2: CHAIN[0].hash})
    with pytest.raises(ChainBroken, match="is not chained, but newer"):
        verify([entry(0, chained=False), *CHAIN[2:]], seal)


def archived(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    end = AuditSeal(CHAIN[-1].number, CHAIN[-1].hash)
    audit.write(path, AuditSegment("retriever", "default", START, end, 6, 0), CHAIN)
    return path


def test_an_archive_is_verified_as_the_entries_were(tmp_path: Path) -> None:
    path = archived(tmp_path)
    segment = audit.verify(path)
    assert (segment.store, segment.catalog, segment.count) == ("retriever", "default", 6)
    assert segment.end == AuditSeal(6, CHAIN[-1].hash)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        archived(tmp_path)


def test_a_changed_archive_is_found(tmp_path: Path) -> None:
    path = archived(tmp_path)
    lines = path.read_text("utf-8").splitlines(keepends=True)
    for spoilt, message in (
        ([*lines[:3], *lines[4:]], "entry 3 is missing"),
        (lines[:-1], "the file ends after entry 6"),
        ([*lines[:-2], lines[-1]], "the seal is of entry 6, the last entry is 5"),
        ([*lines, lines[1]], "lines follow the seal"),
        ([lines[0], lines[1].replace("ops", "oops"), *lines[2:]], r"entry 1 \(e1\) was changed"),
    ):
        path.write_text("".join(spoilt), "utf-8")
        with pytest.raises(ChainBroken, match=message):
            audit.verify(path)
    for other in ("", "no json", "[]", '{"archive": "x"}', lines[0] + '{"seal": 1}'):
        path.write_text(other, "utf-8")
        with pytest.raises(FileRefused, match="is not an archive"):
            audit.verify(path)

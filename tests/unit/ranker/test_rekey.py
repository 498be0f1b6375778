"""Renewal of pseudonyms by a further key: nothing of the former ones is left, and all is found."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from ranker import rekey
from ranker.adapters.export_store import ExportStore
from ranker.adapters.model_store import ModelStore
from ranker.domain.consent import Decision, Purpose
from ranker.domain.erasure import Person, person_hash
from ranker.domain.errors import KeyUnusable
from ranker.domain.events import Identity, Shopper, Written
from ranker.domain.model import ModelRecord
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.selection import PurgeCount, Selection
from ranker.domain.signals import DEFAULTS
from ranker.events import purge
from ranker.events.backups.consents import ConsentNotes
from ranker.events.backups.content import record_backups
from ranker.events.backups.shopper_notes import ShopperNotes
from ranker.events.intake import _stored as to_stored
from ranker.record import counting
from ranker.record.answers import AnswerLog, StoredAnswer
from ranker.record.consent_changes import ConsentRecord
from ranker.record.erasures import ErasureRecord
from ranker.record.events import EventRecord
from ranker.record.models import ModelRegistry
from ranker.record.shoppers import ShopperRecord, check_key
from ranker.record.tables import JOBS, METADATA, MIGRATIONS
from servicekit.jobs.queue import Jobs
from servicekit.sql.database import Database
from tests.fakes.ranker import NOW, event, model
from tests.stores import NewStore

FIRST, SECOND, THIRD = (person_hash(name) for name in ("one", "two", "three"))
"""Keys of 64 hexadecimal digits."""
OLD = Pseudonyms(bytes.fromhex(FIRST))
NEW = Pseudonyms(bytes.fromhex(FIRST), bytes.fromhex(SECOND))
ANN, COOKIE = Shopper(Identity.USER, "ann"), Shopper(Identity.VISITOR, "cookie")
GONE, BOB = Shopper(Identity.USER, "gone"), Shopper(Identity.USER, "bob")


@pytest.fixture
def db(new_store: NewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    url = new_store(MIGRATIONS, "ranker.db")
    for name, value in {
        "DATABASE_URL": url,
        "MODEL_STORE": tmp_path / "models",
        "EXPORT_STORE": tmp_path / "exports",
        "BACKUPS": tmp_path / "backups",
        "KEY_FILE": tmp_path / "key",
    }.items():
        monkeypatch.setenv(f"RANKER_{name}", str(value))
    monkeypatch.setattr("sys.argv", ["ranker.rekey"])
    (tmp_path / "key").write_text(f"{FIRST}\n")
    database = Database(url, migrations=MIGRATIONS)
    yield database
    database.close()


def run() -> int:
    with ThreadPoolExecutor(1) as apart:  # it has an event loop of its own
        return apart.submit(rekey.main).result()


async def fill(db: Database, folder: Path) -> None:
    await check_key(db, OLD)
    records = [
        event("e1", shopper=ANN, session_id="visit"),
        event("e2", shopper=COOKIE, product_id="p2"),
        event("e3", shopper=BOB),
    ]
    await EventRecord(db).append([to_stored("default", one, OLD, NOW) for one in records])
    ann, cookie = OLD.of("default", ANN), OLD.of("default", COOKIE)
    shoppers = ShopperRecord(db)
    await shoppers.merge("default", cookie, ann, key_id=OLD.key_id, now_micros=NOW)
    await shoppers.set_attributes(
        "default", ann, {"size": "M"}, consent=True, key_id=OLD.key_id, now_micros=NOW
    )
    await AnswerLog(db).write([StoredAnswer("default", "a1", ann, OLD.key_id, b"", NOW * 2)], NOW)
    await db.write(lambda connection: counting.fold(connection, DEFAULTS, 1))
    gone = Person("default", (OLD.of("default", GONE),), NOW)
    refuses = [Decision(one, False, "banner", NOW) for one in (Purpose.TRAIN, Purpose.PERSONALISE)]
    consents = ConsentRecord(db)
    await consents.decide("default", gone.actors[0], refuses, key_id=OLD.key_id)
    await ConsentNotes(notes_of(folder, db), consents)("default")
    await consents.forget(gone)
    await ErasureRecord(db).begin(gone, "job")
    params = purge.params(Selection("default", actor=ann), PurgeCount(1, NOW, NOW, 1))
    await Jobs(db, JOBS).create(purge.PURGE, "default", params)
    store = ModelStore(str(folder / "models"))
    made = model({"p1": [0.5, 1.0]}, actors={ann: [1, 2]})
    digest = store.write("default", made, {})
    await ModelRegistry(db).add(
        ModelRecord("default", made.version, digest, NOW, 7, 1, 1, NOW, NOW, ())
    )


def notes_of(folder: Path, db: Database) -> ShopperNotes:
    backups = record_backups(str(folder / "backups"), None)
    return ShopperNotes(backups, ConsentRecord(db), ErasureRecord(db))


def traces(db: Database, folder: Path) -> list[tuple[str, str]]:
    """Return where former pseudonyms and their hashes are found."""
    people = [OLD.of("default", one) for one in (ANN, COOKIE, GONE, BOB)]
    wanted = [*people, *map(person_hash, people), OLD.of_session("default", "visit"), OLD.key_id]
    found = []
    with db.engine.connect() as connection:
        for table in METADATA.tables.values():
            text = str([tuple(row) for row in connection.execute(sa.select(table))])
            found += [(table.name, one) for one in wanted if one in text]
    for store in ("models", "backups"):
        for path in (folder / store).rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            found += [(store, one) for one in wanted if one.encode() in content]
    return found


async def test_every_pseudonym_is_renewed_and_everything_is_found_again(
    db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await fill(db, tmp_path)
    named = {name for name, _ in traces(db, tmp_path)}
    assert named >= {"events", "answers", "attributes", "aliases", "count_units", "erasures"}
    assert named >= {"consents", "count_queue", "jobs", "keys", "backups"}
    (tmp_path / "key").write_text(f"{FIRST}\n{SECOND}\n")
    with pytest.raises(KeyUnusable, match=r"ranker\.rekey"):
        await check_key(db, NEW)
    assert run() == 0
    assert traces(db, tmp_path) == []
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"of": "events", "renewed": 3} in lines
    assert {"of": "notes", "renewed": 1, "unreadable": 0} in lines
    await check_key(db, NEW)

    events = EventRecord(db)
    found = await events.history("default", NEW.of("default", COOKIE), limit=9, with_seen=False)
    assert len(found.recent) == 2, "the merge is known"
    assert found.attributes == (("size", "M"),)
    assert await AnswerLog(db).owner("default", "a1") == NEW.of("default", ANN)
    again = to_stored("default", event("e1", shopper=ANN, session_id="visit"), NEW, NOW)
    assert await events.append([again]) == (Written.DUPLICATE,)
    late = to_stored("default", event("e9", shopper=GONE), NEW, NOW)
    assert await EventRecord(db, late=True).append([late]) == (Written.PURGED,), "erased"
    new = to_stored("default", event("e10", shopper=GONE), NEW, NOW + 1)
    assert await events.append([new]) == (Written.WITHHELD,), "the withdrawal is known"
    assert (await ErasureRecord(db).get("default", NEW.of("default", GONE))) is not None
    ann = Person("default", (NEW.of("default", ANN),), NOW * 2)
    await ErasureRecord(db).begin(ann, "later")
    assert await notes_of(tmp_path, db).forget(ann) == 0
    noted = [path.read_text() for path in (tmp_path / "backups").rglob("*.json")]
    assert noted
    assert not any(ann.actors[0] in each for each in noted)
    assert run() == 0, "it can be repeated"
    await check_key(db, NEW)


@pytest.mark.full
async def test_exports_are_deleted_only_when_asked(
    db: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await fill(db, tmp_path)
    exports = ExportStore(str(tmp_path / "exports"))
    for catalog_id in ("default", "without-events"):
        await exports.folder(catalog_id, "job").put("part", b"x")
    (tmp_path / "key").write_text(f"{FIRST}\n{SECOND}\n")
    assert run() == 1
    assert "--delete-exports" in capsys.readouterr().err
    await check_key(db, OLD)
    monkeypatch.setattr("sys.argv", ["ranker.rekey", "--delete-exports"])
    assert run() == 0
    assert [*(tmp_path / "exports").glob("*/*")] == []


@pytest.mark.parametrize("keys", [(SECOND,), (SECOND, FIRST), (SECOND, THIRD)])
async def test_a_file_without_the_records_key_changes_nothing(
    db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: tuple[str, ...]
) -> None:
    await fill(db, tmp_path)
    (tmp_path / "key").write_text("\n".join(keys))
    assert run() == 1
    assert "below the others" in capsys.readouterr().err
    await check_key(db, OLD)


def test_two_renewals_are_one_after_the_other() -> None:
    keys = [bytes.fromhex(one) for one in (FIRST, SECOND, THIRD)]
    both, last = Pseudonyms(*keys), Pseudonyms(*keys)
    once, twice = NEW.of("default", ANN), both.of("default", ANN)
    since = last.since(NEW.fingerprint)
    assert since is not None
    assert since.of(once) == twice
    assert since.of_hash(person_hash(once)) == person_hash(twice)
    whole = last.since(OLD.fingerprint)
    assert whole is not None
    assert whole.of(OLD.of("default", ANN)) == twice
    assert last.since(both.fingerprint) is not None
    assert not last.since(both.fingerprint)

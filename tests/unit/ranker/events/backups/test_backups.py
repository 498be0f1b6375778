"""`python -m ranker.backups` on both engines: a restore returns exactly the earlier content."""

# ruff: noqa: S608 (names of tables are the schema's own)
import asyncio
import gzip
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from secrets import token_hex
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ranker import backups
from ranker.adapters.export_store import ExportStore
from ranker.adapters.model_store import ModelStore
from ranker.domain.consent import Decision, Purpose
from ranker.domain.erasure import ERASE, Person, params
from ranker.domain.errors import BudgetSpent, ModelCorrupt
from ranker.domain.events import EventType, Identity, Shopper
from ranker.domain.model import ModelRecord
from ranker.domain.private_counts import COUNTS, BudgetLimit, CountsOrder
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.selection import PurgePlace, Selection
from ranker.domain.signals import DEFAULTS
from ranker.events import purge
from ranker.events.backups import purges
from ranker.events.backups.consents import ConsentNotes
from ranker.events.backups.content import record_backups
from ranker.events.backups.purges import NOTES
from ranker.events.backups.shopper_notes import ShopperNotes
from ranker.events.erase import ErasePerson
from ranker.record import dumps
from ranker.record.consent_changes import ConsentRecord
from ranker.record.erasures import ErasureRecord
from ranker.record.events import EventRecord
from ranker.record.models import ModelRegistry
from ranker.record.personal import PersonalRecord
from ranker.record.private_counts import BudgetRecord, spend
from ranker.record.selections import SelectionRecord
from ranker.record.shoppers import ShopperRecord, check_key
from ranker.record.tables import JOBS, METADATA, MIGRATIONS
from ranker.settings import WorkerSettings
from ranker.wiring.worker import noted, outside
from ranker.workers.counting import count
from servicekit.jobs.queue import Jobs
from servicekit.sql.database import Database
from servicekit.tasks.loops import Loop
from tests.fakes.ranker import KEY, NOW, model, stored
from tests.stores import address

EVENT_TEXTS = ["plain", "tab\there", "two\nlines\r\v", "back\\slash \\N \\\\x41", "ünï", ""]
Typed = Callable[..., dict[str, Any]]
Here = tuple[Database, Path]


@pytest.fixture
def here(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """Return a record for the command below, and its folder."""
    (tmp_path / "key").write_text(bytes(range(32)).hex())
    settings = {
        "DATABASE_URL": address(db),
        "MODEL_STORE": tmp_path / "models",
        "BACKUPS": tmp_path / "backups",
        "KEY_FILE": tmp_path / "key",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"RANKER_{name}", str(value))
    return db, tmp_path


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Return a function that runs the command and returns its output."""

    def type_(*words: str, refused: str = "") -> dict[str, Any]:
        monkeypatch.setattr("sys.argv", ["ranker.backups", *words])
        with ThreadPoolExecutor(1) as apart:  # it has an event loop of its own
            status = apart.submit(backups.main).result()
        said = capsys.readouterr()
        assert (status, refused in said.err) == (1 if refused else 0, True), said.err
        lines = [json.loads(line) for line in said.out.splitlines()]
        return lines[0] if len(lines) == 1 else {"lines": lines}

    return type_


async def fill(here: Here) -> None:
    """Write events with unusual texts, a model with its files, and a job."""
    db, folder = here
    await check_key(db, KEY)
    events = [
        stored(f"e{n}", at=n, type=EventType.SEARCH, query=text, product_id="", value=0.1)
        for n, text in enumerate(EVENT_TEXTS)
    ]
    await EventRecord(db).append([*events, stored("bought", type=EventType.PURCHASE)])
    # The newest number is of an event that is gone.
    await EventRecord(db).append([stored("gone", product_id="gone")])
    await SelectionRecord(db).delete(Selection("default", product_id="gone"), PurgePlace(), 9)
    made = model({"p1": [0.25, 1.0]})
    manifest = ModelStore(str(folder / "models")).write("default", made, {})
    record = ModelRecord("default", made.version, manifest, NOW, 7, 1, 1, NOW, NOW, ())
    await ModelRegistry(db).add(record)
    await ModelRegistry(db).promote("default", made.version, NOW)


def content(db: Database) -> dict[str, list[Any]]:
    """Return all rows of all tables."""
    with db.engine.connect() as connection:
        return {
            name: sorted(map(repr, connection.exec_driver_sql(f'SELECT * FROM "{name}"')))
            for name in dumps.tables(connection)
        }


async def test_what_a_backup_holds_comes_back_and_what_came_later_does_not(
    here: Here, typed: Typed
) -> None:
    await fill(here)
    db, folder = here
    before = content(db)
    made = typed("create")
    held = made["rows"]
    assert (held["events"], held["models"], made["lost"]) == (len(EVENT_TEXTS) + 1, 1, [])
    await EventRecord(db).append([stored("late")])
    shutil.rmtree(folder / "models")
    typed("restore", "newest", refused="RECORD_NOT_EMPTY")
    assert content(db)["events"] != before["events"]
    restored = typed("restore", made["backup"], "--force")
    assert restored["purges"] == 0
    assert content(db) == before
    assert db.drift(METADATA) == []
    found = await ModelRegistry(db).serving("default")
    assert found is not None
    assert ModelStore(str(folder / "models")).read(*found.key).item_ids == ("p1",)
    # Numbers go on behind those that were given; PostgreSQL leaves out those of a repeated write.
    await EventRecord(db).append([stored("next")])
    assert await SelectionRecord(db).last_sequence("default") >= len(EVENT_TEXTS) + 3


async def test_a_backup_of_release_0_30_is_restored_into_the_tables_of_this_one(
    here: Here, typed: Typed
) -> None:
    db, _ = here
    with db.engine.begin() as connection:
        dumps.begin_anew(connection, "0018")
        connection.exec_driver_sql("INSERT INTO popularity VALUES ('default', 'p1', 1.5)")
        connection.exec_driver_sql(
            "INSERT INTO jobs (id, kind, catalog_id, request_id, params, state, done, total,"
            " error_reason, error_message, result, cancel_requested, owner, attempts, lease_until,"
            " created_time, started_time, finished_time) VALUES ('a-job', 'train', 'default',"
            " 'night of 1', '{}', 'SUCCEEDED', 1, 1, '', '', '{}', false, '', 1, 0, 7, 8, 9)"
        )
    made = typed("create")
    typed("restore", made["backup"], "--force")
    assert db.schema().missing == {}
    assert db.drift(METADATA) == []
    found = content(db)
    assert found["popularity"] == ["('default', 'p1', 1.5)"]
    assert found["night_jobs"] == ["('default', 'training', 'a-job', 7, 0)"]


@pytest.mark.full
async def test_either_engine_restores_what_the_other_one_held(
    here: Here, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = here
    await fill(here)
    typed("create")
    expected = content(source)
    target = Database(f"sqlite:///{folder}/other.db", migrations=MIGRATIONS)
    monkeypatch.setenv("RANKER_DATABASE_URL", address(target))
    typed("restore", "newest")
    assert content(target).keys() == expected.keys()
    typed("create")
    monkeypatch.setenv("RANKER_DATABASE_URL", address(source))
    typed("restore", "newest", "--force")
    assert content(source) == expected
    target.close()


def notes_of(here: Here, erasures: ErasureRecord | None = None) -> ShopperNotes:
    """Return the notes beside the backups of the folder."""
    db, folder = here
    backups = record_backups(str(folder / "backups"), None)
    return ShopperNotes(backups, ConsentRecord(db), erasures or ErasureRecord(db))


async def purged(here: Here, selection: Selection) -> None:
    """Run a purge as the worker does."""
    db, _ = here
    jobs, record = Jobs(db, JOBS), SelectionRecord(db)
    counted = await record.count(selection)
    await jobs.create(purge.PURGE, "default", purge.params(selection, counted))
    job = await jobs.claim((purge.PURGE,), "me", 30)
    assert job is not None
    stop = asyncio.Event()
    do = noted(notes_of(here), lambda one: purge.run(one, record, jobs, stop))
    await jobs.finish(job, await do(job))


@pytest.mark.full
async def test_who_was_forgotten_after_a_backup_stays_forgotten(here: Here, typed: Typed) -> None:
    await fill(here)
    db, folder = here
    typed("create")
    ann = stored("any").actor
    await purged(here, Selection("default", actor=ann))
    assert await SelectionRecord(db).last_sequence("default") == 0
    done = typed("restore", "newest", "--force")
    assert (done["purges"], done["purged_events"]) == (1, len(EVENT_TEXTS) + 1)
    assert await SelectionRecord(db).last_sequence("default") == 0
    # What is ann's after the restore is no longer that purge's.
    await EventRecord(db).append([stored("back again")])
    again = typed("purges", "--since", "2020-01-01T00:00:00Z")
    assert (again["purges"], again["purged_events"]) == (1, 0)
    assert len(list((folder / "backups" / NOTES).iterdir())) == 1


async def test_nothing_is_repeated_in_a_record_whose_pseudonyms_are_of_a_former_key(
    here: Here, typed: Typed
) -> None:
    db, folder = here
    await check_key(db, KEY)
    (folder / "key").write_text(f"{bytes(range(32)).hex()}\n{token_hex(32)}\n")
    since = ("--since", "2020-01-01T00:00:00Z")
    typed("purges", *since, refused="run python -m ranker.rekey first")
    (folder / "key").write_text(bytes(range(32)).hex())
    assert typed("purges", *since)["purges"] == 0


async def erased(here: Here, actor: str) -> dict[str, str]:
    """Erase a shopper as the worker does, without counting."""
    db, folder = here
    settings, jobs, store = WorkerSettings(), Jobs(db, JOBS), ModelStore(str(folder / "models"))
    person = Person("default", (actor,), NOW * 2)
    await jobs.create(ERASE, "default", params(person))
    job = await jobs.claim((ERASE,), "me", 30)
    assert job is not None
    made = cast(Any, SimpleNamespace(database=db, store=store, jobs=jobs))
    exports, stop = ExportStore(str(folder / "exports")), asyncio.Event()
    others = tuple(outside(settings, made, exports, job))
    work = ErasePerson.of(db, jobs, SelectionRecord(db), others, stop)
    counting = asyncio.create_task(
        Loop("failed", partial(count, db, DEFAULTS, stop), 0.02).run(stop)
    )
    try:
        result = await work.run(job)
    finally:
        stop.set()
        await counting
    await jobs.finish(job, result)
    return result


async def test_a_damaged_model_keeps_no_other_store_from_forgetting(here: Here) -> None:
    await fill(here)
    db, folder = here
    ann = stored("any").actor
    store, made = ModelStore(str(folder / "models")), model({"p1": [0.25, 1.0]}, version="damaged")
    manifest = store.write("default", made, {})
    await ModelRegistry(db).add(
        ModelRecord("default", "damaged", manifest, NOW, 7, 1, 1, NOW, NOW, ())
    )
    (folder / "models/default/damaged/model.npz").write_bytes(b"")
    with pytest.raises(ModelCorrupt):
        await erased(here, ann)
    assert len([*(folder / "backups" / NOTES).iterdir()]) == 1


async def test_who_was_erased_after_a_backup_is_erased_again_by_a_restore(
    here: Here, typed: Typed
) -> None:
    await fill(here)
    db, folder = here
    ann = stored("any").actor
    store, registry = ModelStore(str(folder / "models")), ModelRegistry(db)
    made = model({"p1": [0.25, 1.0]}, actors={ann: [1.0, 2.0]}, version="with-ann")
    manifest = store.write("default", made, {})
    await registry.add(ModelRecord("default", "with-ann", manifest, NOW, 7, 1, 1, NOW, NOW, ()))
    await ShopperRecord(db).set_attributes(
        "default", ann, {"size": "M"}, consent=True, key_id=KEY.key_id, now_micros=NOW
    )
    typed("create")
    result = await erased(here, ann)
    assert result == {"erased_count": str(len(EVENT_TEXTS) + 1 + 1 + 1 + 1)}
    (note,) = (folder / "backups" / NOTES).iterdir()
    assert ann not in note.read_text()

    done = typed("restore", "newest", "--force")
    assert (done["purges"], done["purged_events"]) == (1, len(EVENT_TEXTS) + 1 + 1 + 1 + 1)
    assert await PersonalRecord(db).has_any("default", (ann,)) is False
    left = [path.name for path in (folder / "models").rglob("*") if path.is_file()
            and ann.encode() in path.read_bytes()]  # fmt: skip
    assert left == []
    again = await registry.get("default", "with-ann")
    assert store.read(*again.key).actor_rows == {}
    receipt = await ErasureRecord(db).get("default", ann)
    assert receipt is not None, "later events of the log are dropped too"


@pytest.mark.full
async def test_a_withdrawal_after_a_backup_applies_after_its_restore(
    here: Here, typed: Typed
) -> None:
    await fill(here)
    db, folder = here
    ann, consents = stored("any").actor, ConsentRecord(db)
    notes = ConsentNotes(notes_of(here), consents)

    async def decide(granted: bool, at: int, source: str = "banner") -> None:
        decision = Decision(Purpose.TRAIN, granted, source, NOW + at)
        await consents.decide("default", ann, [decision], key_id=KEY.key_id)

    await decide(granted=True, at=0)
    typed("create")
    await decide(granted=False, at=1)
    await notes("default")
    await notes("default")
    assert len(list((folder / "backups" / NOTES).iterdir())) == 1, "nothing new, no note"
    await decide(granted=False, at=2, source="letter")
    await ConsentNotes(notes_of(here), consents)("default")
    assert len(list((folder / "backups" / NOTES).iterdir())) == 2, "another process goes on"

    typed("restore", "newest", "--force")
    found = await consents.get("default", ann)
    assert not found.granted[Purpose.TRAIN]
    assert [one.source for one in found.history] == ["letter", "banner", "banner"]
    assert await EventRecord(db).interactions("default") == ()


async def test_what_was_spent_of_a_privacy_budget_after_a_backup_is_spent_after_its_restore(
    here: Here, typed: Typed
) -> None:
    await fill(here)
    db, folder = here
    budget, notes = BudgetRecord(db), record_backups(str(folder / "backups"), None)
    order = CountsOrder(Selection("default"), 0.4, "", 8)

    async def request(key: str) -> str:
        paid = partial(spend, order=order, limit=BudgetLimit(1.0, 365.0), now_micros=NOW)
        jobs = Jobs(db, JOBS)
        return (await jobs.create(COUNTS, "default", order.params(), key, beside=paid)).id

    before = await request("before")
    typed("create")
    after = await request("after")
    purges.note_expenses(notes, "default", await budget.expenses("default"), "job-1")
    typed("restore", "newest", "--force")
    assert {row["key"] for row in await budget.expenses("default")} == {before, after}
    assert await request("before") == before
    # The restored record lacks its job: to draw noise again is another release.
    with pytest.raises(BudgetSpent):
        await request("after")


@pytest.mark.full
async def test_a_backup_of_a_former_key_is_renewed_and_who_was_erased_since_is_erased_again(
    here: Here, typed: Typed
) -> None:
    await fill(here)
    db, folder = here
    later = token_hex(32)
    renewed = Pseudonyms(bytes(range(32)), bytes.fromhex(later))
    bob = stored("b1", shopper=Shopper(Identity.USER, "bob"))
    await EventRecord(db).append([bob])
    typed("create")
    notes = record_backups(str(folder / "backups"), None)
    ann = Person("default", (stored("any").actor,), NOW * 2)
    purges.note_erasure(notes, ann, "job-1")  # before the new key
    (folder / "key").write_text(f"{bytes(range(32)).hex()}\n{later}\n")
    after = renewed.of("default", Shopper(Identity.USER, "bob"))
    purges.note_erasure(notes, Person("default", (after,), NOW * 2), "job-2")  # with it
    typed("restore", "newest", "--force")
    await check_key(db, renewed)
    assert await EventRecord(db).interactions("default") == ()


@pytest.mark.full
@pytest.mark.slow
async def test_a_backup_that_was_changed_changes_nothing(here: Here, typed: Typed) -> None:
    await fill(here)
    db, folder = here
    made = typed("create")
    before = content(db)
    table = folder / "backups" / made["backup"] / "tables" / "events.copy.gz"
    whole = table.read_bytes()
    forged = gzip.compress(gzip.decompress(whole).replace(b"bought", b"BOUGHT"))
    flipped = whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]
    for broken in (whole[:-1], flipped, forged, b""):
        table.write_bytes(broken)
        typed("check", "newest", refused="BACKUP_DAMAGED")
        typed("restore", "newest", "--force", refused="BACKUP_DAMAGED")
        assert content(db) == before
    table.write_bytes(whole)
    assert typed("check", "newest")["backup"] == made["backup"]
    typed("restore", "newest", "--force")


@pytest.mark.full
async def test_a_backup_of_another_place_is_refused(
    here: Here, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(here)
    db, folder = here
    made = typed("create")
    before = content(db)
    keys = folder / "backup.keys"
    keys.write_text(token_hex(32))
    monkeypatch.setenv("RANKER_BACKUP_KEYS_FILE", str(keys))
    typed("restore", "newest", "--force", refused="BACKUP_UNSIGNED")
    typed("restore", "newest", "--force", "--accept-unsigned")
    signed = typed("create")["backup"]
    manifest = folder / "backups" / signed / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"rows": 7', '"rows": 8'))
    typed("restore", signed, "--force", refused="BACKUP_UNSIGNED")
    monkeypatch.delenv("RANKER_BACKUP_KEYS_FILE")
    typed("restore", signed, "--force", refused="BACKUP_DAMAGED")
    (folder / "key").write_text(token_hex(32))
    typed("restore", made["backup"], "--force", refused="BACKUP_KEY_MISMATCH")
    newer = folder / "backups" / made["backup"] / "manifest.json"
    manifest = json.loads(newer.read_text())
    newer.write_text(json.dumps(manifest | {"content": manifest["content"] | {"revision": "9999"}}))
    typed("restore", made["backup"], "--force", refused="BACKUP_VERSION_UNSUPPORTED")
    typed("restore", "nothing", refused="BACKUP_NOT_FOUND")
    assert content(db) == before


async def test_only_the_newest_are_kept_and_what_was_cut_short_goes(
    here: Here, typed: Typed
) -> None:
    await fill(here)
    first = typed("create")["backup"]
    cut_short = here[1] / "backups" / "20200101T000000Z-00000000"
    (cut_short / "tables").mkdir(parents=True)
    second = typed("create", "--keep", "1")
    assert set(second["deleted"]) == {first, cut_short.name}
    assert typed("list")["backup"] == second["backup"]
    typed("delete", second["backup"])
    assert typed("list") == {"lines": []}
    typed("restore", "newest", refused="BACKUP_NOT_FOUND")


async def test_a_backup_of_a_release_before_0_30_is_refused(here: Here, typed: Typed) -> None:
    await fill(here)
    backup = typed("create")["backup"]
    manifest = here[1] / "backups" / backup / "manifest.json"
    found = json.loads(manifest.read_bytes())
    manifest.write_text(json.dumps({**found, "service_version": "0.29.1"}))
    typed("restore", "newest", "--force", refused="restore it with a release of 0.30 to 0.39")

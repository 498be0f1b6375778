"""Notes beside the backups name no erased shopper, whoever writes them and whenever."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from ranker.domain.consent import EVERYBODY, Decision, Purpose
from ranker.domain.erasure import Person, person_hash
from ranker.domain.events import Identity, Shopper
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.selection import Selection, params
from ranker.events.backups import purges
from ranker.events.backups.consents import ConsentNotes
from ranker.events.backups.content import record_backups
from ranker.events.backups.renewed_notes import RenewedNotes
from ranker.events.backups.shopper_notes import ShopperNotes
from ranker.record.consent_changes import ConsentRecord
from ranker.record.erasures import ErasureRecord
from ranker.record.private_counts import BudgetRecord
from ranker.record.renewing import RenewalRecord
from ranker.record.selections import SelectionRecord
from ranker.record.shoppers import ShopperRecord, check_key
from ranker.record.tables import JOBS, MIGRATIONS
from servicekit.artefacts.backups import Backups
from servicekit.jobs.queue import Job, Jobs
from servicekit.sql.database import Database
from tests.fakes.ranker import KEY, NOW
from tests.stores import NewStore

COOKIE = KEY.of("default", Shopper(Identity.VISITOR, "cookie"))
ANN, BOB = (KEY.of("default", Shopper(Identity.USER, name)) for name in ("ann", "bob"))
PERSON = Person("default", (ANN, COOKIE), NOW + 100)


class Notes:
    """Notes of a record, and what shoppers decide in it."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db, self.folder = db, folder / purges.NOTES
        self.backups: Backups = record_backups(str(folder), None)
        self.consents, self.erasures = ConsentRecord(db), ErasureRecord(db)
        self.notes = ShopperNotes(self.backups, self.consents, self.erasures)

    async def decide(self, actor: str, purpose: Purpose, at: int, *, granted: bool) -> None:
        made = Decision(purpose, granted, "banner", NOW + at)
        await self.consents.decide("default", actor, [made], key_id=KEY.key_id)

    async def note(self, notes: ShopperNotes | None = None) -> None:
        """Note new decisions as a process does that starts now."""
        await ConsentNotes(notes or self.notes, self.consents)("default")

    async def erase(self, person: Person = PERSON) -> None:
        """Erase decisions and notes in the order of the erasure's job."""
        await self.erasures.begin(person, "job")
        await self.consents.forget(person)
        await self.notes.forget(person)

    def noted(self) -> list[tuple[str, str, str, bool, int]]:
        """Return all noted decisions: shopper, key, purpose, whether granted, time."""
        found = []
        for path in sorted(self.folder.glob("*-consents-*.json")):
            for one in json.loads(path.read_text())["consents"]:
                made = one["decision"]
                row = (made["purpose"], made["granted"], made["decided_micros"] - NOW)
                found.append((one["actor"], one["key_id"], *row))
        return found

    def naming(self, *actors: str) -> list[str]:
        """Return the notes that name any of these shoppers."""
        files = self.folder.iterdir()
        return [each.name for each in files if any(one in each.read_text() for one in actors)]

    async def purge(self) -> Job:
        """Return a running job that purges Ann's events."""
        jobs = Jobs(self.db, JOBS)
        await jobs.create("purge", "default", params(Selection("default", actor=ANN)))
        job = await jobs.claim(("purge",), "me", 30)
        assert job is not None
        return job


@pytest.fixture
def notes(db: Database, tmp_path: Path) -> Notes:
    return Notes(db, tmp_path / "backups")


async def test_grants_of_the_erased_go_and_withdrawals_that_apply_stay_under_a_hash(
    notes: Notes,
) -> None:
    await notes.decide(ANN, Purpose.PHOTOS, 1, granted=True)
    await notes.decide(ANN, Purpose.TRAIN, 2, granted=False)
    await notes.decide(ANN, Purpose.EXPERIMENT, 3, granted=False)
    await notes.decide(BOB, Purpose.TRAIN, 4, granted=False)
    await notes.decide(EVERYBODY, Purpose.EXPERIMENT, 5, granted=False)
    await notes.note()
    await notes.decide(ANN, Purpose.EXPERIMENT, 6, granted=True)
    await notes.decide(BOB, Purpose.PHOTOS, 7, granted=True)
    await notes.note()
    assert len(notes.naming(ANN)) == 2
    await notes.erase()
    assert notes.naming(ANN) == []
    key = KEY.key_id
    assert set(notes.noted()) == {
        (person_hash(ANN), "", Purpose.TRAIN, False, 2),
        (BOB, key, Purpose.TRAIN, False, 4),
        ("", "", Purpose.EXPERIMENT, False, 5),
        (BOB, key, Purpose.PHOTOS, True, 7),
    }


@pytest.fixture
async def restored(new_store: NewStore) -> AsyncIterator[Database]:
    """Yield an empty record for a restore."""
    made = Database(new_store(MIGRATIONS, "restored.db"), migrations=MIGRATIONS)
    yield made
    made.close()


async def repeat(notes: Notes, restored: Database, key: Pseudonyms = KEY) -> ConsentRecord:
    """Repeat all notes in a restored record, and return its decisions."""
    consents = ConsentRecord(restored)
    repeating = purges.Repeating(
        *(SelectionRecord(restored), consents, BudgetRecord(restored)),
        erase_again=lambda *_: pytest.fail("no erasure is noted"),
        key=key,
    )
    await repeating.repeat(notes.backups, 0, unsigned=False)
    return consents


async def test_what_is_left_of_them_applies_after_a_restore_when_they_return(
    notes: Notes, restored: Database
) -> None:
    await notes.decide(ANN, Purpose.TRAIN, 1, granted=False)
    await notes.note()
    await notes.erase()
    consents = await repeat(notes, restored)
    assert (await consents.get("default", ANN)).granted[Purpose.TRAIN]
    returned = await consents.decide("default", ANN, [], key_id=KEY.key_id)
    assert not returned.granted[Purpose.TRAIN]


async def test_what_the_returned_decided_applies_after_a_restore_and_not_what_they_withdrew_before(
    notes: Notes, restored: Database
) -> None:
    await notes.decide(ANN, Purpose.TRAIN, 1, granted=False)
    await notes.note()
    await notes.erase()
    await notes.decide(ANN, Purpose.TRAIN, 200, granted=True)
    await notes.note()
    consents = await repeat(notes, restored)
    for _ in range(2):
        found = await consents.decide("default", ANN, [], key_id=KEY.key_id)
        assert found.granted[Purpose.TRAIN]
        assert [one.granted for one in found.history] == [True, False]


async def test_a_merged_visitors_withdrawal_stays_under_the_hash_of_the_user(
    notes: Notes,
) -> None:
    await notes.decide(COOKIE, Purpose.TRAIN, 1, granted=False)
    await notes.note()
    shoppers = ShopperRecord(notes.db)
    await shoppers.merge("default", COOKIE, ANN, key_id=KEY.key_id, now_micros=NOW + 2)
    await notes.erase()
    assert notes.naming(ANN, COOKIE) == []
    assert notes.noted() == [(person_hash(ANN), "", Purpose.TRAIN, False, 1)]


async def test_what_they_decide_after_the_request_stays(notes: Notes) -> None:
    await notes.decide(ANN, Purpose.PHOTOS, 1, granted=True)
    await notes.decide(ANN, Purpose.PHOTOS, 101, granted=False)
    await notes.note()
    await notes.erase()
    assert notes.noted() == [(ANN, KEY.key_id, Purpose.PHOTOS, False, 101)]


class Between(ErasureRecord):
    """A record after whose first read something else happens."""

    def __init__(self, db: Database, what: Callable[[], Awaitable[None]]) -> None:
        super().__init__(db)
        self._what: Callable[[], Awaitable[None]] | None = what

    async def since(self, catalog_id, micros):
        found = await super().since(catalog_id, micros)
        if self._what is not None:
            what, self._what = self._what, None
            await what()
        return found


async def test_who_is_erased_while_their_decisions_are_noted_is_in_no_note(notes: Notes) -> None:
    await notes.decide(ANN, Purpose.PHOTOS, 1, granted=True)
    await notes.decide(ANN, Purpose.TRAIN, 2, granted=False)
    between = Between(notes.db, notes.erase)
    await notes.note(ShopperNotes(notes.backups, notes.consents, between))
    assert notes.naming(ANN) == []
    assert notes.noted() == [(person_hash(ANN), "", Purpose.TRAIN, False, 2)]


async def test_who_is_about_to_be_erased_is_in_no_note_and_their_withdrawal_is(
    notes: Notes,
) -> None:
    await notes.decide(ANN, Purpose.PHOTOS, 1, granted=True)
    await notes.decide(ANN, Purpose.TRAIN, 2, granted=False)
    await notes.erasures.begin(PERSON, "job")
    await notes.note()
    assert notes.noted() == [(person_hash(ANN), "", Purpose.TRAIN, False, 2)]
    await notes.erase()
    assert notes.noted() == [(person_hash(ANN), "", Purpose.TRAIN, False, 2)]


async def test_two_who_are_erased_at_once_are_both_in_no_note(notes: Notes) -> None:
    await notes.decide(ANN, Purpose.TRAIN, 1, granted=False)
    await notes.decide(BOB, Purpose.TRAIN, 2, granted=False)
    await notes.note()
    bob = Person("default", (BOB,), NOW + 100)
    await notes.erasures.begin(PERSON, "job")
    await notes.consents.forget(PERSON)
    between = Between(notes.db, partial(notes.erase, bob))
    await ShopperNotes(notes.backups, notes.consents, between).forget(PERSON)
    assert notes.naming(ANN, BOB) == []
    assert {one[0] for one in notes.noted()} == {person_hash(ANN), person_hash(BOB)}


async def test_notes_of_purges_that_name_the_erased_are_deleted(notes: Notes) -> None:
    job = await notes.purge()
    await notes.notes.note_purge(job)
    other = await Jobs(notes.db, JOBS).create("purge", "default", params(Selection("default")))
    await notes.notes.note_purge(other)
    assert len(notes.naming(ANN)) == 1
    await notes.erase()
    (left,) = notes.folder.iterdir()
    assert other.id in left.name


async def test_a_purge_that_ends_after_the_erasure_of_its_shopper_leaves_no_note(
    notes: Notes,
) -> None:
    job = await notes.purge()
    await notes.erase(Person("default", (ANN,), job.created_time + 1))
    await notes.notes.note_purge(job)
    assert list(notes.folder.iterdir()) == []


async def test_notes_that_can_not_be_read_stop_nothing_else_and_are_counted(notes: Notes) -> None:
    await notes.decide(ANN, Purpose.PHOTOS, 1, granted=True)
    notes.folder.mkdir(parents=True)
    (notes.folder / "0-cut.json").write_text("{")
    (notes.folder / "1-list.json").write_text("[1]")
    (notes.folder / "2-odd.json").write_text('{"catalog_id": "default", "consents": [{"a": 1}]}')
    (notes.folder / "3-foreign.json").write_text('{"something": "else"}')
    await notes.note()
    assert len(notes.naming(ANN)) == 1
    await notes.erasures.begin(PERSON, "job")
    assert await notes.notes.forget(PERSON) == 3
    assert notes.naming(ANN) == []


LATER = Pseudonyms(bytes(range(32)), b"later".ljust(32, b"."))
"""The key of the record after a renewal."""
NEW_ANN = LATER.of("default", Shopper(Identity.USER, "ann"))


async def renew(notes: Notes) -> None:
    """Renew the pseudonyms of the record, without its notes."""
    renewal = LATER.since(KEY.fingerprint)
    assert renewal is not None
    await RenewalRecord(notes.db).renew(LATER, renewal, lambda *_: None)


@pytest.fixture
async def older(notes: Notes) -> Notes:
    """Return notes of Ann and Bob under the former key: of decisions, and of a purge."""
    await check_key(notes.db, KEY)
    await notes.decide(ANN, Purpose.PHOTOS, 1, granted=True)
    await notes.decide(ANN, Purpose.TRAIN, 2, granted=False)
    await notes.decide(BOB, Purpose.TRAIN, 3, granted=False)
    await notes.note()
    await notes.notes.note_purge(await notes.purge())
    return notes


@pytest.mark.parametrize("marked", [True, False])
async def test_who_is_erased_after_a_renewal_is_in_no_older_note(
    older: Notes, *, marked: bool
) -> None:
    if not marked:  # as notes of purges before 0.36
        for path in older.folder.iterdir():
            said = json.loads(path.read_text())
            path.write_text(json.dumps({name: said[name] for name in said if name != "key"}))
    renewed = RenewedNotes(older.backups, LATER)
    renewed.begin(KEY.fingerprint)
    await renew(older)
    renewed.begin(LATER.fingerprint)  # the run was interrupted, and is repeated
    assert renewed.renew() == (2, 0)
    assert renewed.renew() == (0, 0)
    assert older.naming(ANN, BOB, KEY.key_id, KEY.fingerprint) == []
    assert len(older.naming(NEW_ANN)) == 2
    await older.erase(Person("default", (NEW_ANN,), NOW + 100))
    assert older.naming(NEW_ANN) == []
    bob = LATER.of("default", Shopper(Identity.USER, "bob"))
    assert set(older.noted()) == {
        (person_hash(NEW_ANN), "", Purpose.TRAIN, False, 2),
        (bob, LATER.key_id, Purpose.TRAIN, False, 3),
    }


async def test_a_renewal_goes_on_where_a_note_can_not_be_read(older: Notes) -> None:
    (older.folder / "0-cut.json").write_text("{")
    (older.folder / "1-odd.json").write_text('{"catalog_id": "default", "consents": [{"a": 1}]}')
    (older.folder / "2-foreign.json").write_text('{"params": [], "key": 7}')
    renewed = RenewedNotes(older.backups, LATER)
    renewed.begin(KEY.fingerprint)
    assert renewed.renew() == (2, 2)
    assert older.naming(ANN) == []


async def test_a_restore_brings_no_former_pseudonym_back(older: Notes, restored: Database) -> None:
    """Decisions name their key; the pseudonym of each of the keys was stored."""
    await check_key(restored, LATER)
    consents = await repeat(older, restored, LATER)
    stored = await consents.since("default", 0, 9)
    bob = LATER.of("default", Shopper(Identity.USER, "bob"))
    assert {(one.actor, one.key_id) for one in stored} == {
        (NEW_ANN, LATER.key_id),
        (bob, LATER.key_id),
    }
    assert not (await consents.get("default", NEW_ANN)).granted[Purpose.TRAIN]

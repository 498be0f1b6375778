"""Encryption of attributes, searches and vectors of photos at rest, on each engine."""

import asyncio
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ranker.domain.consent import Decision, Purpose
from ranker.domain.erasure import Person
from ranker.domain.errors import EncryptionKeyMissing, KeyUnusable
from ranker.domain.events import DAY_MICROS, EventType
from ranker.domain.selection import COLUMNS, Selection
from ranker.events import encryption
from ranker.events.encryption import SETTLED_MICROS, KeyRotation
from ranker.events.intake import PLAIN, StoredTexts, append
from ranker.record import encrypted_columns as sealed
from ranker.record.answers import AnswerLog, StoredAnswer
from ranker.record.consent_changes import ConsentRecord
from ranker.record.data_keys import DataKeyRecord
from ranker.record.encrypted_columns import OPTION, Sealer
from ranker.record.events import EventRecord
from ranker.record.personal import PersonalRecord
from ranker.record.searches import SearchRecord
from ranker.record.selections import SelectionRecord
from ranker.record.shoppers import ShopperRecord
from ranker.record.tables import ANSWERS, ATTRIBUTES, DATA_KEYS, EVENTS, MIGRATIONS
from servicekit.keys.wrapping import CommandKeys, FileKeys, UnwrapFailed, key_wrapper
from servicekit.sql.database import Database
from servicekit.watched_files import Unreadable
from tests.fakes.ranker import KEY, NOW, event, stored, with_photos
from tests.stores import NewStore

ANN = stored().actor
SIZE, WORDS = "size-of-ann-42", "teal corduroy dungarees"
VECTOR = b"\1\2\3\4" * 4
ONE, TWO = (hashlib.sha256(name).hexdigest() for name in (b"one", b"two"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "wrapping.keys"
    path.write_text(f"{ONE}\n")
    return path


@pytest.fixture
def opened(new_store: NewStore) -> Iterator[Callable[..., Database]]:
    """Return a function that opens the same store with or without a sealer."""
    url, made = new_store(MIGRATIONS, "ranker.db"), []

    def open_(sealer: Sealer | None) -> Database:
        made.append(Database(url, migrations=MIGRATIONS, options={OPTION: sealer}))
        return made[-1]

    yield open_
    for database in made:
        database.close()


def put(path: Path, *keys: str) -> None:
    path.write_text("".join(f"{key}\n" for key in keys))


async def fill(db: Database) -> None:
    await EventRecord(db).append(
        [stored("e1", type=EventType.SEARCH, query=WORDS, product_id=""), stored("e2")]
    )
    await ShopperRecord(db).set_attributes(
        "default", ANN, {"size": SIZE}, consent=True, key_id=KEY.key_id, now_micros=NOW
    )


async def at_rest(db: Database) -> list[str]:
    """Return the stored texts."""
    statements = (sa.select(EVENTS.c.query), sa.select(ATTRIBUTES.c.value))
    return [
        text
        for one in statements
        for text in await db.read(lambda c, one=one: c.execute(one).scalars().all())
        if text
    ]


async def check_readable(db: Database) -> None:
    """Assert that every reader gets the content."""
    history = await EventRecord(db).history("default", ANN, limit=5, with_seen=False)
    assert history.attributes == (("size", SIZE),)
    assert await ShopperRecord(db).attributes("default") == {ANN: (f"size={SIZE}",)}
    queries = [
        one.event.query
        for one in await EventRecord(db).events_of("default", ANN, limit=5, before=None)
    ]
    assert sorted(queries) == ["", WORDS]
    rows = await SelectionRecord(db).rows(Selection("default"), 0, 10)
    place = [one.stored for one in COLUMNS].index("query")
    assert sorted(row[place] for row in rows) == ["", WORDS]
    for table, text in (("events", WORDS), ("attributes", SIZE)):
        copy = await PersonalRecord(db).rows("default", (ANN,), table, (), 10)
        assert any(text in row.json for row in copy)


async def test_attributes_and_searches_are_stored_encrypted_and_read_plain(
    opened: Callable[..., Database], file: Path
) -> None:
    sealer = Sealer(FileKeys(file))
    db = opened(sealer)
    await encryption.prepare(DataKeyRecord(db), sealer, NOW)
    await fill(db)
    texts = await at_rest(db)
    assert len(texts) == 2
    assert all(text.startswith(sealed.MARK) for text in texts)
    assert not any(SIZE in text or WORDS in text for text in texts)
    await check_readable(db)
    (counted,) = await SearchRecord(db).counts("default", 0, 1)
    assert counted.text == WORDS
    with pytest.raises(EncryptionKeyMissing):
        await EventRecord(opened(None)).history("default", ANN, limit=5, with_seen=False)


async def test_equal_texts_are_stored_differently_and_bound_to_their_place(
    opened: Callable[..., Database], file: Path
) -> None:
    sealer = Sealer(FileKeys(file))
    db = opened(sealer)
    await encryption.prepare(DataKeyRecord(db), sealer, NOW)

    def work(connection: sa.Connection) -> None:
        one, other = (sealed.seal(connection, "a", "M") for _ in range(2))
        assert one != other
        assert sealed.unseal(connection, "a", one) == "M"
        with pytest.raises(EncryptionKeyMissing):
            sealed.unseal(connection, "b", one)
        changed = one[:-6] + ("A" if one[-6] != "A" else "B") + one[-5:]
        with pytest.raises(EncryptionKeyMissing):
            sealed.unseal(connection, "a", changed)

    await db.write(work)


async def fill_photos(db: Database, *names: str) -> None:
    """Store answers with vectors of photos, as releases before 0.40 did."""
    given = [Decision(Purpose.PHOTOS, True, "a test", NOW)]
    await ConsentRecord(db).decide("default", ANN, given, key_id=KEY.key_id)
    made = [StoredAnswer("default", name, ANN, KEY.key_id, b"", 2 * NOW, NOW) for name in names]
    await AnswerLog(db).write(made, NOW)
    await with_photos(db, *names)


async def vectors_at_rest(db: Database) -> list[bytes]:
    found = sa.select(ANSWERS.c.photo).where(ANSWERS.c.photo.is_not(None))
    return [bytes(one) for one in await db.read(lambda c: c.execute(found).scalars().all())]


async def plain_vectors(db: Database) -> list[bytes]:
    """Return the vectors as they are read."""

    def read(connection: sa.Connection) -> list[bytes]:
        found = sa.select(ANSWERS.c.photo).where(ANSWERS.c.photo.is_not(None))
        about = sealed.photo_of("default")
        rows = connection.execute(found).scalars()
        return [sealed.unseal_vector(connection, about, bytes(one)) for one in rows]

    return await db.read(read)


async def test_vectors_of_photos_are_stored_encrypted_and_read_plain(
    opened: Callable[..., Database], file: Path
) -> None:
    sealer = Sealer(FileKeys(file))
    db = opened(sealer)
    await encryption.prepare(DataKeyRecord(db), sealer, NOW)
    await fill_photos(db, "a1", "a2")
    one, other = await vectors_at_rest(db)
    assert one != other, "each has a nonce of its own"
    assert not any(VECTOR in each or len(each) % 4 == 0 for each in (one, other))
    assert await plain_vectors(db) == [VECTOR] * 2
    copy = await PersonalRecord(db).rows("default", (ANN,), "answers", (), 10)
    assert all(VECTOR.hex() in row.json for row in copy)
    with pytest.raises(EncryptionKeyMissing):
        await plain_vectors(opened(None))

    def exchange(connection: sa.Connection) -> None:
        with pytest.raises(EncryptionKeyMissing):
            sealed.unseal_vector(connection, sealed.photo_of("other"), one)

    await db.read(exchange)
    assert await PersonalRecord(db).delete(Person("default", (ANN,), NOW + 1), "answers", 10) == 2
    assert await vectors_at_rest(db) == []


async def test_vectors_of_before_and_of_older_data_keys_are_encrypted_with_the_new_one(
    opened: Callable[..., Database], file: Path
) -> None:
    await fill_photos(opened(None), "a1")
    assert await vectors_at_rest(opened(None)) == [VECTOR]
    times = [NOW + SETTLED_MICROS]
    sealer = Sealer(FileKeys(file), lambda: times[-1] / 1_000_000)
    db = opened(sealer)
    record = DataKeyRecord(db)
    await encryption.prepare(record, sealer, NOW)
    assert await plain_vectors(db) == [VECTOR], "plain as it is"
    await fill_photos(db, "a2")
    rotation = KeyRotation(record, sealer, 90, asyncio.Event(), lambda: times[-1])
    for _ in range(2):
        await rotation.look()
        (key,) = await record.all()
        mark = sealed.prefix(key.key_id).encode()
        assert [one.startswith(mark) for one in await vectors_at_rest(db)] == [True, True]
        assert await plain_vectors(opened(Sealer(FileKeys(file)))) == [VECTOR] * 2
        times.append(times[-1] + 90 * DAY_MICROS)
        await rotation.look()
        assert len(await record.all()) == 2, "the next one, and the one that is in use"
        times.append(times[-1] + SETTLED_MICROS)


async def test_all_vectors_are_encrypted_again_in_batches(
    opened: Callable[..., Database], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encryption, "BATCH", 2)
    await fill_photos(opened(None), *(f"a{number}" for number in range(5)))
    sealer = Sealer(FileKeys(file))
    db = opened(sealer)
    await encryption.prepare(DataKeyRecord(db), sealer, NOW)
    later = NOW + SETTLED_MICROS
    await KeyRotation(DataKeyRecord(db), sealer, 90, asyncio.Event(), lambda: later).look()
    found = await vectors_at_rest(db)
    assert [one.startswith(sealed.MARK.encode()) for one in found] == [True] * 5


@pytest.mark.parametrize("text", ["\x01x", "\x010:", "\x01" + "ab" * 8 + ":QUJD", "plain"])
async def test_no_search_is_taken_for_an_encrypted_one(db: Database, text: str) -> None:
    await EventRecord(db).append([stored("e1", type=EventType.SEARCH, query=text, product_id="")])
    (found,) = await EventRecord(db).events_of("default", ANN, limit=5, before=None)
    assert found.event.query == text


async def test_texts_of_before_are_encrypted_by_the_worker(
    opened: Callable[..., Database], file: Path
) -> None:
    await fill(opened(None))
    sealer = Sealer(FileKeys(file))
    db = opened(sealer)
    record = DataKeyRecord(db)
    await encryption.prepare(record, sealer, NOW)
    await check_readable(db)
    rotation = KeyRotation(record, sealer, 90, asyncio.Event(), lambda: NOW + SETTLED_MICROS)
    await rotation.look()
    assert all(text.startswith(sealed.MARK) for text in await at_rest(db))
    await check_readable(db)
    assert [one.complete for one in await record.all()] == [True]


async def test_a_new_data_key_takes_the_place_of_the_old_one_while_services_run(
    opened: Callable[..., Database], file: Path
) -> None:
    sealer, times = Sealer(FileKeys(file)), [NOW]
    db, other = opened(sealer), opened(Sealer(FileKeys(file)))
    record = DataKeyRecord(db)
    await encryption.prepare(record, sealer, NOW)
    await fill(other)
    rotation = KeyRotation(record, sealer, 90, asyncio.Event(), lambda: times[-1])
    (first,) = await record.all()
    for later in (SETTLED_MICROS, 90 * DAY_MICROS, 90 * DAY_MICROS + SETTLED_MICROS):
        times.append(NOW + later)
        await rotation.look()
        await check_readable(other)
    (second,) = await record.all()
    assert (second.key_id != first.key_id, second.complete) == (True, True)
    assert all(text.startswith(sealed.prefix(second.key_id)) for text in await at_rest(db))


async def test_a_changed_wrapping_key_wraps_the_data_keys_again(
    opened: Callable[..., Database], file: Path
) -> None:
    sealer = Sealer(FileKeys(file))
    db = opened(sealer)
    record = DataKeyRecord(db)
    await encryption.prepare(record, sealer, NOW)
    await fill(db)
    put(file, TWO, ONE)
    both = Sealer(FileKeys(file))
    await KeyRotation(record, both, 90, asyncio.Event(), lambda: NOW).look()
    put(file, TWO)
    alone = Sealer(FileKeys(file))
    await check_readable(opened(alone))
    await encryption.prepare(record, alone, NOW)
    put(file, ONE)
    lost = Sealer(FileKeys(file))
    with pytest.raises(KeyUnusable, match="restore its line"):
        await encryption.prepare(record, lost, NOW)
    with pytest.raises(EncryptionKeyMissing):
        await EventRecord(opened(lost)).history("default", ANN, limit=5, with_seen=False)


async def test_an_encrypted_record_is_not_opened_without_keys(
    opened: Callable[..., Database], file: Path
) -> None:
    sealer = Sealer(FileKeys(file))
    await encryption.prepare(DataKeyRecord(opened(sealer)), sealer, NOW)
    with pytest.raises(KeyUnusable, match="RANKER_ENCRYPTION_KEYS_FILE"):
        await encryption.prepare(DataKeyRecord(opened(None)), None, NOW)


PROGRAM = """#!/bin/sh
# A key management service in a shell: it turns the bits around.
[ "$1" = wrap ] || [ "$1" = unwrap ] || exit 64
base64 -d | tr '\\000-\\377' '\\200-\\377\\000-\\177' | base64
"""


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(stat.S_IRWXU)
    return path


async def test_a_program_may_hold_the_wrapping_key(
    opened: Callable[..., Database], file: Path, tmp_path: Path
) -> None:
    program = executable(tmp_path / "kms", PROGRAM)
    first = Sealer(FileKeys(file))
    db = opened(first)
    record = DataKeyRecord(db)
    await encryption.prepare(record, first, NOW)
    await fill(db)
    moved = key_wrapper(file, program)
    assert moved is not None
    await KeyRotation(record, Sealer(moved), 90, asyncio.Event(), lambda: NOW).look()
    await check_readable(opened(Sealer(CommandKeys(program))))
    executable(program, "#!/bin/sh\necho no access >&2\nexit 1\n")
    with pytest.raises(UnwrapFailed, match="no access"):
        CommandKeys(program).wrap(os.urandom(32))
    with pytest.raises(KeyUnusable, match="unwrap failed"):
        await encryption.prepare(record, Sealer(CommandKeys(tmp_path / "none")), NOW)


def test_a_file_without_keys_is_refused(tmp_path: Path) -> None:
    for text in ("", "ab\n", "00" * 32 + "\n", f"{ONE}\n{ONE}\n"):
        (tmp_path / "bad.keys").write_text(text)
        with pytest.raises(Unreadable):
            FileKeys(tmp_path / "bad.keys")
    assert key_wrapper(None, None) is None


async def test_the_digest_of_an_encrypted_search_is_keyed() -> None:
    kept: list[bytes] = []

    async def write(events):
        kept.extend(one.digest for one in events)
        return ()

    given = event("e1", type=EventType.SEARCH, query=WORDS)
    for texts in (PLAIN, StoredTexts(sealed=True)):
        with pytest.raises(RuntimeError):
            await append("default", [given], KEY, write, lambda: NOW, texts=texts)
    assert kept[0] != kept[1]


async def test_the_stored_data_key_is_none_that_decrypts(
    opened: Callable[..., Database], file: Path
) -> None:
    sealer = Sealer(FileKeys(file))
    db = opened(sealer)
    await encryption.prepare(DataKeyRecord(db), sealer, NOW)
    row = await db.read(lambda c: c.execute(sa.select(DATA_KEYS)).one())
    assert len(row.wrapped) == 40, "32 bytes, wrapped"
    assert not re.search(ONE.encode(), row.wrapped)

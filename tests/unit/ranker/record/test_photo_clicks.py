"""Clicks on answers to searches by photo, as the record returns them, on each engine."""

import pytest

from ranker.domain.consent import Decision, Purpose
from ranker.domain.erasure import Person
from ranker.domain.events import EventType, Identity, Shopper
from ranker.record import photo_clicks
from ranker.record.answers import AnswerLog, StoredAnswer
from ranker.record.consent_changes import ConsentRecord
from ranker.record.events import EventRecord
from ranker.record.personal import PersonalRecord
from ranker.record.photo_clicks import ClickedAnswer, PhotoClickRecord
from servicekit.sql.database import Database
from tests.fakes.ranker import KEY, NOW, stored

ANN, BOB = Shopper(Identity.USER, "ann"), Shopper(Identity.USER, "bob")
VECTOR = b"\1" * 8


def alias(shopper: Shopper) -> str:
    return KEY.of("default", shopper)


async def decide(db: Database, who: Shopper, purpose: Purpose, granted: bool, at: int = 0) -> None:
    made = Decision(purpose, granted, f"at {at}", NOW + at)
    await ConsentRecord(db).decide("default", alias(who), [made], key_id=KEY.key_id)


async def answer(
    db: Database, name: str, who: Shopper = ANN, *, space: str = "v1", expires: int = NOW * 2
) -> None:
    given = ("default", name, alias(who), KEY.key_id, name.encode(), expires, NOW)
    made = StoredAnswer(*given, photo=VECTOR, photo_space=space)
    await AnswerLog(db).write([made], NOW - 1)


async def click(db: Database, name: str, item: str, who: Shopper = ANN, **fields: object) -> None:
    given = {"type": EventType.CLICK, "product_id": item, "answer_id": name, "shopper": who}
    event = stored(f"{name}-{item}-{who.id}-{fields}", **{**given, **fields})
    await EventRecord(db).append([event])


async def read(db: Database, version: str = "v1", now: int = NOW) -> list[ClickedAnswer]:
    found = PhotoClickRecord(db).clicked("default", version, now)
    return [one async for batch in found for one in batch]


@pytest.fixture
async def consenting(db: Database) -> Database:
    await decide(db, ANN, Purpose.PHOTOS, True)
    await decide(db, BOB, Purpose.PHOTOS, True)
    return db


async def test_a_shoppers_own_clicks_on_their_own_answers_are_read(consenting: Database) -> None:
    db = consenting
    await answer(db, "a")
    await answer(db, "b", BOB)
    await answer(db, "unclicked")
    await answer(db, "other", space="v0")
    await answer(db, "expired", expires=NOW)
    for name in ("a", "other", "expired"):
        await click(db, name, "p1")
    await click(db, "a", "p2", at=1)
    await click(db, "b", "p3")  # hers, on an answer of his
    await click(db, "a", "p4", type=EventType.VIEW)
    await click(db, "a", "p5", unproven=True)
    found = await read(db)
    assert sorted((one.actor, one.content, one.product_id) for one in found) == [
        (alias(ANN), b"a", "p1"),
        (alias(ANN), b"a", "p2"),
    ]
    assert {one.photo for one in found} == {VECTOR}
    assert await read(db, "v2") == []


async def test_answers_are_read_in_batches(
    consenting: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_clicks, "BATCH", 2)
    for number in range(5):
        await answer(consenting, f"a{number}")
        await click(consenting, f"a{number}", "p1")
    assert sorted(one.content for one in await read(consenting)) == [b"a%d" % n for n in range(5)]


@pytest.mark.parametrize("purpose", [Purpose.PHOTOS, Purpose.TRAIN, Purpose.PERSONALISE])
async def test_from_a_withdrawal_on_no_click_is_read(
    consenting: Database, purpose: Purpose
) -> None:
    for name, who in (("a", ANN), ("b", BOB)):
        await answer(consenting, name, who)
        await click(consenting, name, "p1", who)
    await decide(consenting, ANN, purpose, False, 1)
    assert [one.content for one in await read(consenting)] == [b"b"], "before it is deleted"


async def test_an_erasure_removes_the_vectors(consenting: Database) -> None:
    await answer(consenting, "a")
    await click(consenting, "a", "p1")
    person = Person("default", (alias(ANN),), NOW + 1)
    assert await PersonalRecord(consenting).delete(person, "answers", 10) == 1
    assert await read(consenting) == []

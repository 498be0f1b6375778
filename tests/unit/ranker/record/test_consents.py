"""What shoppers consent to, on each engine."""

import math
import random
from collections.abc import Iterable

import pytest
import sqlalchemy as sa

from ranker.domain.consent import EVERYBODY, Decision, Purpose
from ranker.domain.erasure import Person, person_hash
from ranker.domain.events import EventType, Identity, Shopper, Written
from ranker.domain.selection import PurgePlace, Selection
from ranker.domain.signals import DEFAULTS
from ranker.record import popularity
from ranker.record.answers import AnswerLog, StoredAnswer
from ranker.record.consent_changes import ConsentRecord
from ranker.record.erasures import ErasureRecord
from ranker.record.events import EventRecord
from ranker.record.recounting import RecountRecord
from ranker.record.selections import SelectionRecord
from ranker.record.shoppers import ShopperRecord
from ranker.record.tables import ANSWERS, CONSENTS, COUNT_QUEUE, EVENTS, POPULARITY
from servicekit.sql.database import Database
from tests.fakes.ranker import KEY, NOW, stored, with_photos

ANN, BOB = Shopper(Identity.USER, "ann"), Shopper(Identity.USER, "bob")
COOKIE = Shopper(Identity.VISITOR, "cookie")
PERSONALISE, TRAIN, EXPERIMENT, ATTRIBUTES, PHOTOS = Purpose


def alias(shopper: Shopper) -> str:
    return KEY.of("default", shopper)


async def decide(
    db: Database,
    who: Shopper | None,
    *purposes: Purpose,
    granted: bool = False,
    at: int = 0,
    source: str = "banner",
):
    decisions = [Decision(one, granted, source, NOW + at) for one in purposes]
    actor = EVERYBODY if who is None else alias(who)
    return await ConsentRecord(db).decide("default", actor, decisions, key_id=KEY.key_id)


async def counts(db: Database) -> dict[str, float]:
    """Return the popularity of all products."""
    t = POPULARITY.c
    rows = await db.read(lambda c: c.execute(sa.select(t.product_id, t.log_count)).all())
    return {row.product_id: row.log_count for row in rows}


async def summed(db: Database) -> dict[str, float]:
    """Return the same by summing all events that models may learn from."""
    return popularity.sums(await EventRecord(db).interactions("default"), DEFAULTS)


async def test_without_a_decision_attributes_and_photos_are_refused(db: Database) -> None:
    found = await ConsentRecord(db).get("default", alias(ANN))
    assert found.granted == {one: one not in {ATTRIBUTES, PHOTOS} for one in Purpose}
    assert (set(found.decided), found.history) == (set(), ())


async def test_the_newest_decision_applies_and_all_are_listed(db: Database) -> None:
    await decide(db, ANN, TRAIN, PERSONALISE)
    found = await decide(db, ANN, TRAIN, granted=True, at=1, source="account page")
    assert (found.granted[TRAIN], found.granted[PERSONALISE]) == (True, False)
    assert found.history[0] == Decision(TRAIN, True, "account page", NOW + 1)
    assert len(found.history) == 3


async def test_a_repeated_decision_changes_nothing(db: Database) -> None:
    await decide(db, ANN, TRAIN)
    assert len((await decide(db, ANN, TRAIN, at=5)).history) == 1
    assert len((await decide(db, ANN, TRAIN, at=5, source="letter")).history) == 2


async def test_the_default_of_a_catalog_is_for_those_who_have_not_decided(db: Database) -> None:
    await decide(db, BOB, TRAIN, granted=True)
    await decide(db, None, TRAIN, EXPERIMENT)
    ann, bob = [await ConsentRecord(db).get("default", alias(one)) for one in (ANN, BOB)]
    assert (ann.granted[TRAIN], bob.granted[TRAIN]) == (False, True)
    assert (ann.granted[EXPERIMENT], bob.granted[EXPERIMENT]) == (False, False)
    other = await ConsentRecord(db).get("other", KEY.of("other", ANN))
    assert other.granted[TRAIN], "each catalog has its own"


async def test_events_without_any_use_are_not_stored(db: Database) -> None:
    await decide(db, ANN, PERSONALISE, TRAIN)
    events = EventRecord(db)
    written = await events.append([stored("e1"), stored("e2", shopper=BOB), stored("e3")])
    assert written == (Written.WITHHELD, Written.NEW, Written.WITHHELD)
    assert {one.actor for one in await events.interactions("default")} == {alias(BOB)}
    await decide(db, ANN, TRAIN, granted=True, at=1)
    assert await events.append([stored("e1")]) == (Written.NEW,)


@pytest.mark.parametrize("purpose", [PERSONALISE, TRAIN])
async def test_one_use_suffices_for_storage(db: Database, purpose: Purpose) -> None:
    await decide(db, ANN, *({PERSONALISE, TRAIN} - {purpose}))
    assert await EventRecord(db).append([stored("e1")]) == (Written.NEW,)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_shopper_who_refuses_personal_answers_has_no_history(
    db: Database, when: str
) -> None:
    events = EventRecord(db)
    if when == "before":
        await decide(db, ANN, PERSONALISE)
    await events.append([stored("e1"), stored("e2", type=EventType.HIDE, product_id="p2")])
    await decide(db, ANN, PERSONALISE)
    found = await events.history("default", alias(ANN), limit=10, with_seen=True)
    assert (found.withheld, found.recent, found.hidden, found.seen) == (True, (), set(), set())
    assert found.owner(alias(ANN)) is None
    await decide(db, ANN, PERSONALISE, granted=True, at=1)
    found = await events.history("default", alias(ANN), limit=10, with_seen=True)
    assert (found.withheld, len(found.recent), found.hidden) == (False, 1, {"p2"})


async def test_the_history_of_a_merged_visitor_obeys_the_users_decision(db: Database) -> None:
    await EventRecord(db).append([stored("e1", shopper=COOKIE)])
    await ShopperRecord(db).merge(
        "default", alias(COOKIE), alias(ANN), key_id=KEY.key_id, now_micros=NOW
    )
    await decide(db, ANN, PERSONALISE)
    found = await EventRecord(db).history("default", alias(COOKIE), limit=10, with_seen=False)
    assert found.withheld


async def test_a_default_of_no_personal_answers_leaves_those_who_consented(db: Database) -> None:
    await decide(db, None, PERSONALISE)
    await decide(db, BOB, PERSONALISE, granted=True)
    await EventRecord(db).append([stored("e1"), stored("e2", shopper=BOB)])
    ann, bob = [
        await EventRecord(db).history("default", alias(one), limit=10, with_seen=False)
        for one in (ANN, BOB)
    ]
    assert (ann.withheld, bob.withheld, len(bob.recent)) == (True, False, 1)


async def test_models_and_popularity_learn_from_those_who_permit_it(db: Database) -> None:
    events = EventRecord(db)
    await events.append([stored("e1", product_id="a"), stored("e2", product_id="b", shopper=BOB)])
    await decide(db, ANN, TRAIN)
    await events.append([stored("e3", product_id="c"), stored("e4", product_id="d", shopper=BOB)])
    learned = await events.interactions("default")
    assert {one.product_id for one in learned} == {"b", "d"}
    assert (await counts(db)).keys() == {"b", "d"}
    queued = await db.read(lambda c: c.execute(sa.select(COUNT_QUEUE.c.units)).scalars().all())
    assert alias(ANN) in queued[-2] + queued[-1], "her days are counted again, without her"
    await decide(db, ANN, TRAIN, granted=True, at=1)
    assert (await counts(db)).keys() == {"a", "b", "c", "d"}


async def test_attributes_go_with_their_consent(db: Database) -> None:
    shoppers, who = ShopperRecord(db), ("default", alias(ANN))
    with_key = {"key_id": KEY.key_id, "now_micros": NOW}
    await shoppers.set_attributes(*who, {"size": "M"}, consent=True, **with_key)
    found = await ConsentRecord(db).get(*who)
    assert (found.granted[ATTRIBUTES], found.history[0].source) == (True, "SetShopperAttributes")
    await shoppers.set_attributes(*who, {"size": "L"}, consent=False, **with_key)
    await decide(db, ANN, TRAIN, at=1)
    assert await shoppers.attributes("default") == {}, "she refuses trainings"
    await decide(db, ANN, TRAIN, granted=True, at=2)
    assert await shoppers.attributes("default") == {alias(ANN): ("size=L",)}
    await decide(db, ANN, ATTRIBUTES, at=3)
    assert await shoppers.attributes("default") == {}
    await decide(db, ANN, ATTRIBUTES, granted=True, at=4)
    assert await shoppers.attributes("default") == {}, "deleted, not hidden"


async def test_who_refuses_experiments_is_in_no_arm(db: Database) -> None:
    answers, events = AnswerLog(db), EventRecord(db)

    def answer(name: str) -> StoredAnswer:
        return StoredAnswer(
            "default", name, alias(ANN), KEY.key_id, b"", NOW * 2, NOW, "m", "s", "x/a"
        )

    await answers.write([answer("a1")], NOW)
    await events.append([stored("e1", answer_id="a1", arm="x/a")])
    await decide(db, ANN, EXPERIMENT)
    await answers.write([answer("a2")], NOW)
    await events.append([stored("e2", answer_id="a2", arm="x/a")])
    for table, name in ((ANSWERS, "arms"), (EVENTS, "arm")):
        found = await db.read(
            lambda c, t=table, n=name: c.execute(sa.select(t.c[n], t.c.actor)).all()
        )
        assert found == [("", alias(ANN))] * 2


async def test_answers_to_who_refuses_personal_ones_name_nobody(db: Database) -> None:
    answers = AnswerLog(db)
    one = StoredAnswer("default", "a1", alias(ANN), KEY.key_id, b"", NOW * 2, NOW)
    await answers.write([one], NOW)
    await decide(db, ANN, PERSONALISE)
    await answers.write([StoredAnswer("default", "a2", alias(ANN), KEY.key_id, b"", NOW * 2)], NOW)
    assert await answers.owner("default", "a2") == ""
    assert await ConsentRecord(db).delete_answers("default", 10) == 1
    assert await answers.read("default", "a1", NOW) is None
    assert await answers.read("default", "a2", NOW) == b""


async def search(db: Database, *answers: str, who: Shopper) -> None:
    """Record answers to searches by photo, as releases before 0.40 did."""
    given = [
        StoredAnswer("default", one, alias(who), KEY.key_id, b"", NOW * 2, NOW) for one in answers
    ]
    await AnswerLog(db).write(given, NOW)
    await with_photos(db, *answers)


async def photos(db: Database) -> dict[str, bytes]:
    """Return the stored vectors of photos by answer; those without a vector have no space."""
    t = ANSWERS.c
    rows = await db.read(lambda c: c.execute(sa.select(t.answer_id, t.photo, t.photo_space)).all())
    assert all((row.photo is None) is (row.photo_space == "") for row in rows)
    return {row.answer_id: row.photo for row in rows if row.photo is not None}


async def test_no_vector_of_a_photo_is_stored(db: Database) -> None:
    await decide(db, ANN, PHOTOS, granted=True)
    one = StoredAnswer("default", "a1", alias(ANN), KEY.key_id, b"", NOW * 2, NOW)
    await AnswerLog(db).write([one], NOW)
    assert await photos(db) == {}


@pytest.mark.parametrize("purpose", [PHOTOS, TRAIN, PERSONALISE])
async def test_vectors_of_photos_need_each_of_three_purposes(
    db: Database, purpose: Purpose
) -> None:
    await decide(db, ANN, PHOTOS, granted=True)
    await decide(db, BOB, PHOTOS, granted=True)
    await search(db, "a1", who=ANN)
    await search(db, "b1", who=BOB)
    await decide(db, ANN, purpose, at=1)
    assert await ConsentRecord(db).delete_photos("default", 10) == 1
    assert await ConsentRecord(db).delete_photos("other", 10) == 0
    assert (await photos(db)).keys() == {"b1"}


async def test_vectors_of_photos_follow_a_merge_and_the_catalogs_default(db: Database) -> None:
    await decide(db, COOKIE, PHOTOS, granted=True)
    await search(db, "a1", who=COOKIE)
    await decide(db, ANN, PHOTOS, at=1)
    await ShopperRecord(db).merge(
        "default", alias(COOKIE), alias(ANN), key_id=KEY.key_id, now_micros=NOW
    )
    assert await ConsentRecord(db).delete_photos("default", 10) == 1
    await decide(db, BOB, PHOTOS, granted=True)
    await search(db, "b1", who=BOB)
    await decide(db, None, TRAIN)
    assert await ConsentRecord(db).delete_photos("default", 10) == 1
    assert await photos(db) == {}


@pytest.mark.parametrize(("visitors", "granted"), [(1, False), (3, True)])
async def test_of_visitor_and_user_the_later_decision_applies(
    db: Database, visitors: int, granted: bool
) -> None:
    await decide(db, COOKIE, TRAIN, granted=granted, at=visitors)
    await decide(db, ANN, TRAIN, granted=not granted, at=2)
    await EventRecord(db).append([stored("e1"), stored("e2", shopper=COOKIE, product_id="p2")])
    await ShopperRecord(db).merge(
        "default", alias(COOKIE), alias(ANN), key_id=KEY.key_id, now_micros=NOW
    )
    found = await ConsentRecord(db).get("default", alias(COOKIE))
    assert found.granted[TRAIN] is (granted if visitors > 2 else not granted)
    assert len(found.history) == 2
    assert await counts(db) == pytest.approx(await summed(db))


async def test_after_an_erasure_withdrawals_stay_under_a_hash_and_apply_again(
    db: Database,
) -> None:
    await decide(db, ANN, TRAIN, PERSONALISE)
    await decide(db, ANN, EXPERIMENT, granted=True)
    person = Person("default", (alias(ANN),), NOW + 1)
    assert await ConsentRecord(db).forget(person) == (1, 2)
    rows = await db.read(lambda c: c.execute(sa.select(CONSENTS)).all())
    assert {row.actor for row in rows} == {person_hash(alias(ANN))}
    assert all(alias(ANN) not in str(row) for row in rows)
    assert await EventRecord(db).append([stored("e1")]) == (Written.WITHHELD,)
    found = await ConsentRecord(db).get("default", alias(ANN))
    assert not found.granted[TRAIN], "she is known again"


async def test_a_refusal_of_trainings_is_unlearned_like_an_erasure(db: Database) -> None:
    await decide(db, ANN, TRAIN, at=5)
    await decide(db, BOB, TRAIN, granted=True)
    found = await ErasureRecord(db).forgotten_since("default", NOW)
    assert found == {person_hash(alias(ANN)): NOW + 5}
    assert await ErasureRecord(db).since("default", 0) == {}, "late data is not dropped"
    refusers = await ConsentRecord(db).refusers("default", TRAIN)
    assert (alias(ANN) in refusers, alias(BOB) in refusers) == (True, False)


async def test_shoppers_without_any_use_are_found_for_deletion(db: Database) -> None:
    consents, events = ConsentRecord(db), EventRecord(db)
    await events.append([stored("e1"), stored("e2", shopper=BOB)])
    assert await consents.without_use("default", 10) == []
    await decide(db, ANN, TRAIN, PERSONALISE)
    assert await consents.without_use("default", 10) == [alias(ANN)]
    await decide(db, None, TRAIN, PERSONALISE)
    await decide(db, BOB, TRAIN, granted=True)
    await decide(db, ANN, TRAIN, granted=True, at=1)
    assert await consents.without_use("default", 10) == []


async def test_a_changed_default_is_counted_through_in_batches(db: Database) -> None:
    await EventRecord(db).append(
        [stored(f"e{n}", product_id=f"p{n}", shopper=(ANN, BOB)[n % 2]) for n in range(5)]
    )
    await decide(db, BOB, TRAIN, granted=True)
    await decide(db, None, TRAIN)
    record = RecountRecord(db)
    assert await record.sizes("default") == (5, 2)
    after, done = "", 0
    while (step := await record.products("default", after, 2))[1]:
        after, done = step[0], done + step[1]
    assert done == 5
    assert (await counts(db)).keys() == {"p1", "p3"}
    assert (await record.shoppers("default", "", 10))[1] == 2


@pytest.mark.first(2)
@pytest.mark.parametrize("seed", range(4))
async def test_popularity_is_always_the_sum_over_those_who_permit_it(
    db: Database, seed: int
) -> None:
    """Decisions, events, purges and merges in any order."""
    draw, people = random.Random(seed), (ANN, BOB, COOKIE)
    events, selections = EventRecord(db), SelectionRecord(db)

    def batch(step: int) -> Iterable:
        for n in range(draw.randrange(1, 6)):
            item, who = f"p{draw.randrange(4)}", draw.choice(people)
            yield stored(f"{step}-{n}", product_id=item, shopper=who, at=draw.randrange(60))

    for step in range(25):
        what = draw.random()
        if what < 0.45:
            await events.append(list(batch(step)))
        elif what < 0.8:
            purpose = draw.choice((TRAIN, TRAIN, PERSONALISE))
            who, granted = draw.choice(people), draw.random() < 0.5
            await decide(db, who, purpose, granted=granted, at=step, source=f"{step}")
        elif what < 0.9:
            chosen = Selection("default", actor=alias(draw.choice(people)))
            place: PurgePlace | None = PurgePlace()
            while place is not None:
                place = (await selections.delete(chosen, place, 2)).place
        elif step == 20:
            await ShopperRecord(db).merge(
                "default", alias(COOKIE), alias(ANN), key_id=KEY.key_id, now_micros=NOW
            )
        wanted, found = await summed(db), await counts(db)
        assert found.keys() == wanted.keys(), step
        for item, log in wanted.items():
            assert math.isclose(2.0 ** (found[item] - log), 1.0, rel_tol=1e-6), (step, item)

"""Past searches: whose count, how often they are counted, and what is never returned."""

import asyncio
from collections.abc import Sequence

import pytest

from ranker.domain.consent import Decision, Purpose
from ranker.domain.events import DAY_MICROS, EventType, Identity, Shopper
from ranker.domain.searches import DAYS, LONGEST, SearchCount, counted, normal
from ranker.events.searches import AGAIN_SECONDS, COUNT_SECONDS, FrequentSearches
from ranker.record.consent_changes import ConsentRecord
from ranker.record.events import EventRecord
from ranker.record.searches import SearchRecord
from servicekit import deadlines
from servicekit.catalogs.known import CatalogChange
from servicekit.sql.database import Database, StoreBusy
from tests.fakes.ranker import KEY, NOW, stored
from tests.waiting import until


async def searched(db: Database, *texts: str, by: str, ago_days: int = 0) -> None:
    """Store searches of a shopper."""
    events = [
        stored(
            f"{by}-{text}-{ago_days}",
            product_id="",
            type=EventType.SEARCH,
            shopper=Shopper(Identity.USER, by),
            query=text,
            time_micros=NOW - ago_days * DAY_MICROS,
        )
        for text in texts
    ]
    await EventRecord(db).append(events)


async def counts(db: Database, floor: int = 2) -> list[tuple[str, int]]:
    found = await SearchRecord(db).counts("default", NOW - DAYS * DAY_MICROS, floor)
    return [(each.text, each.shoppers) for each in found]


async def test_a_text_counts_its_different_shoppers_and_is_hidden_below_the_floor(db: Database):
    await searched(db, "Red  Wine", "red wine", "my secret", by="a")
    await searched(db, "RED WINE", "barolo", by="b")
    await searched(db, "barolo", by="c")
    await searched(db, "red wine", by="c", ago_days=DAYS + 1)
    assert await counts(db) == [("barolo", 2), ("red wine", 2)]
    assert await counts(db, floor=3) == []
    assert ("my secret", 1) in await counts(db, floor=1)
    assert await SearchRecord(db).counts("other", 0, 1) == []


@pytest.mark.parametrize("standing", ["unproven", "new_visitor"])
async def test_shoppers_without_a_proof_or_with_a_new_one_count_for_no_text(
    db: Database, standing: str
):
    await searched(db, "barolo", by="a")
    await searched(db, "barolo", by="b")
    invented = [
        stored(
            f"i{at}",
            product_id="",
            type=EventType.SEARCH,
            shopper=Shopper(Identity.VISITOR, f"i{at}"),
            query=text,
            **{standing: True},
        )
        for at, text in enumerate(["buy at evil dot example"] * 20 + ["barolo"] * 20)
    ]
    await EventRecord(db).append(invented)
    assert await counts(db) == [("barolo", 2)]


async def test_who_refuses_trainings_is_not_counted(db: Database):
    for who in "ab":
        await searched(db, "red wine", by=who)
    who = KEY.of("default", Shopper(Identity.USER, "a"))
    refuses = [Decision(Purpose.TRAIN, False, "banner", NOW)]
    await ConsentRecord(db).decide("default", who, refuses, key_id=KEY.key_id)
    assert await counts(db) == []


class Reads:
    """A record that counts its reads."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    async def counts(self, catalog_id: str, since_micros: int, floor: int) -> Sequence[SearchCount]:
        self.asked.append((catalog_id, since_micros, floor))
        return [SearchCount("red wine", 20)]


async def test_they_are_counted_again_after_ten_minutes():
    now, record = [NOW], Reads()
    searches = FrequentSearches(record, 20, clock=lambda: now[0])
    first = await searches.of("default")
    assert first.searches == [SearchCount("red wine", 20)]
    now[0] += int(COUNT_SECONDS * 1e6) - 1
    assert await searches.of("default") is first
    now[0] += 1
    assert (await searches.of("default")).time_micros == now[0]
    assert record.asked == [("default", at - DAYS * DAY_MICROS, 20) for at in (NOW, now[0])]


async def test_a_count_goes_on_when_its_caller_stops_waiting():
    started, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Reads):
        async def counts(
            self, catalog_id: str, since_micros: int, floor: int
        ) -> Sequence[SearchCount]:
            started.set()
            await go_on.wait()
            return await super().counts(catalog_id, since_micros, floor)

    record = Slow()
    searches = FrequentSearches(record, 20, clock=lambda: NOW)
    waiting = asyncio.create_task(searches.of("default"))
    await started.wait()
    waiting.cancel()
    go_on.set()
    assert (await searches.of("default")).searches == [SearchCount("red wine", 20)]
    assert len(record.asked) == 1


async def test_a_count_has_an_hour_and_one_that_failed_is_not_repeated_by_each_call():
    now, left = [NOW], list[float | None]()

    class Failing(Reads):
        async def counts(
            self, catalog_id: str, since_micros: int, floor: int
        ) -> Sequence[SearchCount]:
            left.append(deadlines.remaining())
            if len(left) == 1:
                raise StoreBusy
            return await super().counts(catalog_id, since_micros, floor)

    searches = FrequentSearches(Failing(), 20, clock=lambda: now[0])
    for _ in range(3):
        with pytest.raises(StoreBusy):
            await searches.of("default")
    assert [seconds is not None and seconds > 3_000 for seconds in left] == [True]
    now[0] += int(AGAIN_SECONDS * 1e6)
    assert (await searches.of("default")).searches == [SearchCount("red wine", 20)]


@pytest.mark.parametrize("under_way", [False, True])
async def test_a_catalog_that_replaces_another_one_gets_none_of_its_texts(under_way: bool):
    go_on = asyncio.Event()
    texts = ["secret"]

    class Slow(Reads):
        async def counts(
            self, catalog_id: str, since_micros: int, floor: int
        ) -> Sequence[SearchCount]:
            found = [SearchCount(each, 20) for each in texts]
            self.asked.append((catalog_id, since_micros, floor))
            await go_on.wait()
            return found

    record = Slow()
    searches = FrequentSearches(record, 20, clock=lambda: NOW)
    waiting = asyncio.create_task(searches.of("default"))
    await until(lambda: record.asked)
    if not under_way:
        go_on.set()
        await waiting
    texts.clear()
    searches.follow(CatalogChange(removed=frozenset({"default"})))
    go_on.set()
    await waiting
    assert (await searches.of("default")).searches == []


async def test_hashed_texts_are_not_read():
    record = Reads()
    assert (await FrequentSearches(record, 20, readable=False).of("default")).searches == ()
    assert record.asked == []


@pytest.mark.parametrize(
    ("text", "form"),
    [(" Ｒed\tWINE ", "red wine"), ("x" * (LONGEST + 1), ""), ("a\u202eb", ""), ("", "")],
)
def test_texts_are_compared_in_one_form(text: str, form: str):
    assert normal(text) == form


def test_equal_counts_are_by_text():
    read = [("b", "1"), ("a", "2"), ("c", "3"), ("c", "4")]
    found = counted(lambda: read, 1)
    assert [(each.text, each.shoppers) for each in found] == [("c", 2), ("a", 1), ("b", 1)]

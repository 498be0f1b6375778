"""An id that is used again: a new catalog shows nothing of an earlier one, on either engine."""

from __future__ import annotations

import asyncio

from retriever.catalog.synonyms import HeldSynonyms
from retriever.columns.column_cache import Columns
from retriever.columns.suggestion_index import SuggestionIndexes
from retriever.domain.column_rows import Changes
from retriever.domain.registry import REMOVERS, CatalogValues
from retriever.record import Record
from retriever.search.listing import ListingQuery, browse
from servicekit.catalogs.known import CatalogChange
from servicekit.sql.database import Database
from sightline_rules.synonyms import SynonymRule
from tests.stores import each_engine
from tests.unit.retriever.columns.conftest import Counting, ids, patient
from tests.unit.retriever.conftest import Clock, write

pytestmark = each_engine
NAME = "shop"


async def create(record: Record) -> None:
    await record.create_catalog(NAME, CatalogValues(), 10)


async def replace(record: Record) -> None:
    """Remove the catalog for good, and create another one of its id."""
    await record.delete_catalog(NAME, 0, "")
    (begun,) = await record.begin_removals(())
    while await record.remove_rows(NAME, 2_000):
        pass
    for service in REMOVERS:
        await record.confirm_removal(NAME, begun.uid, service)
    await create(record)


class Gated(Counting):
    """Record whose reads of changes wait."""

    def __init__(self, db: Database, clock: Clock) -> None:
        super().__init__(db, clock)
        self.gate = asyncio.Event()
        self.gate.set()

    async def written(self, catalog_id: str, after: int | None) -> Changes:
        found = await super().written(catalog_id, after)
        await self.gate.wait()
        return found


async def test_a_new_catalog_shows_nothing_of_one_that_had_its_id(record: Record) -> None:
    columns = patient(record)
    await create(record)
    await record.write(NAME, [write("secret")])
    assert await ids(columns, NAME) == {"secret"}
    await replace(record)
    assert await ids(columns, NAME) == set()
    for number in range(3):  # the new catalog's commits reach and pass those of the earlier one
        await record.write(NAME, [write(f"new{number}")])
        assert "secret" not in await ids(columns, NAME)
    assert await ids(columns, NAME) == {"new0", "new1", "new2"}


async def test_its_commits_may_be_as_many_as_those_of_the_earlier_one(record: Record) -> None:
    columns = patient(record)
    await create(record)
    await record.write(NAME, [write("secret")])
    await columns.words(NAME, wait=True)
    await replace(record)
    await record.write(NAME, [write("new")])
    assert await ids(columns, NAME) == {"new"}
    found = await columns.words(NAME, wait=True)
    assert found is not None
    assert found[0].table.ids == ["new"]


async def test_rows_that_are_gone_without_a_new_catalog_are_noticed_too(record: Record) -> None:
    """A catalog without an entry in the registry has no uid."""
    columns = patient(record)
    await record.write(NAME, [write("a")])
    await record.write(NAME, [write("b")])
    assert await ids(columns, NAME) == {"a", "b"}
    while await record.remove_rows(NAME, 2_000):
        pass
    await record.write(NAME, [write("c")])
    assert await ids(columns, NAME) == {"c"}


async def test_work_under_way_does_not_bring_back_what_was_forgotten(
    db: Database, clock: Clock
) -> None:
    record = Gated(db, clock)
    await record.write(NAME, [write("a")])
    columns = patient(record)
    record.gate.clear()
    searching = asyncio.create_task(columns.view(NAME))
    while not record.counted:  # noqa: ASYNC110
        await asyncio.sleep(0)
    columns.forget(NAME)
    record.gate.set()
    assert await searching is None
    assert columns.product_count(NAME) == 0
    assert await ids(columns, NAME) == {"a"}


async def test_an_update_in_the_background_does_not_bring_it_back(
    db: Database, clock: Clock
) -> None:
    record = Gated(db, clock)
    columns = patient(record)
    for name in ("first", NAME):
        await record.write(name, [write("a")])
        await columns.words(name, wait=True)
        await record.write(name, [write("b")])
    record.gate.clear()
    record.took()
    keeping = asyncio.create_task(columns.keep_up({"first", NAME}))
    while not record.counted:  # noqa: ASYNC110
        await asyncio.sleep(0)
    columns.forget(NAME)
    record.gate.set()
    await keeping
    assert (columns.product_count("first"), columns.product_count(NAME)) == (2, 0)


async def test_what_a_late_call_read_of_a_catalog_that_is_gone_is_dropped(record: Record) -> None:
    columns = patient(record)
    await record.write(NAME, [write("a")])
    columns.follow(CatalogChange(removed=frozenset({NAME})))
    await columns.view(NAME)
    await columns.keep_up({"another"})
    assert columns.product_count(NAME) == 0


async def test_suggestions_of_a_catalog_are_its_own(record: Record) -> None:
    columns = patient(record)
    indexes = SuggestionIndexes(columns, patience=None)
    await create(record)
    await record.write(NAME, [write("a", title="secret", brand="secret")])
    await indexes.of(NAME)
    await replace(record)
    await record.write(NAME, [write("b", title="public", brand="public")])
    found = await indexes.of(NAME)
    assert found is not None
    assert [each.text for each in found[1].held] == ["public"]


async def test_suggestions_of_a_catalog_that_is_gone_take_no_memory(record: Record) -> None:
    columns = patient(record)
    indexes = SuggestionIndexes(columns, patience=None)
    await record.write(NAME, [write("a", brand="acme")])
    assert await indexes.of(NAME) is not None
    indexes.follow(CatalogChange(removed=frozenset({NAME})))
    assert indexes.nbytes == 0


async def test_a_listing_by_older_synonyms_is_not_taken_for_the_current_one(
    record: Record,
) -> None:
    await record.write(NAME, [write("w", title="red wine"), write("v", title="vino rosso")])
    here, there = HeldSynonyms(record), HeldSynonyms(record)  # of two replicas
    columns = patient(record)
    await there.of(NAME)
    await here.replace(NAME, [SynonymRule(("wine", "vino"))], "")

    async def listed(held: HeldSynonyms, known: str = "") -> tuple[str, int, bool]:
        query = ListingQuery(NAME, "RELEVANCE", size=10, text="wine", known_state=known)
        page = await browse(query, columns, record, await held.of(NAME))
        return page.state, len(page.places), page.not_modified

    stale, count, _ = await listed(there)
    assert count == 1
    assert (await listed(here, stale))[1:] == (2, False)
    current = (await listed(here))[0]
    assert (await listed(here, current))[1:] == (0, True)


async def test_a_listing_of_an_earlier_catalog_is_not_current(record: Record) -> None:
    columns = patient(record)
    states = []
    await create(record)
    for product in ("a", "b"):
        await record.write(NAME, [write(product)])
        states.append((await browse(ListingQuery(NAME, "NEWEST"), columns, record)).state)
        await replace(record)
    assert states[0] != states[1]


def test_forgetting_what_was_never_held_is_allowed(record: Record) -> None:
    Columns(record).forget("nothing")

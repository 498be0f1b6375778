"""The registry of catalogs in the record, on each store."""

import asyncio

import pytest
import sqlalchemy as sa

from retriever.catalog.registry import Registry
from retriever.domain.errors import (
    CatalogAliasesFull,
    CatalogDeclared,
    CatalogExists,
    CatalogHasAlias,
    CatalogIsAlias,
    CatalogRemoving,
    CatalogsFull,
    EtagMismatch,
    FieldMaskInvalid,
)
from retriever.domain.registry import MOST_ALIASES, REMOVERS, CatalogUpdate, CatalogValues
from retriever.record import Record
from retriever.record.tables import catalogs
from servicekit.catalogs.known import CatalogDeleted, CatalogNotFound, CatalogState
from servicekit.rpc.requests import PageTokenInvalid, RequestInvalid
from servicekit.sql.database import Database
from tests.unit.retriever.conftest import Clock, write

DAY = 86_400 * 10**6
ACTIVE = CatalogState.ACTIVE
VALUES = CatalogValues("Staging", "de", (("team", "shop"),), 0.5)


@pytest.fixture
def registry(record: Record) -> Registry:
    return Registry(record, ("default",), 5, 1.0)


async def test_a_created_catalog_is_listed_with_its_values(registry: Registry) -> None:
    made = await registry.create("staging", VALUES)
    assert made.values == VALUES
    assert await registry.get("staging") == made
    found = await registry.record.catalog_list("")
    assert found is not None
    assert [each.catalog_id for each in found.catalogs] == ["staging"]
    assert (found.catalogs[0].language_code, found.catalogs[0].quota_share) == ("de", 0.5)
    assert await registry.record.catalog_list(found.revision) is None
    former = found.revision.removesuffix("-2")
    assert former != found.revision, "tells a list of 0.40, which lacks revisions of scenes"
    assert await registry.record.catalog_list(former) == found


async def test_a_repeated_creation_returns_the_catalog_and_a_different_one_fails(
    registry: Registry,
) -> None:
    first, second = await asyncio.gather(
        registry.create("staging", VALUES), registry.create("staging", VALUES)
    )
    assert first == second
    with pytest.raises(CatalogExists):
        await registry.create("staging", CatalogValues("Other"))
    with pytest.raises(CatalogExists):
        await registry.create("default", CatalogValues())


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a" * 64, "../a", "a\0"])
async def test_a_bad_id_is_rejected(registry: Registry, name: str) -> None:
    with pytest.raises(RequestInvalid, match="catalog_id"):
        await registry.create(name, VALUES)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (CatalogValues("x" * 201), "display_name"),
        (CatalogValues("x\0"), "display_name"),
        (CatalogValues(language_code="German!"), "language_code"),
        (CatalogValues(language_code="de-" + "x" * 40), "language_code"),
        (CatalogValues(quota_share=0.001), "quota_share"),
        (CatalogValues(quota_share=float("nan")), "quota_share"),
        (CatalogValues(quota_share=float("inf")), "quota_share"),
        (CatalogValues(labels=(("A", "b"),)), r"labels\[0\].name"),
        (CatalogValues(labels=(("a", "x" * 201),)), r"labels\[0\].value"),
        (CatalogValues(labels=(("a", "1"), ("a", "2"))), "labels"),
        (CatalogValues(labels=tuple((f"n{n}", "") for n in range(33))), "labels"),
    ],
)
async def test_bad_values_are_rejected_by_name(
    registry: Registry, values: CatalogValues, field: str
) -> None:
    with pytest.raises(RequestInvalid, match=field):
        await registry.create("staging", values)
    with pytest.raises(RequestInvalid, match=field):
        await registry.update("default", CatalogUpdate(values, ("labels",)))


async def test_the_number_of_catalogs_is_limited(registry: Registry) -> None:
    for number in range(4):
        await registry.create(f"c{number}", VALUES)
    with pytest.raises(CatalogsFull):
        await registry.create("one-more", VALUES)
    assert (await registry.create("c0", VALUES)).catalog_id == "c0"


async def test_an_update_changes_the_named_fields_only(registry: Registry) -> None:
    made = await registry.create("staging", VALUES)
    update = CatalogUpdate(CatalogValues("New name"), ("display_name",), made.values.etag)
    changed = await registry.update("staging", update)
    assert changed.values == CatalogValues("New name", "de", (("team", "shop"),), 0.5)
    assert (changed.uid, changed.create_micros) == (made.uid, made.create_micros)
    assert await registry.update("staging", update) == changed  # the answer was lost
    other = CatalogUpdate(CatalogValues("Other"), ("display_name",), made.values.etag)
    with pytest.raises(EtagMismatch):
        await registry.update("staging", other)
    with pytest.raises(CatalogNotFound):
        await registry.update("nowhere", CatalogUpdate(VALUES, ("labels",)))
    for paths in ((), ("catalog_id",), ("labels", "state")):
        with pytest.raises(FieldMaskInvalid):
            await registry.update("staging", CatalogUpdate(VALUES, paths))


async def test_an_update_that_changes_nothing_keeps_the_revision(registry: Registry) -> None:
    await registry.create("staging", VALUES)
    before = await registry.record.catalog_list("")
    await registry.update("staging", CatalogUpdate(VALUES, ("labels", "quota_share")))
    assert before is not None
    assert await registry.record.catalog_list(before.revision) is None


async def test_a_declared_catalog_is_there_and_can_be_changed(registry: Registry) -> None:
    assert (await registry.get("default")).values == CatalogValues()
    await registry.update("default", CatalogUpdate(VALUES, ("quota_share",)))
    assert (await registry.get("default")).values.quota_share == 0.5


async def test_pages_hold_declared_and_created_catalogs_by_id(registry: Registry) -> None:
    for name in ("b", "a", "z"):
        await registry.create(name, VALUES)
    page, token = await registry.page(3, "")
    assert [each.catalog_id for each in page] == ["a", "b", "default"]
    page, token = await registry.page(3, token)
    assert ([each.catalog_id for each in page], token) == (["z"], "")
    with pytest.raises(PageTokenInvalid):
        await registry.page(3, "rubbish")


async def test_writers_create_side_by_side_up_to_the_limit(registry: Registry) -> None:
    outcomes = await asyncio.gather(
        *(registry.create(f"c{number}", VALUES) for number in range(8)), return_exceptions=True
    )
    assert sum(isinstance(each, CatalogsFull) for each in outcomes) == 4
    assert len((await registry.page(100, ""))[0]) == 5


async def test_a_deleted_catalog_can_be_restored_until_its_term_ends(
    registry: Registry, record: Record, clock: Clock
) -> None:
    made = await registry.create("staging", VALUES)
    deleted = await registry.delete("staging", 2.0, made.values.etag)
    assert deleted.state is CatalogState.DELETED
    assert deleted.purge_micros - deleted.delete_micros == 2 * DAY
    assert await registry.delete("staging", 0.0, "") == deleted
    with pytest.raises(CatalogExists):
        await registry.create("staging", VALUES)
    assert not await record.removals_due()
    restored = await registry.undelete("staging")
    assert (restored.state, restored.uid, restored.values) == (ACTIVE, made.uid, VALUES)
    assert await registry.undelete("staging") == restored

    await registry.delete("staging", 2.0, "")
    clock.now += 2 * DAY
    assert await record.removals_due()
    (removing,) = await record.begin_removals(("default",))
    assert removing.pending == REMOVERS
    with pytest.raises(CatalogRemoving):
        await registry.undelete("staging")


async def test_the_id_is_free_once_every_service_has_confirmed(
    registry: Registry, record: Record, clock: Clock
) -> None:
    made = await registry.create("staging", VALUES)
    await registry.delete("staging", 0.0, "")
    clock.now += 10**6
    await record.begin_removals(())
    await registry.confirm("staging", "another", "ranker")
    for service in REMOVERS[:-1]:
        await registry.confirm("staging", made.uid, service)
    assert (await registry.get("staging")).pending == REMOVERS[-1:]
    with pytest.raises(RequestInvalid):
        await registry.confirm("staging", made.uid, "somebody")
    await registry.confirm("staging", made.uid, REMOVERS[-1])
    gone = await registry.get("staging")
    assert (gone.state, gone.values, gone.pending) == (CatalogState.REMOVED, CatalogValues(), ())
    assert [each.catalog_id for each in (await registry.page(100, ""))[0]] == ["default"]
    for lost in (registry.delete("staging", 0.0, ""), registry.undelete("staging")):
        with pytest.raises(CatalogNotFound):
            await lost
    again = await registry.create("staging", CatalogValues("New"))
    assert again.uid != made.uid
    await registry.confirm("staging", made.uid, "ranker")
    assert (await registry.get("staging")).state is ACTIVE


async def test_declared_catalogs_are_neither_deleted_nor_removed(
    registry: Registry, record: Record, clock: Clock
) -> None:
    with pytest.raises(CatalogDeclared):
        await registry.delete("default", 0.0, "")
    await registry.create("later", VALUES)
    await registry.delete("later", 0.0, "")
    clock.now += 10**6
    assert await record.begin_removals(("default", "later")) == []
    assert (await registry.get("later")).state is CatalogState.DELETED


async def test_a_catalog_that_can_not_be_read_delays_no_removal(
    registry: Registry, record: Record, clock: Clock, db: Database
) -> None:
    for name in ("damaged", "gone"):
        await registry.create(name, VALUES)
        await registry.delete(name, 0.0, "")
    clock.now += 10**6
    damage = sa.update(catalogs).where(catalogs.c.catalog_id == "damaged").values(labels="[")
    await db.write(lambda connection: connection.execute(damage))
    assert [each.catalog_id for each in await record.begin_removals(())] == ["gone"]


@pytest.mark.parametrize("days", [-1.0, 366.0, float("nan")])
async def test_a_term_is_0_to_365_days(registry: Registry, days: float) -> None:
    with pytest.raises(RequestInvalid, match="undo_days"):
        await registry.delete("staging", days, "")


async def test_all_rows_of_a_catalog_are_removed_and_no_others(record: Record) -> None:
    for catalog in ("gone", "kept"):
        await record.write(catalog, [write(f"p{n}", f"{catalog} {n}".encode()) for n in range(5)])
    while await record.remove_rows("gone", 2):
        pass
    await record.erase_removed()
    assert await record.product_count("gone", 10) == 0
    assert await record.product_count("kept", 10) == 5
    assert await record.remove_rows("gone", 2) == 0


async def test_the_ids_of_the_last_removed_catalogs_are_kept(
    registry: Registry, record: Record, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retriever.record.registry.MOST_REMOVED", 1)
    for name in ("first", "second"):
        made = await registry.create(name, VALUES)
        await registry.delete(name, 0.0, "")
        clock.now += 10**6
        await record.begin_removals(())
        for service in REMOVERS:
            await registry.confirm(name, made.uid, service)
    assert (await registry.get("second")).state is CatalogState.REMOVED
    with pytest.raises(CatalogNotFound):
        await registry.get("first")


async def test_an_alias_is_listed_switched_and_deleted(registry: Registry) -> None:
    await registry.create("staging", VALUES)
    first = await registry.set_alias("shop", "default", "")
    before = await registry.record.catalog_list("")
    assert before is not None
    assert before.aliases == (("shop", "default"),)
    assert await registry.set_alias("shop", "default", "") == first

    second = await registry.set_alias("shop", "staging", first.etag)
    assert (second.catalog_id, second.create_micros) == ("staging", first.create_micros)
    assert second.etag != first.etag
    after = await registry.record.catalog_list(before.revision)
    assert after is not None
    assert after.aliases == (("shop", "staging"),)
    assert await registry.record.catalog_aliases() == [second]

    assert await registry.record.delete_alias("shop", second.etag)
    assert not await registry.record.delete_alias("shop", "")
    assert await registry.record.catalog_aliases() == []


async def test_two_operators_do_not_overwrite_each_other_s_alias(registry: Registry) -> None:
    for name in ("a", "b"):
        await registry.create(name, VALUES)
    made = await registry.set_alias("shop", "default", "")
    outcomes = await asyncio.gather(
        registry.set_alias("shop", "a", made.etag),
        registry.set_alias("shop", "b", made.etag),
        return_exceptions=True,
    )
    assert sum(isinstance(each, EtagMismatch) for each in outcomes) == 1
    # The first operator's alias, back at its first catalog, is another version.
    await registry.set_alias("shop", "default", "")
    with pytest.raises(EtagMismatch):
        await registry.set_alias("shop", "a", made.etag)
    with pytest.raises(EtagMismatch):
        await registry.record.delete_alias("shop", made.etag)
    with pytest.raises(EtagMismatch):
        await registry.set_alias("new", "a", made.etag)


async def test_a_catalog_s_id_is_no_alias_and_an_alias_no_catalog_s_id(registry: Registry) -> None:
    await registry.create("staging", VALUES)
    for name in ("default", "staging"):
        with pytest.raises(CatalogExists):
            await registry.set_alias(name, "default", "")
    await registry.delete("staging", 1, "")
    with pytest.raises(CatalogExists):
        await registry.set_alias("staging", "default", "")
    await registry.set_alias("shop", "default", "")
    with pytest.raises(CatalogIsAlias):
        await registry.create("shop", VALUES)
    with pytest.raises(CatalogIsAlias):
        await registry.delete("shop", 1, "")
    with pytest.raises(CatalogIsAlias):
        await registry.set_alias("other", "shop", "")
    for name in ("", "A", "a b", "../a"):
        with pytest.raises(RequestInvalid, match="alias_id"):
            await registry.set_alias(name, "default", "")


async def test_an_alias_stands_only_for_a_catalog_in_use(registry: Registry) -> None:
    with pytest.raises(CatalogNotFound):
        await registry.set_alias("shop", "nowhere", "")
    await registry.create("staging", VALUES)
    await registry.set_alias("shop", "staging", "")
    with pytest.raises(CatalogHasAlias, match="shop"):
        await registry.delete("staging", 0, "")
    await registry.set_alias("shop", "default", "")
    await registry.delete("staging", 0, "")
    with pytest.raises(CatalogDeleted):
        await registry.set_alias("shop", "staging", "")


async def test_the_number_of_aliases_is_limited(registry: Registry) -> None:
    await registry.create("staging", VALUES)
    for number in range(MOST_ALIASES):
        await registry.set_alias(f"shop-{number}", "default", "")
    await registry.set_alias("shop-0", "staging", "")
    with pytest.raises(CatalogAliasesFull):
        await registry.set_alias("other", "staging", "")

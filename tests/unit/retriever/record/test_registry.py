"""The registry of catalogs in the record, on each store."""

import asyncio

import pytest

from retriever.catalog.registry import Registry
from retriever.domain.errors import CatalogExists, CatalogsFull, EtagMismatch, FieldMaskInvalid
from retriever.domain.registry import CatalogUpdate, CatalogValues
from retriever.record import Record
from servicekit.catalogs import CatalogNotFound
from servicekit.requests import PageTokenInvalid, RequestInvalid

VALUES = CatalogValues("Staging", "de", (("team", "shop"),), 0.5)


@pytest.fixture
def registry(record: Record) -> Registry:
    return Registry(record, ("default",), 5)


async def test_a_created_catalog_is_listed_with_its_values(registry: Registry) -> None:
    made = await registry.create("staging", VALUES)
    assert made.values == VALUES
    assert await registry.get("staging") == made
    found = await registry.record.catalog_list("")
    assert found is not None
    assert [each.catalog_id for each in found.catalogs] == ["staging"]
    assert (found.catalogs[0].language_code, found.catalogs[0].quota_share) == ("de", 0.5)
    assert await registry.record.catalog_list(found.revision) is None


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
    with pytest.raises(EtagMismatch):
        await registry.update("staging", update)
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

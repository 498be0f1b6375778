"""Restores of a real record, from real archives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from retriever.backup import backups, restores
from retriever.catalog import products, takedowns
from retriever.catalog.scene_documents import SceneDocuments
from retriever.domain.collection_names import shaped
from retriever.domain.errors import CatalogNotEmpty, ProductInvalid
from retriever.domain.generation import (
    MOST_LIVE,
    Generation,
    GenerationState,
    IndexKind,
)
from retriever.domain.product import Amount, MarketDraft, Offer, ProductWrite
from retriever.domain.scenes import ScenePublication, SceneText
from retriever.domain.synonyms import rules_of
from retriever.domain.vectors import VectorWrite
from retriever.record import tables
from retriever.record.products import content_etag
from servicekit.artefacts.backup_errors import BackupDamaged, BackupNotFound
from servicekit.clock import now_micros
from servicekit.jobs.queue import Jobs
from sightline_rules.filters import Availability, Money
from sightline_rules.ids import SYNONYMS_DOCUMENT
from sightline_rules.markets import MarketValues
from sightline_rules.photos import image_id
from sightline_rules.synonyms import SynonymRule
from tests.fakes.index import vector_of
from tests.fakes.photos import photo
from tests.unit.retriever.backup.conftest import BIG, PROVED, Place
from tests.unit.retriever.conftest import Clock, generation, write


async def test_a_restored_catalog_is_what_it_was(
    here: Place, place: Callable[[str], Place], clock: Clock
) -> None:
    before = await here.products()
    rows = await here.rows("visual-1")
    backup_id = await here.back_up()
    clock.now += 10**9
    there = place("there")
    result = await there.restore(backup_id)
    assert await there.products() == before
    assert len({product.create_time for product in before} | {0}) == 2
    assert all(image.perceptual_hash for product in before for image in product.images)
    assert there.photos.stored == here.photos.stored
    (made,) = await there.record.generations("default")
    assert (made.name, made.space_version, made.active) == ("visual-1", "v1-fake", True)
    assert made.collection != generation().collection, "a fresh collection"
    assert made.state is GenerationState.READY
    assert await there.rows("visual-1") == rows
    assert len(rows) == 5
    counts = await there.record.counts("default", made)
    assert (counts.pending, counts.failed) == (0, 1)
    assert result == {
        "product_count": 3,
        "image_count": 4,
        "lost_image_count": 0,
        "vector_count": 3,
        "deleted_count": 0,
        "left_out_generation_count": 0,
    }


async def test_markets_are_restored_and_count_among_those_of_the_catalog(
    here: Place, place: Callable[[str], Place]
) -> None:
    german = MarketDraft(
        "de", Amount("EUR", 9, 500_000_000), Availability.PREORDER, title="Barolo „Riserva“"
    )
    others = [MarketDraft(f"m{number}") for number in range(63)]
    draft = BIG._replace(product_id="sold", markets=(*others, german))
    await products.upsert("default", [draft], here.record, here.photos)
    before, there = await here.products(), place("there")
    await there.restore(await here.back_up())
    assert await there.products() == before
    sold = next(each for each in before if each.content.product_id == "sold")
    assert sold.content.markets[0] == MarketValues(
        *("de", Money("EUR", 9_500_000), Availability.PREORDER, "Barolo „Riserva“")
    )
    more = BIG._replace(product_id="more", markets=(MarketDraft("one-more"),))
    (outcome,), _ = await products.upsert("default", [more], there.record, there.photos)
    assert isinstance(outcome, ProductInvalid)


@pytest.mark.full
async def test_a_space_takes_no_more_generations_than_it_may_have(
    rolled_out: Place, place: Callable[[str], Place]
) -> None:
    backup_id, there = await rolled_out.back_up(), place("there")
    await there.record.create_generation(generation(name="mine", space_version="mine"))
    for number in range(MOST_LIVE - 2):
        held = generation(name=f"{number}", space_version=f"{number}")
        await there.record.register(replace(held, collection=shaped(f"{number}")))
    result = await there.restore(backup_id)
    assert result["left_out_generation_count"] == 1
    assert len(await registry(there)) == MOST_LIVE
    assert "graph" in await registry(there), "the one that was active"


async def test_a_model_s_products_are_published_anew_after_a_restore(
    here: Place, place: Callable[[str], Place]
) -> None:
    made = replace(generation(name="lfm", space="collaborative"), of_products=True)
    await here.record.register(replace(made, collection=shaped("lfm")))
    await here.record.activate("default", "lfm", force=True)
    there = place("there")
    await there.restore(await here.back_up())
    assert list(await registry(there)) == ["visual-1"]


@pytest.mark.full
async def test_texts_are_embedded_anew_after_a_restore(
    here: Place, place: Callable[[str], Place]
) -> None:
    made = replace(generation(name="texts", space="text"), of_products=True)
    made = await here.record.create_generation(replace(made, collection=shaped("texts")))
    embedded = VectorWrite("", vector_of("text"), "p/ü 0")
    assert (await here.record.save_vectors(made, [embedded]))[0] == [None]
    there = place("there")
    await there.restore(await here.back_up())
    held = (await there.record.find_generation("default", "texts"), await there.rows("texts"))
    assert (held[0].active, held[1]) == (True, [])
    waiting = {item.item_id for item in await there.record.due(held[0], 10)}
    assert waiting == {product.content.product_id for product in await there.products()}


async def registry(place: Place) -> dict[str, Generation]:
    """Return the live generations by name, without the engine's own data."""
    return {
        g.name: replace(g, collection="", applied_seq=0, applied_time=0, check_wanted=False)
        for g in await place.record.generations("default")
    }


async def test_generations_are_what_they_were(
    rolled_out: Place, place: Callable[[str], Place], clock: Clock
) -> None:
    before = await registry(rolled_out)
    backup_id = await rolled_out.back_up()
    clock.now += 10**9
    there = place("there")
    await there.restore(backup_id)
    assert before["graph"].verification == PROVED
    before["graph"] = replace(before["graph"], verification=None, forced=False)
    assert await registry(there) == before, "what was proven elsewhere is not proven here"
    graph = before["graph"]
    assert (graph.active, graph.predecessor) == (True, "visual-1")
    collections = [g.collection for g in await there.record.generations("default")]
    assert len(set(collections)) == 2
    assert all(name == shaped(name) for name in collections)
    assert (await there.record.rollback("default", "visual")).name == "visual-1"


async def test_generations_come_beside_those_that_are_there(
    rolled_out: Place, place: Callable[[str], Place]
) -> None:
    backup_id, there = await rolled_out.back_up(), place("there")
    await there.record.create_generation(generation(name="mine"))
    await there.record.register(generation(name="graph", collection=shaped("gone")))
    await there.record.retire("default", "graph")
    await there.restore(backup_id)
    found = await registry(there)
    mine = found.pop("mine")
    ((name, graph),) = found.items()
    assert (mine.active, graph.active) == (True, False)
    assert name.startswith("graph-")
    assert (graph.parameters.kind, graph.state) == (IndexKind.HNSW, GenerationState.READY)
    assert graph.predecessor == "mine", "what is like its predecessor"


async def test_what_a_backfill_waited_for_waits_as_after_a_write(
    here: Place, place: Callable[[str], Place]
) -> None:
    new = generation(name="two", space_version="v2", collection=shaped("two"))
    made = await here.record.register(new)
    await here.record.enqueue_missing(made, "", 100)
    there = place("there")
    await there.restore(await here.back_up())
    (two,) = [g for g in await there.record.generations("default") if g.name == "two"]
    assert (two.state, two.active) == (GenerationState.BUILDING, False)
    assert await there.record.take_back(two, 100) == 0, "no backfill is on it"
    assert (await there.record.counts("default", two)).pending == 4


@pytest.mark.full
async def test_tokens_of_before_the_backup_stay_good(
    here: Place, place: Callable[[str], Place]
) -> None:
    there = place("there")
    for _ in range(50):
        await here.record.commit_number("default")
    newest = await here.record.commit_number("default")
    await there.restore(await here.back_up())
    assert await there.record.commit_number("default") > newest


async def test_into_another_catalog(here: Place) -> None:
    backup_id = await here.back_up()
    with pytest.raises(BackupNotFound):
        await here.ask(backup_id, "other")
    await here.restore(backup_id, "other", source="default")
    assert await here.products("other") == await here.products()
    rows, others = await expected(here, "default"), await expected(here, "other")
    assert len(rows) == len(others) == 5
    assert not rows.keys() & others.keys()
    collections = {
        g.collection for name in ("default", "other") for g in await here.record.generations(name)
    }
    assert len(collections) == 2


async def expected(place: Place, catalog: str) -> dict[str, Any]:
    (made,) = await place.record.generations(catalog)
    return await place.record.expected(made, "0", "g")


async def test_only_into_an_empty_catalog_unless_forced(here: Place) -> None:
    backup_id, before = await here.back_up(), await here.products()
    await here.stock(2, first=7)
    await here.record.offer("default", [Offer("p/ü 0", Money("USD", 1), None)])
    with pytest.raises(CatalogNotEmpty):
        await here.ask(backup_id)
    result = await here.restore(backup_id, force=True)
    assert result["deleted_count"] == 2
    assert await here.products() == before
    (made,) = await here.record.generations("default")
    assert made.collection == generation().collection, "the index follows by the outbox"
    assert {c.product_id for c in await here.record.changes(made, 1_000)} >= {
        "p/ü 0",
        "p/ü 7",
        "p/ü 8",
    }


async def test_what_is_written_since_the_request_stays(here: Place) -> None:
    backup_id = await here.back_up()
    await here.ask(backup_id, force=True)
    newer = BIG._replace(product_id="p/ü 0", title="Newer")
    fresh = BIG._replace(product_id="fresh")
    await products.upsert("default", [newer, fresh], here.record, here.photos)
    await restores.restore(await here.claimed(backups.RESTORE), here.deps, "s")
    titles = {p.content.product_id: p.content.title for p in await here.products()}
    assert titles == {"fresh": BIG.title, "p/ü 0": "Newer", "p/ü 1": BIG.title, "p/ü 2": BIG.title}


async def test_what_is_offered_since_the_request_stays(here: Place) -> None:
    backup_id = await here.back_up()
    await here.ask(backup_id, force=True)
    offer = Offer("p/ü 2", Money("EUR", 42), Availability.OUT_OF_STOCK)
    await here.record.offer("default", [offer])
    await restores.restore(await here.claimed(backups.RESTORE), here.deps, "s")
    held = {product.content.product_id: product.content for product in await here.products()}
    assert held.keys() == {"p/ü 0", "p/ü 1", "p/ü 2"}
    assert (held["p/ü 2"].price, held["p/ü 2"].availability) == (offer.price, offer.availability)


@pytest.mark.parametrize(
    "newer", [write("p/ü 0", parent_id="top"), write("new", parent_id="p/ü 1")]
)
async def test_no_variant_of_a_variant_is_restored(here: Place, newer: ProductWrite) -> None:
    backup_id = await here.back_up()  # "p/ü 1" is a variant of "p/ü 0"
    await here.record.delete("default", ["p/ü 0", "p/ü 1", "p/ü 2"])
    await here.ask(backup_id)
    await here.record.write("default", [newer])
    await restores.restore(await here.claimed(backups.RESTORE), here.deps, "s")
    held = {product.content.product_id: product for product in await here.products()}
    assert held[newer.content.product_id].content == newer.content
    orphan = held["p/ü 1"]
    assert orphan.content.parent_id == ""
    assert orphan.etag == content_etag(orphan.content)


async def test_an_attempt_that_died_is_done_again(
    here: Place, place: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    backup_id, there = await here.back_up(), place("there")
    await there.ask(backup_id)
    job = await there.claimed(backups.RESTORE)

    async def died(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(there.record, "restore_pending", died)
        with pytest.raises(RuntimeError):
            await restores.restore(job, there.deps, "s")
    assert len(await there.products()) == 3
    there.jobs = Jobs(there.db, tables.jobs, clock=lambda: now_micros() + 60_000_000)
    again = await there.claimed(backups.RESTORE)
    assert (again.id, again.attempts) == (job.id, 2)
    await restores.restore(again, there.deps, "s")
    assert await there.products() == await here.products()
    assert len(await there.record.generations("default")) == 1


async def test_the_same_request_is_one_restore(here: Place, place: Callable[[str], Place]) -> None:
    backup_id, there = await here.back_up(), place("there")
    first = await there.ask(backup_id, request_id="r")
    await restores.restore(await there.claimed(backups.RESTORE), there.deps, "s")
    assert (await there.ask(backup_id, request_id="r")).id == first.id
    with pytest.raises(CatalogNotEmpty):
        await there.ask(backup_id, request_id="another")


@pytest.mark.full
async def test_a_photo_that_was_taken_down_is_left_out(
    here: Place, place: Callable[[str], Place]
) -> None:
    shared, before = image_id(photo(seed=0)), await here.products()
    backup_id, there = await here.back_up(), place("there")
    for restored in (here, there):
        await takedowns.take_down("default", shared, "", restored.record, restored.photos)
        await restored.restore(backup_id, force=True)
        after = await restored.products()
        wanted = [[one for one in each.content.image_ids if one != shared] for each in before]
        assert [list(each.content.image_ids) for each in after] == wanted
        assert all(each.etag == content_etag(each.content) for each in after)
        assert ("default", shared) not in restored.photos.stored
        assert await restored.record.image("default", shared) is None


SHOES = (SynonymRule(("sneaker", "trainer", "running shoe")),)


async def test_synonyms_are_restored(here: Place, place: Callable[[str], Place]) -> None:
    stored = await here.record.set_synonyms("default", SHOES, "")
    there = place("there")
    await there.restore(await here.back_up())
    assert await there.record.synonyms("default") == stored


async def test_scenes_are_restored_unless_the_catalog_has_them(
    here: Place, place: Callable[[str], Place]
) -> None:
    documents, there = SceneDocuments(here.record, 20), place("there")
    for toml in ("views = 1\n", "views = 2\n"):
        for scene in ("home", "sale"):
            await documents.write("default", SceneText.of(scene, toml, "ann", "try"), "")
            await documents.publish("default", ScenePublication(scene, "bob", in_advance=True))
    await documents.write("default", SceneText.of("home", "views = 3\n", "ann", ""), "")
    own = await there.record.write_draft(
        "default", SceneText.of("sale", "views = 4\n", "ben", ""), ""
    )
    await there.restore(await here.back_up(), force=True)
    stored = await here.record.scene("default", "home")
    assert (len(stored.versions), await there.record.scene("default", "home")) == (2, stored)
    assert await there.record.scene("default", "sale") == own


async def test_drafts_and_versions_of_synonyms_are_restored(
    here: Place, place: Callable[[str], Place]
) -> None:
    documents, there = SceneDocuments(here.record, 20), place("there")
    for text in ("sneaker, trainer\n", "# all\nsneaker, trainer, running shoe\n"):
        draft = SceneText.of(SYNONYMS_DOCUMENT, text, "ann", "")
        await documents.write("default", draft, "")
        await documents.publish("default", ScenePublication(SYNONYMS_DOCUMENT, "bob"))
    emptied = SceneText.of(SYNONYMS_DOCUMENT, "", "ann", "")
    stored = await documents.write("default", emptied, "")
    backup_id = await here.back_up()
    await there.restore(backup_id)
    assert await there.record.scene("default", SYNONYMS_DOCUMENT) == stored
    assert await there.record.synonyms("default") == await here.record.synonyms("default")
    await here.record.set_synonyms("default", (), "")
    await here.restore(backup_id, force=True)
    found = await here.record.scene("default", SYNONYMS_DOCUMENT)
    assert [each.number for each in found.versions] == [4, 3, 2, 1]
    assert [rules_of(each.toml) for each in found.versions[:2]] == [SHOES, ()]
    assert (await here.record.synonyms("default")).rules == SHOES


@pytest.mark.parametrize("text", ["alone\n", "sneaker, trainer"])
async def test_a_document_of_synonyms_that_the_record_would_reject_is_damaged(
    here: Place, place: Callable[[str], Place], text: str
) -> None:
    wrong = SceneText.of(SYNONYMS_DOCUMENT, text, "ann", "")
    if "alone" not in text:
        wrong = replace(wrong, version="another")
    await here.record.write_draft("default", wrong, "")
    with pytest.raises(BackupDamaged):
        await place("there").restore(await here.back_up())


async def test_a_scene_that_the_record_would_reject_is_damaged(
    here: Place, place: Callable[[str], Place]
) -> None:
    wrong = replace(SceneText.of("home", "views = 1\n", "ann", ""), version="another")
    await here.record.write_draft("default", wrong, "")
    with pytest.raises(BackupDamaged):
        await place("there").restore(await here.back_up())


async def test_synonyms_that_were_set_since_the_restore_was_requested_are_kept(
    here: Place,
) -> None:
    await here.record.set_synonyms("default", SHOES, "")
    backup_id = await here.back_up()
    await here.record.set_synonyms("default", (), "")
    await here.ask(backup_id, force=True)
    newer = await here.record.set_synonyms("default", (SynonymRule(("sofa", "couch")),), "")
    job = await here.claimed(backups.RESTORE)
    await restores.restore(job, here.deps, "s")
    assert await here.record.synonyms("default") == newer


async def test_synonyms_that_the_record_would_reject_are_damaged(
    here: Place, place: Callable[[str], Place]
) -> None:
    await here.record.set_synonyms("default", (SynonymRule(("alone",)),), "")
    with pytest.raises(BackupDamaged):
        await place("there").restore(await here.back_up())


async def decided(where: Place, catalog: str = "default") -> list[tuple[str, str, str, int]]:
    found = await where.record.distinct_pairs(catalog)
    return sorted(
        (each.product_id, each.other_product_id, each.author, each.create_micros) for each in found
    )


async def test_decisions_that_products_are_different_are_restored(
    here: Place, place: Callable[[str], Place]
) -> None:
    await here.record.mark_distinct("default", [f"p/ü {n}" for n in range(3)], "ann")
    before, backup_id, there = await decided(here), await here.back_up(), place("there")
    assert len(before) == 3
    await there.restore(backup_id)
    assert await decided(there) == before
    await here.record.unmark_distinct("default", [f"p/ü {n}" for n in range(3)])
    await here.record.mark_distinct("default", ["p/ü 0", "p/ü 1"], "ben")
    own = await decided(here)
    await here.restore(backup_id, force=True)
    assert [*own, *before[1:]] == await decided(here), "what is decided since is kept"


async def test_a_decision_without_its_product_is_left_out(
    here: Place, place: Callable[[str], Place]
) -> None:
    await here.record.mark_distinct("default", ["p/ü 0", "p/ü 1"], "ann")
    await here.record.mark_distinct("default", ["p/ü 1", "p/ü 2"], "ann")
    rows = [
        {
            **{"product_id": one, "other_product_id": other, "author": "", "create_time": 1},
            **{"image_id": "", "other_image_id": ""},
        }
        for one, other in (("gone", "p/ü 2"), ("p/ü 0", "p/ü 2"))
    ]
    await here.record.restore_pairs("default", rows)
    assert [each[:2] for each in await decided(here)] == [
        ("p/ü 0", "p/ü 1"), ("p/ü 1", "p/ü 2")
    ], "one product is unknown, and the others have photos since"  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"product_id": "p/ü 1", "other_product_id": "p/ü 0"},
        {"other_product_id": "p/ü 0"},
        {"create_time": -1},
    ],
)
async def test_a_decision_that_the_record_would_reject_is_damaged(
    here: Place, place: Callable[[str], Place], wrong: dict[str, Any]
) -> None:
    await here.record.mark_distinct("default", ["p/ü 0", "p/ü 1"], "ann")
    table = tables.distinct_pairs
    await here.db.write(lambda connection: connection.execute(table.update().values(**wrong)))
    backup_id = await here.back_up()
    with pytest.raises(BackupDamaged, match="invalid pair"):
        await place("there").restore(backup_id)


async def test_a_backup_has_no_more_decisions_than_a_catalog(
    here: Place, place: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    await here.record.mark_distinct("default", [f"p/ü {n}" for n in range(3)], "ann")
    backup_id = await here.back_up()
    monkeypatch.setattr(restores, "MOST_PAIRS", 2)
    with pytest.raises(BackupDamaged, match="too many"):
        await place("there").restore(backup_id)

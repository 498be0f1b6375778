"""Every pair of writers of a resource, interleaved on PostgreSQL, is as if one came after the
other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa

from retriever.domain.archive import Row
from retriever.domain.category_mismatch import CategoryGuess, Classification
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.generation import GenerationState, Verification
from retriever.domain.imports import ImportMode, ImportRow
from retriever.domain.product import Availability, CatalogPart, Offer, ProductChange
from retriever.domain.registry import CatalogUpdate, CatalogValues
from retriever.domain.scenes import ScenePublication, SceneText
from retriever.indexing import generations
from retriever.indexing.generations import Demand
from retriever.record import Record, retention, store, tables
from retriever.record.tables import jobs
from servicekit.jobs.queue import Jobs
from servicekit.sql import database
from servicekit.sql.database import Database
from sightline_rules.filters import All, Money
from sightline_rules.ids import SYNONYMS_DOCUMENT
from sightline_rules.photos import image_id
from sightline_rules.synonyms import SynonymRule
from tests.interleaved import check, each_of
from tests.stores import NewStore, only_postgresql
from tests.unit.retriever.conftest import MIGRATIONS, Clock, generation, vectors, write
from tests.waiting import SECONDS

C = "default"
PHOTO, OTHER = b"photo a", b"photo b"
SEEN = {image_id(PHOTO): Classification((CategoryGuess(("Beer",), 0.99),), 0.0)}
KNOWN = frozenset({("Wine",), ("Beer",)})
FOUND = Verification(("bad",), 1, 0.5, 0.5, None, 10, 1, 1, 0, 9)


@dataclass(frozen=True)
class World:
    """One process."""

    db: Database
    record: Record
    jobs: Jobs


Writers = Mapping[str, Callable[[World], Awaitable[object]]]


async def registry(here: World) -> Writers:
    record = here.record
    await record.create_catalog("staging", CatalogValues("A"), 9)
    await record.create_catalog("gone", CatalogValues("B"), 9)
    deleted = await record.delete_catalog("gone", 0, "")
    await here.jobs.create("copy", "staging", {}, beside=record.reserving_copy("copy", "u", 9))
    await record.create_catalog("going", CatalogValues("C"), 9)
    await record.delete_catalog("going", 0, "")
    going = await record.begin_removals(("default", "staging", "gone", "copy"))
    assert [each.catalog_id for each in going] == ["going"]
    await record.set_alias(("shop", "staging"), "", ())
    update = CatalogUpdate(CatalogValues("New"), ("display_name",), deleted.values.etag)
    named = CatalogUpdate(CatalogValues("Other"), ("display_name",))
    return {
        "create_catalog": lambda w: w.record.create_catalog("new", CatalogValues("N"), 5),
        "create_catalog gone": lambda w: w.record.create_catalog("gone", CatalogValues("N"), 9),
        "update_catalog": lambda w: w.record.update_catalog("staging", named, ()),
        "update_catalog etag": lambda w: w.record.update_catalog("gone", update, ()),
        "delete_catalog": lambda w: w.record.delete_catalog("new", 5, ""),
        "delete_catalog copy": lambda w: w.record.delete_catalog("copy", 0, ""),
        "undelete_catalog": lambda w: w.record.undelete_catalog("gone"),
        "reserving_copy": lambda w: _kind(
            w.jobs.create("copy", "gone", {}, beside=w.record.reserving_copy("new", "n", 9))
        ),
        "complete_copy": lambda w: w.record.complete_copy("copy", "u"),
        "abandon_copy": lambda w: w.record.abandon_copy("copy", "u", 5),
        "set_alias": lambda w: w.record.set_alias(("shop", "gone"), "", ()),
        "set_alias new": lambda w: w.record.set_alias(("new", "staging"), "", ()),
        "delete_alias": lambda w: w.record.delete_alias("shop", ""),
        "begin_removals": lambda w: w.record.begin_removals((C,)),
        "confirm_removal": lambda w: w.record.confirm_removal("going", going[0].uid, "ranker"),
        "confirm_removal 2": lambda w: w.record.confirm_removal("going", going[0].uid, "embedder"),
        "remove_rows": lambda w: w.record.remove_rows("going", 10),
    }


async def products(here: World) -> Writers:
    record = here.record
    made = await record.create_generation(generation())
    wine = write("a", PHOTO, category_path=("Wine",))
    await record.write(C, [wine, write("c", parent_id="b")])
    await record.note_unnamed(C, [image_id(PHOTO)])
    later = replace(wine.content, title="Another")
    changed = ProductChange(later, frozenset({"title"}), {})
    offer = Offer("a", Money("EUR", 7), Availability.IN_STOCK)
    row: Row = {"image_id": image_id(OTHER), "media_type": "image/jpeg", "size": 1, "width": 1}
    row |= {"height": 1, "create_time": 1, "perceptual_hash": 0, "label": None}
    vector: Row = {"image_id": image_id(PHOTO), "space": made.space, "dimension": made.dimension}
    vector |= {"space_version": made.space_version, "data": vectors(PHOTO)[0].vector.tobytes()}
    waiting: Row = {"space": made.space, "space_version": made.space_version, "attempts": 3}
    waiting |= {"image_id": image_id(PHOTO), "next_attempt": 1, "reason": "x", "failed": True}
    return {
        "write": lambda w: w.record.write(C, [write("a", PHOTO, OTHER), write("b", parent_id="a")]),
        "change": lambda w: w.record.change(C, [changed]),
        "offer": lambda w: w.record.offer(C, [offer]),
        "delete": lambda w: w.record.delete(C, ["a"]),
        "sweep": lambda w: w.record.sweep(C, CatalogPart(All(), 2, None, 9)),
        "take_down": lambda w: w.record.take_down(C, image_id(PHOTO), "illegal"),
        "lift_takedown": lambda w: w.record.lift_takedown(C, image_id(PHOTO)),
        "note_unnamed": lambda w: w.record.note_unnamed(C, [image_id(PHOTO)]),
        "forget_named": lambda w: w.record.forget_named(C),
        "drop_unnamed": lambda w: w.record.drop_unnamed(C, [image_id(PHOTO)]),
        "commit_number": lambda w: w.record.commit_number(C),
        "reach": lambda w: w.record.reach(C, 50),
        "judge": lambda w: w.record.judge(made, SEEN, KNOWN),
        "save_label_texts": lambda w: w.record.save_label_texts(C, {image_id(PHOTO): "x"}),
        "save_vectors": lambda w: w.record.save_vectors(made, vectors(PHOTO)),
        "postpone": lambda w: w.record.postpone(made, [image_id(PHOTO)], 5, "x"),
        "give_up": lambda w: w.record.give_up(made, [image_id(PHOTO)], "x"),
        "forget": lambda w: w.record.forget(made, [image_id(PHOTO)]),
        "restore_images": lambda w: w.record.restore_images(C, [row]),
        "restore_vectors": lambda w: w.record.restore_vectors(C, [vector]),
        "restore_pending": lambda w: w.record.restore_pending(C, [waiting]),
    }


async def texts(here: World) -> Writers:
    record = here.record
    space = {"space": "text", "name": "text-1", "of_products": True}
    made = await record.create_generation(generation(**space))
    await record.write(C, [write("a", title="A wine"), write("b", title="")])
    return {
        "write": lambda w: w.record.write(C, [write("b", title="New")]),
        "delete": lambda w: w.record.delete(C, ["b"]),
        "drop_blank": lambda w: w.record.drop_blank(made, ["b"]),
    }


async def deletions(here: World) -> Writers:
    record = here.record
    await record.write(C, [write(name) for name in "abc"])
    await record.delete(C, ["a", "b"])
    return {
        "forget_applied": lambda w: w.record.forget_applied(C, 9),
        "forget_deleted": lambda w: w.record.forget_deleted(C, 0, 2**60, 9),
        "write": lambda w: w.record.write(C, [write("a")]),
        "delete": lambda w: w.record.delete(C, ["c"]),
        "create_generation": lambda w: w.record.create_generation(generation()),
    }


async def distinct_pairs(here: World) -> Writers:
    record = here.record
    await record.write(C, [write("a", PHOTO), write("c")])
    pair: Row = {"product_id": "a", "other_product_id": "c", "image_id": image_id(PHOTO)}
    pair |= {"other_image_id": "", "author": "ben", "create_time": 1}
    return {
        "write": lambda w: w.record.write(C, [write("a", OTHER)]),
        "delete": lambda w: w.record.delete(C, ["c"]),
        "mark_distinct": lambda w: w.record.mark_distinct(C, ["a", "c"], "ann"),
        "unmark_distinct": lambda w: w.record.unmark_distinct(C, ["a", "c"]),
        "restore_pairs": lambda w: w.record.restore_pairs(C, [pair]),
    }


async def archives(here: World) -> Writers:
    record = here.record
    await record.write(C, [write("p"), write("q", parent_id="p")])
    rows = await here.db.read(lambda c: [dict(r) for r in c.execute(_PRODUCTS).mappings()])
    for row in rows:
        for name in ("catalog_id", "seq", "touched"):
            del row[name]
    before = await record.commit_number(C)
    given = [(row, ()) for row in rows]
    offer = Offer("p", Money("EUR", 7), Availability.IN_STOCK)
    return {
        "restore_products": lambda w: w.record.restore_products(C, before, given),
        "write": lambda w: w.record.write(C, [write("p", parent_id="top")]),
        "offer": lambda w: w.record.offer(C, [offer]),
        "delete": lambda w: w.record.delete(C, ["p"]),
        "sweep": lambda w: w.record.sweep(C, CatalogPart(All(), before, None, 9)),
    }


async def synonyms(here: World) -> Writers:
    a, b = (SynonymRule(("wine", "vino")),), (SynonymRule(("beer", "birra")),)
    first = await here.record.set_synonyms(C, a, "")
    row: Row = {"rules": "[]", "update_time": 5}
    drafted, other = (SceneText.of(SYNONYMS_DOCUMENT, f"gin, g{n}\n", "ann", "") for n in (1, 2))
    await here.record.write_draft(C, drafted, "")
    publication = ScenePublication(SYNONYMS_DOCUMENT, "bob")
    text: Row = {"scene": SYNONYMS_DOCUMENT, "number": 1, "toml": "", "version": "3"}
    text |= {"author": "ann", "comment": "", "create_time": 5}
    return {
        "write_draft": lambda w: w.record.write_draft(C, other, ""),
        "publish_scene": lambda w: w.record.publish_scene(C, publication, 2),
        "delete_scene": lambda w: w.record.delete_scene(
            C, SYNONYMS_DOCUMENT, draft_only=False, etag=""
        ),
        "restore_scene": lambda w: w.record.restore_scene(C, [text]),
        "set_synonyms": lambda w: w.record.set_synonyms(C, b, first.etag),
        "set_synonyms any": lambda w: w.record.set_synonyms(C, (), ""),
        "restore_synonyms": lambda w: w.record.restore_synonyms(C, 1, [row]),
    }


async def scenes(here: World) -> Writers:
    record = here.record
    home, other = (SceneText.of("home", f"views = {n}\n", "ann", "") for n in (1, 2))
    await record.write_draft(C, home, "")
    publication = ScenePublication("home", "bob", in_advance=True)
    planned = replace(publication, publish_micros=2**50)
    row: Row = {"scene": "feed", "number": 1, "toml": "views = 3\n", "version": "3"}
    row |= {"author": "ann", "comment": "", "create_time": 5}
    return {
        "write_draft": lambda w: w.record.write_draft(C, other, ""),
        "publish_scene": lambda w: w.record.publish_scene(C, publication, 2),
        "publish_scene planned": lambda w: w.record.publish_scene(C, planned, 2),
        "cancel_planned": lambda w: w.record.cancel_planned(C, "home", ""),
        "delete_scene": lambda w: w.record.delete_scene(C, "home", draft_only=True, etag=""),
        "restore_scene": lambda w: w.record.restore_scene(C, [row]),
    }


async def imports(here: World) -> Writers:
    record = here.record
    await record.write(C, [write("old")])
    await record.open_import(C, "i", ImportMode.FULL, 60)
    await record.import_rows(C, "i", [ImportRow(1, "a", write("a"))])
    rows = [ImportRow(2, "b", write("b")), ImportRow(3, "a", write("a"))]
    close = {"share": 1.0, "dry_run": False, "sample": 9}
    return {
        "open_import": lambda w: w.record.open_import(C, "j", ImportMode.FULL, 60),
        "import_rows": lambda w: w.record.import_rows(C, "i", rows),
        "close_import": lambda w: w.record.close_import(C, "i", **close),
        "drop_rows": lambda w: w.record.drop_rows(C, "i", 9),
        "forget_imports": lambda w: w.record.forget_imports(C, 2**60, 9),
        "write": lambda w: w.record.write(C, [write("old", title="New")]),
    }


async def index_generations(here: World) -> Writers:
    record, space = here.record, EmbeddingSpace("visual", "v2", 4, True, True)
    made = await record.create_generation(generation())
    await record.write(C, [write("a", PHOTO)])
    await record.give_up(made, [image_id(PHOTO)], "x")
    (change,) = await record.changes(made, 9)
    new = replace(generation(name="visual-2", active=False), state=GenerationState.BUILDING)
    new = replace(new, space_version="v2")
    second = await record.register(new)
    third = await record.register(replace(new, name="visual-3", space_version="v3"))
    await record.retire(C, "visual-3")
    await record.enqueue_missing(second, "", 9)
    made_by_name = replace(new, name="visual-4", collection="c4")
    return {
        "create_generation": lambda w: w.record.create_generation(made_by_name),
        "register": lambda w: w.record.register(made_by_name),
        "activate": lambda w: w.record.activate(C, "visual-2", force=True),
        "rollback": lambda w: w.record.rollback(C, "visual"),
        "retire": lambda w: w.record.retire(C, "visual-2"),
        "mark": lambda w: w.record.mark(second, collection="other"),
        "want_check": lambda w: w.record.want_check(second),
        "save_offers": lambda w: w.record.save_offers(C, [space]),
        "save_offers none": lambda w: w.record.save_offers(C, []),
        "save_verification": lambda w: w.record.save_verification(second, FOUND),
        "enqueue_missing": lambda w: w.record.enqueue_missing(second, "", 9),
        "retry_failed": lambda w: w.record.retry_failed(made),
        "end_backfill": lambda w: w.record.end_backfill(second),
        "take_back": lambda w: w.record.take_back(second, 9),
        "discard": lambda w: w.record.discard(third, 9),
        "advance": lambda w: w.record.advance(made, change),
        "write": lambda w: w.record.write(C, [write("b", OTHER)]),
    }


async def open_jobs(here: World) -> Writers:
    """Use cases that ask for one job of a kind."""
    await here.record.create_generation(generation())
    await here.record.register(generation(name="visual-2", active=False))

    def ask(work: Any, *given: Any) -> Callable[[World], Awaitable[object]]:
        return lambda w: _kind(work(C, "visual-2", *given, w.record, w.jobs, request_id=str(id(w))))

    return {
        "backfill": ask(generations.backfill),
        "verify": ask(generations.verify, Demand()),
        "drop": lambda w: generations.drop(C, "visual-2", w.record, w.jobs),
    }


async def _kind(made: Awaitable[Any]) -> str:
    """Return what the two requests have in common: their ids differ."""
    return str((await made).kind)


_PRODUCTS = sa.select(tables.products)
RESOURCES = (
    registry,
    products,
    texts,
    deletions,
    distinct_pairs,
    archives,
    synonyms,
    scenes,
    imports,
    index_generations,
    open_jobs,
)

LONG = (registry, products, index_generations)
"""Those with so many pairs that a release runs them: shorter tests refuse late locks."""


@pytest.fixture
def place(
    new_store: NewStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, World, World]]:
    """Return a store and two processes that use it."""
    monkeypatch.setattr(database, "WRITE_SECONDS", round(SECONDS))
    monkeypatch.setattr(retention, "MOST_DELETED", 1)
    url = new_store(MIGRATIONS, "record.db")
    dbs = [Database(url, migrations=MIGRATIONS) for _ in range(2)]
    one, other = (World(db, Record(db, clock), Jobs(db, jobs, clock=clock)) for db in dbs)
    yield url, one, other
    for db in dbs:
        db.close()


@pytest.mark.full
@only_postgresql
@each_of(RESOURCES, LONG)
async def test_writers_that_interleave_are_as_in_turn(
    resource: Callable[[World], Awaitable[Writers]], place: tuple[str, World, World]
) -> None:
    url, one, other = place
    await check(url, one, other, await resource(one))


def test_every_writer_of_the_record_is_interleaved() -> None:
    written = re.findall(r"^    (\w+) = _writes(?:_now)?\(", inspect.getsource(store.Record), re.M)
    named = {
        name
        for resource in RESOURCES
        for name in re.findall(r'^        "(\w+)[ \w]*": ', inspect.getsource(resource), re.M)
    }
    assert set(written) <= named

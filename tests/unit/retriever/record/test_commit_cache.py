"""Data of the record that searches cache: never older than the request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from retriever.domain.product import Offer, Product
from retriever.record import Record
from retriever.record.commit_cache import TurnVersion
from servicekit.sql.database import Database
from sightline_rules.filters import Availability, Money
from tests.stores import address
from tests.unit.retriever.conftest import generation, vectors, write

A, B = b"photo a", b"photo b"


@pytest.fixture
def neighbour(db: Database, record: Record) -> Iterator[Record]:
    """Yield the same record as another process sees it."""
    other = Database(address(db), migrations="retriever.record.migrations")
    yield Record(other)
    other.close()


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield seen
    event.remove(db.engine, "before_cursor_execute", note)


async def one(record: Record, product_id: str) -> Product:
    return (await record.get("default", [product_id]))[product_id]


async def test_a_product_that_another_process_wrote_is_read_anew(
    record: Record, neighbour: Record
) -> None:
    await record.write("default", [write("a"), write("b")])
    held = await record.get("default", ["a", "b", "nobody"])
    assert set(held) == {"a", "b"}
    await neighbour.offer("default", [Offer("a", Money("EUR", 7), Availability.OUT_OF_STOCK)])
    now = await record.get("default", ["a", "b"])
    assert now["a"].content.price == Money("EUR", 7)
    assert now["a"].facts.availability is Availability.OUT_OF_STOCK
    assert now["b"] == held["b"]
    await neighbour.delete("default", ["a"])
    assert set(await record.get("default", ["a", "b"])) == {"b"}
    await neighbour.write("default", [write("a", brand="again")])
    assert (await one(record, "a")).content.brand == "again"


async def test_products_are_asked_for_by_any_id(record: Record) -> None:
    names = ["a'b", 'a"b', "a\\b", "葡", "😀", "é", "[]", "null"]
    await record.write("default", [write(name) for name in names])
    assert set(await record.get("default", [*names, names[0], "\x00", "a"])) == set(names)
    assert await record.get("default", []) == {}


async def test_catalogs_keep_products_of_the_same_id_apart(record: Record) -> None:
    await record.write("default", [write("a", brand="one")])
    await record.write("other", [write("a", brand="two")])
    for _ in range(2):
        assert (await record.get("default", ["a"]))["a"].content.brand == "one"
        assert (await record.get("other", ["a"]))["a"].content.brand == "two"


async def test_a_quiet_record_is_not_asked_again_how_far_a_generation_is(
    record: Record, neighbour: Record, db: Database
) -> None:
    assert await record.generation_snapshot("default", "visual") is None
    made = await record.create_generation(generation())
    first = await record.generation_snapshot("default", "visual")
    assert first is not None
    assert (first.generation, first.freshness) == (made, await record.freshness(made))
    assert first.record == first.freshness
    with statements(db) as seen:
        assert await record.generation_snapshot("default", "visual") is first
        assert seen == []
        assert await record.generation_snapshot("default", "visual", "nobody") is None
        assert await record.generation_snapshot("default", "visual", made.name) == first
    assert len([text for text in seen if text.startswith("SELECT")]) == 4
    await neighbour.write("default", [write("a", A)])
    behind = await record.generation_snapshot("default", "visual")
    assert behind is not None
    assert (behind.freshness.head, behind.freshness.pending) == (1, 1)
    assert (behind.record.head, behind.record.pending, behind.record.seq) == (1, 1, 0)
    await neighbour.save_vectors(made, vectors(A))
    unapplied = await record.generation_snapshot("default", "visual")
    assert unapplied is not None
    assert unapplied.freshness.seq < unapplied.record.seq == unapplied.record.head


async def test_where_commits_are_not_reported_nothing_is_kept(
    record: Record, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check PostgreSQL's case, which does not report commits."""
    monkeypatch.setattr(Database, "version", lambda _: None)
    made = await record.create_generation(generation())
    assert await record.generation_snapshot("default", "visual") is not None
    with db.engine.begin() as connection:
        connection.execute(sa.text("UPDATE generations SET active = 0"))
    assert await record.generation_snapshot("default", "visual") is None
    assert await record.generation_snapshot("default", "visual", made.name) is not None


async def test_the_version_is_read_once_in_a_turn_of_the_loop_and_anew_after_a_commit(
    db: Database, neighbour: Record
) -> None:
    read: list[int | None] = []

    def version() -> int | None:
        read.append(db.version())
        return read[-1]

    held = TurnVersion(version)
    before = held()
    if before is None:
        pytest.skip("the store has no version")
    assert held() == before
    assert len(read) == 1
    await neighbour.write("default", [write("a")])
    assert held() != before

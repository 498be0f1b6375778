"""Resources in SQL, on SQLite; the records' tests run those of services on PostgreSQL too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.errors import Aborted, AlreadyExists, NotFound, ResourceExhausted
from servicekit.sql.resources import Form, Resource, ResourceErrors, Rows


class Missing(NotFound, reason="SHELF_NOT_FOUND"):
    message = "no such shelf"


class Exists(AlreadyExists, reason="SHELF_EXISTS"):
    message = "another shelf"


class Full(ResourceExhausted, reason="SHELVES_FULL"):
    def __init__(self, most: int) -> None:
        super().__init__(f"{most} shelves")


class Changed(Aborted, reason="ETAG_MISMATCH"):
    message = "changed"


class State(StrEnum):
    ACTIVE = "active"
    REMOVED = "removed"


@dataclass(frozen=True)
class Words:
    title: str = ""
    tags: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Shelf:
    words: Words = field(default_factory=Words)
    state: State = State.ACTIVE
    etag: str = ""
    create_micros: int = 0
    levels: tuple[int, ...] = ()
    seen: int = 0
    """No column: it keeps its default."""


metadata = sa.MetaData()
shelves = sa.Table(
    "shelves",
    metadata,
    sa.Column("shop", sa.Text, primary_key=True),
    sa.Column("shelf_id", sa.Text, primary_key=True),
    *(sa.Column(name, sa.Text) for name in ("title", "tags", "state", "etag", "heights")),
    sa.Column("create_time", sa.BigInteger),
    sa.Column("number", sa.BigInteger),
)
goods = sa.Table(
    "goods",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("shop", "shelf_id", "good")),
)
HEIGHTS = Form(
    lambda levels: "|".join(map(str, levels)), lambda text: tuple(map(int, text.split("|")))
)
SHELVES = Resource(
    Rows(shelves, Shelf, columns={"levels": "heights"}, forms={"levels": HEIGHTS}),
    ResourceErrors(Missing, Exists, Full, Changed),
    contents=lambda shelf: shelf.words,
    most=2,
    removed=shelves.c.state == State.REMOVED,
    dependants=(goods,),
)
SHELF = Shelf(Words("Wine", (("red", 1),)), State.ACTIVE, "e1", 7, (1, 2))


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = sa.create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_a_value_is_in_the_columns_of_its_attributes(connection: Connection) -> None:
    SHELVES.put(connection, replace(SHELF, seen=5), "s", "a", number=9)
    row = connection.execute(sa.select(shelves)).one()
    assert tuple(row) == ("s", "a", "Wine", '[["red", 1]]', "active", "e1", "1|2", 7, 9)
    assert SHELVES.get(connection, "s", "a") == SHELF


def test_what_a_table_lacks_is_told_when_the_resource_is_described() -> None:
    @dataclass(frozen=True)
    class Other:
        depth: int

    with pytest.raises(TypeError, match=r"shelves has no column for Other\.depth"):
        Rows(shelves, Other)


def test_equal_contents_come_before_exists_and_full(connection: Connection) -> None:
    assert SHELVES.create(connection, SHELF, "s", "a", number=1) == (SHELF, True)
    SHELVES.create(connection, SHELF, "s", "b", number=2)
    repeated = replace(SHELF, etag="e2", create_micros=9)
    assert SHELVES.create(connection, repeated, "s", "a", number=3) == (SHELF, False)
    with pytest.raises(Exists):
        SHELVES.create(connection, replace(SHELF, words=Words("Beer")), "s", "a", number=4)
    with pytest.raises(Full, match="2 shelves"):
        SHELVES.create(connection, SHELF, "s", "c", number=5)
    assert SHELVES.create(connection, SHELF, "other", "c", number=6)[1]
    with pytest.raises(Full, match="1 shelves"):
        SHELVES.create(connection, SHELF, "other", "d", most=1, number=7)
    SHELVES.check_room(connection, "other", coming=1)
    SHELVES.check_room(connection, "s", coming=0)
    with pytest.raises(Full, match="2 shelves"):
        SHELVES.check_room(connection, "other", coming=2)


def test_equal_contents_come_before_the_etag() -> None:
    assert not SHELVES.to_replace(SHELF, replace(SHELF, create_micros=9), "old")
    wanted = replace(SHELF, words=Words("Beer"))
    assert SHELVES.to_replace(SHELF, wanted)
    assert SHELVES.to_replace(SHELF, wanted, "e1")
    with pytest.raises(Changed):
        SHELVES.to_replace(SHELF, wanted, "old")


def test_a_page_goes_on_after_an_id_of_its_scope(connection: Connection) -> None:
    for shop, name in (("s", "b"), ("s", "a"), ("t", "c")):
        SHELVES.put(connection, replace(SHELF, etag=name), shop, name, number=0)
    assert [each.etag for each in SHELVES.page(connection, "s")] == ["a", "b"]
    assert [each.etag for each in SHELVES.page(connection, "s", after="a")] == ["b"]
    assert [each.etag for each in SHELVES.page(connection, "s", limit=1)] == ["a"]


def test_a_removed_one_leaves_its_id_to_another(connection: Connection) -> None:
    gone = replace(SHELF, state=State.REMOVED)
    SHELVES.put(connection, gone, "s", "a", number=0)
    assert SHELVES.page(connection, "s") == []
    assert SHELVES.find(connection, "s", "a") == gone
    again = replace(SHELF, words=Words("Beer"), create_micros=9)
    assert SHELVES.create(connection, again, "s", "a", number=1) == (again, True)
    assert SHELVES.get(connection, "s", "a") == again


def test_a_deletion_takes_what_depends_on_it(connection: Connection) -> None:
    for name in ("a", "b"):
        SHELVES.put(connection, SHELF, "s", name, number=0)
        connection.execute(sa.insert(goods).values(shop="s", shelf_id=name, good="wine"))
    assert SHELVES.delete(connection, "s", "a")
    assert not SHELVES.delete(connection, "s", "a")
    assert connection.execute(sa.select(goods.c.shelf_id)).scalars().all() == ["b"]
    with pytest.raises(Missing):
        SHELVES.get(connection, "s", "a")


def test_a_row_that_this_release_can_not_read_is_told(connection: Connection) -> None:
    SHELVES.put(connection, SHELF, "s", "a", number=0)
    connection.execute(sa.update(shelves).values(state="folded"))
    with pytest.raises(ValueError, match="folded"):
        SHELVES.get(connection, "s", "a")

"""Products that the record finds for filters, compared with the rule and a plain sum."""

import pytest
import sqlalchemy as sa

from retriever.record import Record
from retriever.record.tables import CATEGORY_HEAD, product_images
from servicekit.sql.database import Database
from sightline_rules import categories
from sightline_rules.filters import All, Comparison, Filter, Operator
from tests.stores import each_engine
from tests.unit.retriever.conftest import generation, vectors, write
from tests.unit.retriever.record.conftest import A, put

pytestmark = each_engine

BRAND = Comparison("brand", Operator.EQUAL, "x")
IDS = 2**128


async def found(record: Record, condition: Filter, part: Comparison, most: int) -> set[str] | None:
    rows = await record.matching_rows(generation(), condition, part, most)
    return None if rows is None else {product_id for _, product_id, _ in rows.keys}


@pytest.mark.full
async def test_what_an_index_finds_has_to_pass_the_whole_filter(record: Record) -> None:
    await record.create_generation(generation())
    await put(
        record,
        write("a", A, brand="x", tags=("t",)),
        write("b", A, brand="x"),
        write("c", A, brand="y", tags=("t",)),
    )
    await record.save_vectors(generation(), vectors(A))
    both = All((BRAND, Comparison("tags", Operator.EQUAL, "t")))
    assert await found(record, both, BRAND, 2) == {"a"}
    assert await found(record, BRAND, BRAND, 2) == {"a", "b"}
    assert await found(record, BRAND, BRAND, 1) is None, "more than were asked for"


async def test_a_category_holds_itself_and_what_is_below_it_alone(record: Record) -> None:
    end = "x" * CATEGORY_HEAD
    levels = (
        *(("A",), ("A", "B"), ("A", "!"), ("A", "zz"), ("A >!B",), ("A >!",), ("A &", "B")),
        *(("Ab",), ("Ab", "B"), ("Ab >!B",)),
        *((end,), (end, "B"), (end + " >!",), (end + "y",), (end[:-1],), (end[:-1], "B")),
    )
    names = {categories.join(each): f"p{n}" for n, each in enumerate(levels)}
    await record.create_generation(generation())
    await put(record, *(write(f"p{n}", A, category_path=each) for n, each in enumerate(levels)))
    await record.save_vectors(generation(), vectors(A))
    for path in names:
        below = {name for other, name in names.items() if categories.is_within(other, path)}
        part = Comparison("category", Operator.EQUAL, path)
        assert await found(record, part, part, 20) == below, path


async def test_a_sample_goes_round_and_says_how_many_rows_its_distances_promise(
    record: Record, db: Database
) -> None:
    await put(record, *(write(f"p{n}", A, brand=f"b{n}") for n in range(12)))
    with db.engine.connect() as connection:
        drawn = sa.select(product_images.c.row_id, product_images.c.product_id)
        rows = sorted(
            (int(row_id, 16), product_id) for row_id, product_id in connection.execute(drawn)
        )
    for start in (0, rows[0][0], rows[3][0], rows[8][0], rows[10][0], rows[11][0], IDS - 1):
        after = [row for row in rows if row[0] > start]
        before = [(row_id + IDS, product_id) for row_id, product_id in rows if row_id <= start]
        for size in (1, 3, 11, 12):
            taken = (after + before)[:size]
            facts, count = await record.sample("default", f"{start:032x}", size)
            assert [one.brand for one in facts] == [f"b{name[1:]}" for _, name in taken]
            assert count == size * IDS // (taken[-1][0] - start), (start, size)
        assert (await record.sample("default", f"{start:032x}", 13))[1] == 12

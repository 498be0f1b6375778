"""Near-duplicates in searches: on a real record, with an engine in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
import pytest

from retriever.columns.arrays import Ints
from retriever.columns.table import ProductTable
from retriever.domain.generation import Generation
from retriever.domain.index_values import Collapse
from retriever.domain.product import ProductWrite
from retriever.domain.vectors import Floats, GivenVector, VectorWrite
from retriever.record import Record
from retriever.search import collapse, search
from retriever.search.candidates import most_marked
from retriever.search.query import SearchQuery
from retriever.search.search import FoundNearest
from sightline_rules.duplicates import CERTAIN, COLOUR_BITS, same_picture
from sightline_rules.photos import image_id
from tests.fakes.index import DIMENSION, VERSION, FakeIndex, vector_of
from tests.unit.retriever.conftest import generation, write
from tests.unit.retriever.rows import row, searcher
from tests.unit.retriever.search.conftest import follow, forever, own

PICTURE = 0xFD22_0A9F_1C87_6333
UNSURE = PICTURE ^ ((1 << (CERTAIN + 1)) - 1 << COLOUR_BITS)
"""A hash so near to PICTURE that the vectors decide."""


@dataclass(frozen=True)
class Item:
    """A product of one photo: its hash, and how near it is to the query (0 to 1)."""

    near: float
    image_hash: int = 0
    parent: str = ""
    price: int = 5


def turned(near: float) -> Floats:
    """Return a vector with this cosine to the first axis; those of all items lie in one plane."""
    made = np.zeros(DIMENSION, np.float32)
    made[:2] = near, np.sqrt(1 - near * near)
    return made


def product(name: str, item: Item) -> ProductWrite:
    made = write(name, name.encode(), parent_id=item.parent)
    images = {
        key: replace(it, perceptual_hash=item.image_hash) for key, it in made.new_images.items()
    }
    return replace(made, new_images=images)


@pytest.fixture
def index() -> FakeIndex:
    return FakeIndex()


@pytest.fixture
async def made(record: Record, index: FakeIndex) -> Generation:
    found = await record.create_generation(generation())
    await index.create(found.collection, DIMENSION)
    return found


async def stock(
    made: Generation, record: Record, index: FakeIndex, items: Mapping[str, Item]
) -> None:
    await record.write("default", [product(name, item) for name, item in items.items()])
    writes = [VectorWrite(image_id(name.encode()), turned(it.near)) for name, it in items.items()]
    await record.save_vectors(made, writes)
    await follow(made, record, index)


QUERY = SearchQuery("default", GivenVector("visual", VERSION, DIMENSION, turned(1.0).tobytes()))


async def asked(record: Record, index: FakeIndex, query: SearchQuery = QUERY) -> FoundNearest:
    return await search.search(query, searcher(record, index), forever)


def reported(answer: FoundNearest) -> dict[str, tuple[str, ...]]:
    found = answer.candidates
    none = [()] * len(found.product_ids)
    return dict(zip(found.product_ids, found.collapsed or none, strict=True))


SHOP = {
    "red": Item(0.99, parent="shirt"),
    "twin": Item(0.98, PICTURE),
    "hat": Item(0.97),
    "blue": Item(0.96, parent="shirt"),
    "copy": Item(0.95, PICTURE),
    "coat": Item(0.94),
}


async def test_the_best_of_each_group_stays_and_names_the_others(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, SHOP)
    answer = await asked(record, index)
    assert reported(answer) == {"red": ("blue",), "twin": ("copy",), "hat": (), "coat": ()}


async def test_marked_they_stay_in_their_places(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, SHOP)
    answer = await asked(record, index, replace(QUERY, collapse=Collapse.MARK, top_k=3))
    assert list(reported(answer)) == ["red", "twin", "hat", "blue", "copy"]
    assert reported(answer)["red"] == ("blue",)
    assert reported(answer)["blue"] == ()


async def test_off_they_are_products_like_any_other(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, SHOP)
    answer = await asked(record, index, replace(QUERY, collapse=Collapse.OFF, top_k=5))
    found = answer.candidates
    assert found.product_ids == ["red", "twin", "hat", "blue", "copy"]
    assert not any(found.collapsed)


@pytest.mark.parametrize("mode", [Collapse.DROP, Collapse.MARK])
async def test_what_collapses_makes_room_for_more(
    made: Generation, record: Record, index: FakeIndex, mode: Collapse
) -> None:
    """Place two hundred variants before all other products, so that several rounds are needed."""
    crowd = {f"v{n:03}": Item(0.99 - n / 1e4, parent="shirt") for n in range(200)}
    others = {f"p{n:02}": Item(0.5 - n / 1e3) for n in range(9)}
    await stock(made, record, index, {**crowd, **others})
    answer = await asked(record, index, replace(QUERY, top_k=10, collapse=mode))
    found = reported(answer)
    assert set(others) <= set(found)
    assert found["v000"] == tuple(f"v{n:03}" for n in range(1, 200))
    marked = 0 if mode is Collapse.DROP else most_marked(10)
    assert list(found)[:1] + list(found)[marked + 1 :] == ["v000", *others]
    assert len(found) == 10 + marked
    assert index.limits == [50, 200, 800]


@pytest.mark.parametrize(("apart", "one"), [(0.03, True), (0.6, False)])
async def test_vectors_say_what_hashes_leave_open(
    made: Generation, record: Record, index: FakeIndex, apart: float, *, one: bool
) -> None:
    items = {"a": Item(0.99, PICTURE), "b": Item(0.99 - apart, UNSURE)}
    await stock(made, record, index, items)
    assert reported(await asked(record, index)) == ({"a": ("b",)} if one else {"a": (), "b": ()})


async def test_vectors_are_read_only_where_hashes_leave_something_open(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    items = {f"p{n}": Item(0.9 - n / 100, PICTURE) for n in range(4)}
    await stock(made, record, index, {**items, "q": Item(0.5, UNSURE)})
    asked_for: list[int] = []

    class Counting(Record):
        async def first_vectors(
            self, generation: Generation, product_ids: Sequence[str]
        ) -> dict[str, Floats]:
            asked_for.append(len(product_ids))
            return await super().first_vectors(generation, product_ids)

    counting = Counting(record._db)
    await asked(counting, index)
    assert asked_for == [2]
    asked_for.clear()
    await asked(counting, index, replace(QUERY, top_k=1))
    await asked(counting, index, replace(QUERY, collapse=Collapse.OFF))
    assert asked_for == [2]


async def test_near_duplicates_of_the_querys_own_product_are_left_out_as_it_is(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, {**SHOP, "shirt": Item(0.5, PICTURE)})
    query = SearchQuery("default", product_id="blue")
    answer = await asked(record, index, query)
    assert reported(answer) == {"copy": ("twin",), "hat": (), "coat": ()}
    assert own(answer) == ["blue"]
    twin = await asked(record, index, SearchQuery("default", product_id="copy"))
    assert reported(twin) == {"blue": ("red",), "hat": (), "coat": ()}


async def test_asked_for_the_querys_own_product_answers_for_its_near_duplicates(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, SHOP)
    query = SearchQuery("default", product_id="blue", include_query_product=True)
    answer = await asked(record, index, query)
    assert reported(answer)["blue"] == ("red",)
    assert own(answer) == []


async def test_with_collapse_off_only_the_product_itself_is_left_out(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, SHOP)
    query = SearchQuery("default", product_id="blue", collapse=Collapse.OFF)
    answer = await asked(record, index, query)
    assert "red" in answer.candidates.product_ids
    assert own(answer) == []


async def test_the_first_photo_speaks_for_a_product(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    """Check the displayed photo, whichever photo the search found."""
    photos = {"front": PICTURE, "back": 0, "other": 0}
    one, two = write("a", b"front", b"back"), write("b", b"other", b"front")
    writes = [
        replace(
            made_,
            new_images={
                key: replace(image, perceptual_hash=photos[name])
                for name in photos
                for key, image in made_.new_images.items()
                if key == image_id(name.encode())
            },
        )
        for made_ in (one, two)
    ]
    await record.write("default", writes)
    await record.save_vectors(made, [VectorWrite(image_id(b"front"), vector_of(b"front"))])
    await follow(made, record, index)
    assert reported(await asked(record, index)) == {"a": (), "b": ()}
    (found,) = (await record.get("default", ["a"])).values()
    assert found.images[0].perceptual_hash == PICTURE


def likenesses() -> list[int]:
    """Return hashes of which some are certainly of one picture, some possibly, and some not."""
    generator = np.random.default_rng(3)
    base = [PICTURE, UNSURE, 0, int(generator.integers(1 << 62))]
    return [
        value ^ (sum(1 << int(bit) for bit in set(generator.integers(0, 64, 4))) if value else 0)
        for value in base * 12
    ]


def table_of(hashes: Sequence[int], parents: Sequence[str] = ()) -> ProductTable:
    return ProductTable(
        row(f"p{n}", parent_id=parent, image_hash=shown)
        for n, (shown, parent) in enumerate(zip_longest(hashes, parents, fillvalue=""))
    )


@pytest.mark.parametrize("wanted", [1, 3, 100])
@pytest.mark.parametrize("seed", range(8))
async def test_groups_are_those_of_the_rule(wanted: int, seed: int) -> None:
    """Compare with the rule, which compares all products one by one; of those with one hash the
    best one's vector counts for all."""
    generator = np.random.default_rng(seed)
    hashes = generator.permutation(np.array(likenesses(), np.uint64).repeat(2)).tolist()
    count = len(hashes)
    some = generator.standard_normal((6, DIMENSION)).astype(np.float32)
    vectors = {place: some[generator.integers(6)] for place in range(count) if place % 7}
    parents = [str(each) if each < 4 else "" for each in generator.integers(0, 20, count)]
    table = table_of(hashes, parents)

    async def firsts(places: Ints) -> dict[int, Floats]:
        return {place: vectors[place] for place in places.tolist() if place in vectors}

    def alike(one: int, other: int) -> tuple[bool, bool]:
        bests = [hashes.index(hashes[each]) for each in (one, other)]
        left, right = (vectors.get(each) for each in bests)
        agree = left is not None and right is not None and bool((left == right).all())
        of_one_family = parents[one] != "" and parents[one] == parents[other]
        certain = of_one_family or same_picture(hashes[one], hashes[other])
        return certain, certain or same_picture(hashes[one], hashes[other], 0.95 if agree else None)

    into = list[int]()
    for place in range(count):
        kept = [other for other, to in enumerate(into) if other == to]
        certain = [other for other in kept if alike(place, other)[0]]
        into.append(min(certain or [it for it in kept if alike(place, it)[1]], default=place))
    kept = [place for place, to in enumerate(into) if place == to]

    found = await collapse.choose(table, np.arange(count), table.places([]), wanted, firsts)
    assert list(found.kept)[:wanted] == kept[:wanted]
    if wanted == 100:  # the whole order was looked at
        members = {to: [it for it in range(count) if into[it] == to != it] for to in kept}
        assert found.members == {to: mine for to, mine in members.items() if mine}


async def test_a_placeholder_in_thousands_of_products_is_one_picture() -> None:
    """Check that only one vector per hash is requested."""
    table = table_of([PICTURE, UNSURE] * 2_000 + [~PICTURE & (1 << 64) - 1])
    asked = list[list[int]]()

    async def firsts(places: Ints) -> dict[int, Floats]:
        asked.append(sorted(places.tolist()))
        return {}

    found = await collapse.choose(table, np.arange(4_001), table.places([]), 10, firsts)
    assert found.kept == [0, 1, 4_000]
    assert [len(mine) for mine in found.members.values()] == [1_999, 1_999]
    assert all(each == [0, 1] for each in asked)

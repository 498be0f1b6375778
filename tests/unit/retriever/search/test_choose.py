"""The part of an order that is searched for near-duplicates, and the comparisons in it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from retriever.columns.arrays import Ints
from retriever.columns.table import ProductTable
from retriever.domain.vectors import Floats
from retriever.search import collapse
from retriever.search.collapse import INLINE_PRODUCTS, SPARE, WIDER, Chosen, choose, most_marked
from sightline_rules.duplicates import CERTAIN, COLOUR_BITS, COSINE
from sightline_rules.grouping import Agree, Grouped, Hashes, grouped
from tests.unit.retriever.rows import row

PICTURE = 0xFD22_0A9F_1C87_6333


def other_picture(number: int) -> int:
    """Return a hash unlike that of any other number: half of all bits differ."""
    return (number + 1) * 0x9E37_79B9_7F4A_7C15 % (1 << 64) | 1


def differing(bits: int) -> int:
    """Return PICTURE with this many changed bits of luminance."""
    return PICTURE ^ ((1 << bits) - 1 << COLOUR_BITS)


@dataclass
class Shop:
    """Products by their photos' hashes, best first, and the recorded requests for vectors."""

    hashes: Sequence[int]
    parents: dict[int, str] = field(default_factory=dict)
    cosine: float | None = None
    """Cosine of the first photo's vector and any other's; None: there are no vectors."""
    asked: list[int] = field(default_factory=list)

    async def vectors(self, places: Ints) -> dict[int, Floats]:
        self.asked += places.tolist()
        if self.cosine is None:
            return {}
        other = np.array([self.cosine, np.sqrt(1 - self.cosine**2)], np.float32)
        first = np.array([0.5, 0], np.float32)
        return {each: first if each == 0 else other for each in places.tolist()}

    async def chosen(self, wanted: int, own: int = 0) -> Chosen:
        """Choose groups; `own`: number of first products that are the query's."""
        names = [f"p{number:05}" for number in range(len(self.hashes))]
        table = ProductTable(
            row(name, image_hash=value, parent_id=self.parents.get(place, ""))
            for place, (name, value) in enumerate(zip(names, self.hashes, strict=True))
        )
        places = table.places(names)
        return await choose(table, places[own:], places[:own], wanted, self.vectors)


@pytest.mark.parametrize(("top_k", "most"), [(0, 20), (3, 20), (4, 21), (100, 45)])
def test_a_quarter_more_near_duplicates_stay_than_products_are_wanted(
    top_k: int, most: int
) -> None:
    assert most_marked(top_k) == most


@pytest.mark.parametrize("count", [SPARE, SPARE + 1, SPARE + 2, 3 * SPARE])
async def test_only_as_much_of_an_order_is_looked_at_as_it_takes(count: int) -> None:
    found = await Shop([other_picture(number) for number in range(count)]).chosen(wanted=1)
    assert list(found.kept) == list(range(min(count, 1 + SPARE)))


@pytest.mark.parametrize("same", [SPARE, SPARE + 1])
async def test_more_is_looked_at_where_too_few_stay(same: int) -> None:
    wanted = 2
    others = [other_picture(number) for number in range(300)]
    found = await Shop([PICTURE] * (1 + same) + others).chosen(wanted)
    looked = wanted + SPARE if same < SPARE + 1 else WIDER * (wanted + SPARE)
    assert len(found.kept) == looked - same


async def test_members_are_those_of_answered_products_alone() -> None:
    found = await Shop([PICTURE, other_picture(1), PICTURE, other_picture(1)]).chosen(1, own=1)
    assert list(found.kept) == [0]
    assert found.members == {0: [2]}


@pytest.mark.parametrize(
    ("cosine", "kept"), [(COSINE + 1e-6, [0]), (COSINE - 1e-5, [0, 1]), (None, [0, 1])]
)
async def test_vectors_decide_from_the_threshold_on(cosine: float | None, kept: list[int]) -> None:
    shop = Shop([PICTURE, differing(CERTAIN + 1)], cosine=cosine)
    assert list((await shop.chosen(2)).kept) == kept
    assert sorted(shop.asked) == [0, 1]


async def test_vectors_are_not_asked_about_what_is_certain() -> None:
    shop = Shop([PICTURE, differing(CERTAIN)])
    assert list((await shop.chosen(2)).kept) == [0]
    assert not shop.asked


@pytest.mark.parametrize("count", [INLINE_PRODUCTS, INLINE_PRODUCTS + 1])
async def test_a_long_order_is_grouped_beside_the_event_loop(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set[int]()

    def noted(families: Sequence[int], hashes: Hashes, *, agree: Agree | None) -> Grouped:
        threads.add(threading.get_ident())
        return grouped(families, hashes, agree=agree)

    monkeypatch.setattr(collapse, "grouped", noted)
    await Shop([other_picture(number) for number in range(count)]).chosen(count)
    assert (threads == {threading.get_ident()}) == (count <= INLINE_PRODUCTS)


async def test_a_variant_is_compared_too_where_a_better_one_collapses() -> None:
    filling = [other_picture(9 + number) for number in range(2)] * INLINE_PRODUCTS
    hashes = [PICTURE, PICTURE, other_picture(1), other_picture(1), *filling]
    parents = {1: "shirt", 2: "shirt", **{4 + at: f"f{at % 2}" for at in range(len(filling))}}
    found = await Shop(hashes, parents).chosen(10)
    assert list(found.kept)[:2] == [0, 2]
    assert found.members[0] == [1]
    assert found.members[2] == [3]


async def test_variants_of_a_long_order_collapse() -> None:
    crowd = {at: f"f{at % 3}" for at in range(3 * INLINE_PRODUCTS)}
    hashes = [[PICTURE, other_picture(1), differing(1)][at % 3] for at in crowd]
    found = await Shop(hashes, crowd).chosen(10)
    assert list(found.kept) == [0, 1]
    assert len(found.members[0]) == 2 * INLINE_PRODUCTS - 1


async def test_of_an_order_that_is_longer_than_is_looked_at_best_variants_are_compared() -> None:
    """Order blocks of variants, so that the next family begins behind the compared part."""
    each, families = 20, 10 + SPARE + 5
    parents = {at: f"f{at // each}" for at in range(each * families)}
    hashes = [other_picture(at // each) for at in parents]
    hashes[each] = hashes[0]
    found = await Shop(hashes, parents).chosen(10)
    expected = [each * family for family in range(10 + SPARE)]
    expected[1] += 1  # in the place of the one that shows the first family's picture
    assert list(found.kept) == expected

"""Products whose picture no other one shows, against the rule, while products are written."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from retriever.columns import changes, unique_pictures
from retriever.columns.changes import ChangedPlaces
from retriever.columns.table import ProductTable
from retriever.columns.unique_pictures import SHARED, UniquePictures
from retriever.domain.vectors import Floats
from sightline_rules.duplicates import same_picture
from tests.unit.retriever.rows import row

PICTURE = 0xFD22_0A9F_1C87_6333
COLOURS = 5
FAMILIES = [PICTURE * (number + 1) % (1 << 64) | 1 << 63 for number in range(COLOURS)]


def other_picture(number: int) -> int:
    """Return a hash unlike that of any other number: half of all bits differ."""
    return (number + 1) * 0x9E37_79B9_7F4A_7C15 % (1 << 64)


class Shop:
    """A table beside vectors that a test writes."""

    def __init__(self) -> None:
        self.table, self.changes = ProductTable(), ChangedPlaces()
        self.vectors: dict[int, Floats] = {}
        self.unique = UniquePictures(self.table, self.changes, self.vectors.get)

    def write(self, name: str, image_hash: int, vector: Floats | None = None) -> None:
        self.table.put([row(name, image_hash=image_hash)])
        if vector is not None:
            place = self.table.place(name)
            self.vectors[place] = vector
            self.changes.note([place])

    def shared(self) -> set[int]:
        """Return the places whose pictures are those of others by the rule."""
        hashes = self.table.image_hash.tolist()
        there = np.flatnonzero(self.table.alive).tolist()
        found = set[int]()
        for pair in combinations(there, 2):
            left, right = (self.vectors.get(each) for each in pair)
            cosine = None
            if left is not None and right is not None:
                cosine = float(left @ right) / float(np.linalg.norm(left) * np.linalg.norm(right))
            if same_picture(hashes[pair[0]], hashes[pair[1]], cosine):
                found.update(pair)
        return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("bounds", [{}, {"MOST_PAIRS": 60, "MOST_WRITTEN": 3, "MOST_DOUBTS": 1}])
def test_what_counts_as_unique_is_unique_by_the_rule(
    seed: int, bounds: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Write, remove and look at products in random order."""
    for name, value in bounds.items():
        monkeypatch.setattr(unique_pictures, name, value)
    random = np.random.default_rng(seed)
    shop = Shop()
    for _ in range(150):
        name = f"p{random.integers(50)}"
        if random.random() < 0.1:
            shop.table.remove([name])
            continue
        flipped = int(sum(1 << int(bit) for bit in {*random.integers(8, 64, random.integers(9))}))
        value = FAMILIES[random.integers(COLOURS)] ^ flipped if random.random() < 0.8 else 0
        vector = np.float32([1, random.choice([0.0, 0.4, 3.0])]) if random.random() < 0.6 else None
        shop.write(name, value, vector)
        if random.random() < 0.3:
            some = np.flatnonzero(random.random(len(shop.table.ids)) < 0.7)
            unique = shop.unique.at(some)
            assert not shop.shared() & set(some[unique].tolist())
    while shop.unique.explore(1_000):
        pass
    every = np.flatnonzero(shop.table.alive)
    for _ in range(50):
        unique = shop.unique.at(every)
    assert not shop.shared() & set(every[unique].tolist())
    if not bounds:  # nothing of a product that was not shared before is left open
        assert (
            set(every[~unique].tolist()) - shop.shared()
            == {place for place in every[~unique].tolist() if shop.unique._until[place] == SHARED}
            - shop.shared()
        )


def test_a_write_of_other_fields_compares_no_picture_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = Shop()
    for number in range(30):
        shop.write(f"p{number}", other_picture(number))
    every = np.arange(30)
    unique = shop.unique.at(every)
    compared = unique_pictures.compared
    pairs = list[int]()

    def noted(*given: object) -> object:
        pairs.append(len(given[0]) * len(given[1]))  # type: ignore[arg-type]
        return compared(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(unique_pictures, "compared", noted)
    shop.table.put([row("p3", image_hash=int(shop.table.image_hash[3]), title="Another")])
    assert shop.unique.at(every).tolist() == unique.tolist()
    assert pairs == []
    shop.write("new", other_picture(99))
    assert shop.unique.at(every).tolist() == unique.tolist()
    assert pairs == [30], "each with the new picture alone"


def test_changes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST", 4)
    found = ChangedPlaces()
    found.note([1, 2, 3])
    assert found.since(1) == [2, 3]
    assert found.since(3) == []
    found.note([4, 5])
    assert (found.count, found.since(3), found.since(2)) == (5, [4, 5], None)
    found.note(list(range(9)))
    assert (found.count, found.since(12), found.since(5)) == (14, [7, 8], None)

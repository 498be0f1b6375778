"""The products with which benches of the retriever fill it."""

import numpy as np

from lab.harness import rig
from sightline_rules.duplicates import same_picture


def test_no_two_products_look_alike() -> None:
    hashes = [next(iter(rig.product(n).new_images.values())).perceptual_hash for n in range(300)]
    assert len(set(hashes)) == 300
    assert not any(
        same_picture(one, two, 1.0) for one in hashes for two in hashes if one is not two
    )


def test_points_are_the_same_each_time_and_of_one_seed_alone() -> None:
    assert np.array_equal(rig.points(50, 8), rig.points(50, 8))
    assert not np.array_equal(rig.points(50, 8), rig.points(50, 8, seed=1))

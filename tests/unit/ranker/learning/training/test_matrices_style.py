import numpy as np
import pytest

from ranker.domain.features import PhotoVectors
from ranker.learning.training import matrices as style


def vectors(values: np.ndarray, version: str = "v1") -> PhotoVectors:
    ids = tuple(f"p{row:03}" for row in range(len(values)))
    return PhotoVectors(ids, values.astype(np.float32), version)


def drawn(count: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    scales = np.linspace(3, 0.1, width)
    return rng.standard_normal((count, width)) * scales + 5


@pytest.mark.parametrize(("count", "width"), [(12, 40), (400, 10), (9_000, 6)])
def test_axes_are_the_principal_ones(count: int, width: int) -> None:
    """Compare with the singular vectors of the centred matrix, for both Gram matrices."""
    values = drawn(count, width)
    found = style.learn_style(vectors(values), 4, 0.1)
    assert found is not None
    centred = values.astype(np.float32) - values.astype(np.float32).mean(axis=0)
    _, _, right = np.linalg.svd(centred, full_matrices=False)
    unit = found.axes / np.linalg.norm(found.axes, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs((unit * right[:4]).sum(axis=1)), 1, atol=1e-3)


def test_a_number_of_the_style_is_as_large_as_asked_for_whatever_the_vectors_size() -> None:
    for size in (1e-3, 1.0, 1e3):
        given = vectors(drawn(200, 20) * size)
        found = style.learn_style(given, 8, 0.1)
        assert found is not None
        made = style.styles_of(found, given, given.product_ids)
        assert np.sqrt((made**2).mean()) == pytest.approx(0.1, rel=1e-3)


def test_the_same_photos_have_the_same_axes_in_any_order_of_signs() -> None:
    values = drawn(30, 12)
    one, other = (
        style.learn_style(vectors(values), 5, 1.0),
        style.learn_style(vectors(-values), 5, 1.0),
    )
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.axes, other.axes, atol=1e-4)
    largest = np.abs(one.axes).argmax(axis=1)
    assert (one.axes[np.arange(5), largest] > 0).all()


def test_a_product_without_a_photo_has_no_style() -> None:
    given = vectors(drawn(10, 6))
    found = style.learn_style(given, 3, 0.1)
    assert found is not None
    made = style.styles_of(found, given, ["p003", "unknown", "p000"])
    assert np.isnan(made[1]).all()
    assert np.isfinite(made[[0, 2]]).all()


def test_there_are_no_more_axes_than_directions_in_which_photos_differ() -> None:
    found = style.learn_style(vectors(drawn(3, 20)), 32, 0.1)
    assert found is not None
    assert len(found.axes) == 2


@pytest.mark.parametrize(
    ("given", "dimension"),
    [
        (None, 32),
        (vectors(np.ones((5, 4))), 32),
        (vectors(np.zeros((5, 4))), 32),
        (vectors(drawn(1, 4)), 32),
        (vectors(drawn(9, 4)), 0),
    ],
    ids=["no photos", "all the same", "all zero", "one photo", "not wanted"],
)
def test_where_nothing_differs_there_is_no_style(
    given: PhotoVectors | None, dimension: int
) -> None:
    assert style.learn_style(given, dimension, 0.1) is None

"""Made clicks on searches by photo, and what the refinement by them gains."""

from collections.abc import Iterator

import numpy as np
import pytest

from embedder.domain.fitted import CATALOGUE, SHOPPER
from embedder.fitting.fit import FitOptions, fit
from lab.cases import photo_clicks
from lab.cases.accuracy_report import SEED
from lab.cases.photo_clicks import (
    NONE,
    ClickFigures,
    ClickPhotos,
    ClickShop,
    clicks,
    made_up,
    measured,
    plain,
    right_share,
    table,
)
from ranker.domain.photo_clicks import LAST_PLACE, MOST_OF_SHOPPER, MOST_WEIGHT, weighed
from tests.fakes.labelled import kept, labelled

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos() -> ClickPhotos:
    data = labelled(products=24, photos=50, views=4, iconic=True, noise=2.0)
    shopper = np.flatnonzero(data.kinds == SHOPPER)
    return ClickPhotos(
        kept(data, np.flatnonzero(data.kinds == CATALOGUE).tolist()),
        kept(data, shopper[shopper % 4 > 0].tolist()),
        kept(data, shopper[shopper % 4 == 0].tolist()),
    )


@pytest.fixture(scope="module")
def shop(photos: ClickPhotos) -> ClickShop:
    return ClickShop(photos, fit(photos.studio, FitOptions(), SEED))


def test_shoppers_click_what_their_photo_shows_and_first_places_most(shop: ClickShop) -> None:
    made = clicks(shop, 120, 0)
    assert len({one.actor for one in made}) == len(made) == 120
    places = np.array([one.place for one in made])
    assert places.max() <= LAST_PLACE
    assert (places == 1).sum() > (places == 2).sum() > (places == 8).sum()
    assert 0.4 < right_share(shop, made) < 0.95, "by chance 1 in 24 is right"
    assert clicks(shop, 120, 0) == made != clicks(shop, 120, 1)
    with pytest.raises(ValueError, match="are needed"):
        clicks(shop, 10_000, 0)


def test_made_up_shoppers_have_as_many_clicks_and_as_much_weight_as_one_may(
    shop: ClickShop,
) -> None:
    found = weighed(made_up(shop, 12, 0))
    assert found.shopper_count == 12
    assert np.bincount(found.shoppers).max() <= MOST_OF_SHOPPER
    np.testing.assert_allclose(np.bincount(found.shoppers, found.weights), MOST_WEIGHT)
    assert right_share(shop, made_up(shop, 12, 0)) < 0.2


@pytest.fixture(scope="module")
def found(photos: ClickPhotos) -> Iterator[ClickFigures]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photo_clicks, "COUNTS", (100, 200))
        patch.setattr(photo_clicks, "AMONG", 100)
        patch.setattr(photo_clicks, "DRAWS", 2)
        scenes = np.arange(len(photos.queries.products))
        yield measured(photos, scenes, lambda _: None)


def test_every_way_to_click_is_measured_on_the_same_queries(found: ClickFigures) -> None:
    assert len(found.rows) == 4
    assert {each.shape for row in found.rows.values() for each in row.hits} == {found.before.shape}
    for name, row in found.rows.items():
        gain = found.level(name, 0).value - found.level(NONE, 0).value
        assert found.gain(name, 0).value == pytest.approx(gain)
        assert len(row.hits) == len(row.said) == 2
    assert found.gain("200 clicks", 0).low > 0


def test_the_table_and_the_figures_have_a_row_for_each_way(found: ClickFigures) -> None:
    names = [NONE, *found.rows]
    assert [row[0] for row in table(found).rows] == names
    assert [*plain(found)] == names
    assert {len(row) for row in table(found).rows} == {len(table(found).headers)}

"""The example catalog loads completely."""

import itertools

from examples.wines import catalogue


def test_every_wine_has_a_photo_and_every_rating_a_wine() -> None:
    wines = catalogue.load_wines()
    ratings = catalogue.load_ratings()
    assert len(wines) == 100
    assert all(wine.image.is_file() for wine in wines)
    assert {rating.wine_id for rating in ratings} == {wine.id for wine in wines}


def test_ratings_are_in_order_of_time_and_their_event_ids_are_distinct() -> None:
    ratings = catalogue.load_ratings()
    assert len({rating.event_id for rating in ratings}) == 1000
    assert all(a.time <= b.time for a, b in itertools.pairwise(ratings))


def test_lists_written_as_python_literals_become_tuples() -> None:
    wine = next(wine for wine in catalogue.load_wines() if wine.id == "100062")
    assert wine.attributes.grapes == ("Merlot",)
    assert wine.tags == ("Beef", "Lamb", "Veal", "Grilled", "Pizza", "Pasta")

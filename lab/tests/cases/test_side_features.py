"""Item-to-item weights with side features, on made films."""

import numpy as np

from bench.datasets.movielens import MovieLens
from bench.harness.model import GoalVerdict
from lab.cases.quality import AUC, NDCG, SHOWN, SystemFigures
from lab.cases.side_features import (
    ALL_OF_WORDS,
    OF_WORDS,
    OURS,
    best,
    cease,
    features,
    goals,
    method_of,
    of_features,
    table,
    words,
)
from ranker.domain.features import Product
from ranker.domain.log import log_of
from ranker.learning.evaluation.histories import Histories


def _films() -> MovieLens:
    """Return six comedies, six westerns and two films without features."""
    genres = [("Comedy",)] * 6 + [("Western",)] * 6 + [()] * 2
    products = tuple(Product(f"film-{n:02}", tags=tags) for n, tags in enumerate(genres))
    return MovieLens(products, log_of([]))


def _likes(*shoppers: list[int]) -> Histories:
    items = [item for each in shoppers for item in each]
    return Histories(
        actors=tuple(f"user-{row}" for row in range(len(shoppers))),
        starts=np.cumsum([0, *map(len, shoppers)]),
        items=np.array(items),
        bought=np.zeros(len(items), np.bool_),
        times=np.arange(len(items)),
    )


def test_features_are_ones_of_the_films_that_have_them() -> None:
    values = features(_films())

    assert values.shape == (14, 2)
    assert values.sum(axis=1).tolist() == [1.0] * 12 + [0.0] * 2


def test_new_films_are_scored_by_the_features_of_liked_ones() -> None:
    values, known = features(_films()), _likes([0, 1, 2], [1, 2, 3], [6, 7, 8])

    for scorer in (cease(known, values, 10, 5), of_features(values, 10)):
        comedy, western, nothing = scorer.scores(_likes([0, 2]))[0, [5, 11, 13]]
        assert comedy > western
        assert nothing == 0


def test_words_are_those_that_several_films_share_but_not_too_many() -> None:
    titles = [*("The Star Wars", "The Star Trek", "The Last War"), *("The Film",) * 97]
    films = tuple(Product(f"film-{n:03}", title=title) for n, title in enumerate(titles))

    found = words(MovieLens(films, log_of([])))

    assert found.tolist() == [[1.0]] * 2 + [[0.0]] * 98


def test_a_method_with_words_is_not_taken_for_the_one_without() -> None:
    assert method_of("`taste` + 1 × CEASE with words, λ 2") == "CEASE with words"
    assert method_of("`taste` + 1 × Add-EASE, λ 2") == "Add-EASE"
    assert method_of(OF_WORDS) is method_of(ALL_OF_WORDS) is None


def _figures(level: float) -> SystemFigures:
    return SystemFigures(dict.fromkeys(SHOWN, np.full(50, level)), 1.0)


def test_the_table_has_the_best_variant_of_each_kind() -> None:
    levels = {
        OURS: 0.2,
        "CEASE, λ 1": 0.1,
        "CEASE, λ 2": 0.15,
        "CEASE with words, λ 1": 0.05,
        "Add-EASE, λ 1": 0.1,
        f"{OURS} + 1 × CEASE, λ 2": 0.3,
        f"{OURS} + 2 × CEASE, λ 2": 0.25,
    }

    found = best({name: _figures(level) for name, level in levels.items()})

    left_out = {"CEASE, λ 1", f"{OURS} + 2 × CEASE, λ 2"}
    assert list(found) == [name for name in levels if name not in left_out]


def test_goals_are_decided_by_what_is_gained_beside_the_recipe() -> None:
    better = {
        OURS: _figures(0.2),
        f"{OURS} + 1 × CEASE": _figures(0.3),
        f"{OURS} + 1 × CEASE with words": _figures(0.1),
        OF_WORDS: _figures(0.3),
        ALL_OF_WORDS: _figures(0.2),
    }

    found = [each.verdict for each in goals(better)]

    met, missed, absent = GoalVerdict.MET, GoalVerdict.MISSED, GoalVerdict.NOT_MEASURED
    assert found == [each for each in (met, absent, missed, absent, met, missed) for _ in range(2)]
    assert {NDCG, AUC} <= {*table(better).headers}

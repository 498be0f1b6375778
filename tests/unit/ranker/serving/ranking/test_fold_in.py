from dataclasses import replace

import numpy as np

from ranker.domain.events import EventType, History, Interaction
from ranker.serving.ranking import fold_in
from ranker.serving.ranking.fold_in import HOUR_MICROS
from tests.fakes.ranker import model


def test_a_newcomer_is_the_shrunk_mean_of_the_last_five_known_products() -> None:
    vectors = {f"p{n}": [float(n), 1.0] for n in range(8)}
    made = model(vectors)
    found = fold_in.of(made, None, ["new", "p7", "p6", "p5", "p4", "p3", "p2"])
    assert [made.item_ids[row] for row in found.recent.rows] == ["p7", "p6", "p5", "p4", "p3"]
    assert found.long_term is None
    assert found.session is not None
    np.testing.assert_allclose(found.session, np.array([5.0, 1.0]) * 5 / 5.5, rtol=1e-6)


def test_events_of_unknown_products_alone_make_nobody_personal() -> None:
    assert not fold_in.of(model({"p": [1.0]}), "a", ["new"]).personal


def test_somebody_who_only_gave_attributes_is_as_those_who_gave_the_same() -> None:
    made = replace(
        model({"p": [1.0, 0.0]}, actors={"a": [0.0, 3.0]}),
        shopper_feature_names=("age=30s", "size=M"),
        shopper_feature_rows={"age=30s": 0, "size=M": 1},
        shopper_feature_vectors=np.array([[1, 2], [10, 20]], np.float32),
    )
    given = (("age", "30s"), ("size", "M"), ("size", "unheard of"))
    newcomer = fold_in.by_history(made, "b", History(attributes=given))
    assert newcomer.personal
    assert newcomer.long_term is not None
    np.testing.assert_allclose(newcomer.long_term, [11.0, 22.0])
    trained = fold_in.by_history(made, "a", History(attributes=given))
    assert trained.long_term is not None
    np.testing.assert_allclose(trained.long_term, [0.0, 3.0])
    unheard = fold_in.by_history(made, "b", History(attributes=(("age", "90s"),)))
    assert not unheard.personal


def test_last_products_fade_with_the_hours_beside_what_training_knows() -> None:
    made = model({"p": [1.0, 2.0]}, actors={"a": [0.0, 3.0]})
    idle = 24 * HOUR_MICROS
    found = fold_in.of(made, "a", ["p"], ["p"], idle_micros=idle)
    np.testing.assert_allclose(found.session, [0.5, 1.0])
    np.testing.assert_allclose([found.liked.decays, found.bought.decays], [[0.5], [0.5]])
    later = fold_in.of(made, "a", ["p"], idle_micros=idle + HOUR_MICROS - 1)
    np.testing.assert_array_equal(later.session, found.session, "less than an hour changes nothing")
    newcomer = fold_in.of(made, "x", ["p"], idle_micros=idle)
    np.testing.assert_allclose(newcomer.session, [2 / 3, 4 / 3], err_msg="shrunk, but not faded")


def test_each_part_looks_back_as_far_as_it_was_measured_for() -> None:
    names = [f"p{n:02}" for n in range(60)]
    made = model({name: [1.0] for name in names}, actors={"a": [0.0]})
    found = fold_in.of(made, "a", names, names)
    assert found.recent.rows.tolist() == list(range(5))
    assert found.liked.rows.tolist() == list(range(50))
    np.testing.assert_allclose(found.liked.decays, 0.95 ** np.arange(50))
    assert found.bought.rows.tolist() == list(range(10))
    assert set(found.bought.decays) == {1.0}


def test_interests_count_half_after_a_day() -> None:
    day = 86_400 * 1_000_000
    assert fold_in.freshness(day) == 0.5
    assert fold_in.freshness(day - 1) > 0.5


def test_years_without_an_event_and_clocks_that_differ_are_no_matter() -> None:
    assert 0 < fold_in.freshness(10**17) < 1e-5
    assert fold_in.freshness(-1) == 1.0


def test_a_history_fades_from_its_newest_event() -> None:
    made = model({"p": [1.0], "q": [0.0]}, actors={"a": [0.0]})
    events = [
        Interaction("a", item, EventType.VIEW, None, time, item)
        for item, time in (("p", 48 * HOUR_MICROS), ("q", 0))
    ]
    history = History(recent=tuple(events))
    now = 72 * HOUR_MICROS
    assert fold_in.by_history(made, "a", history, now).recent.decays.sum() == 0.5
    assert fold_in.by_history(made, "a", history).recent.decays.sum() == 1.0


def test_only_what_is_put_into_the_cart_or_bought_speaks_for_what_is_bought_with_it() -> None:
    made = model({item: [1.0] for item in "pqr"})
    kinds = {"p": EventType.PURCHASE, "q": EventType.VIEW, "r": EventType.ADD_TO_CART}
    events = [Interaction("a", item, kind, None, 0, item) for item, kind in kinds.items()]
    found = fold_in.by_history(made, "a", History(recent=tuple(events)))
    assert found.liked.rows.tolist() == [0, 1, 2]
    assert found.bought.rows.tolist() == [0, 2]


def test_few_affinities_of_a_newcomer_say_little_by_their_neighbours() -> None:
    made = model({"p": [1.0], "q": [0.0]}, actors={"a": [0.0]})
    newcomer = fold_in.of(made, "x", ["p"]).liked.decays
    np.testing.assert_allclose(newcomer, [1 / (1 + fold_in.LIKED_PRIOR)])
    assert fold_in.of(made, "x", ["p", "q"]).liked.decays[0] > newcomer[0]
    assert fold_in.of(made, "a", ["p"]).liked.decays.tolist() == [1.0]


def test_anchors_without_a_model_are_known_to_be_anchors() -> None:
    assert fold_in.by_anchors(None, None, History(), ("a",)).anchored

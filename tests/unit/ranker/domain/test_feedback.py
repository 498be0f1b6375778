import numpy as np

from ranker.domain.feedback import LoggedAnswer, ShownOutcome, feedback_of, joined

CLICKED = ShownOutcome(shown=True, weight=2.0, position=7, clicked=True, bought=False)
SHOWN = ShownOutcome(shown=True, weight=1.0, position=0, clicked=False, bought=True)
UNSEEN = ShownOutcome(shown=False, weight=5.0, position=3, clicked=True, bought=False)


def answer(answer_id: str, at: int, version: str, *products: str, **outcomes: ShownOutcome):
    """Return an answer with some of the products below."""
    given = [PRODUCTS[item] for item in products]
    names = sorted({name for _, parts, _ in given for name in parts})
    return LoggedAnswer(
        answer_id,
        at,
        version,
        products,
        np.array([score for score, _, _ in given]),
        {name: np.array([parts.get(name, 0.0) for _, parts, _ in given]) for name in names},
        np.array([propensity for *_, propensity in given]),
        outcomes,
    )


PRODUCTS = {
    "a": (3.0, {"taste": 1.0, "visual": 2.0}, 0.5),
    "b": (1.0, {"visual": 1.0}, 1.0),
    "c": (0.5, {"text": 0.5}, 1.0),
}
LATE = answer("x", 20, "m2", "a", "b", a=CLICKED)
EARLY = answer("y", 10, "m1", "b", "a", b=SHOWN, a=UNSEEN, c=SHOWN)


def test_answers_are_sorted_by_time_and_keep_their_own_order() -> None:
    found = feedback_of([LATE, EARLY])
    assert found.part_names == ("taste", "visual")
    assert found.versions == ("m1", "m2")
    assert found.answer.tolist() == [0, 0, 1, 1]
    assert found.micros.tolist() == [10, 10, 20, 20]
    assert found.version.tolist() == [0, 0, 1, 1]
    assert found.parts.tolist() == [[0, 1], [1, 2], [1, 2], [0, 1]]
    assert found.raw_score.tolist() == [1, 3, 3, 1]
    assert found.rank.tolist() == [1, 2, 1, 2]
    assert found.propensity.tolist() == [1, 0.5, 0.5, 1]


def test_what_became_of_a_product_is_beside_it_and_what_was_not_answered_is_nowhere() -> None:
    found = feedback_of([LATE, EARLY])
    assert found.shown.tolist() == [True, False, True, False]
    assert found.weight.tolist() == [1, 0, 2, 0], "what was not shown weighs nothing"
    assert found.clicked.tolist() == [False, True, True, False]
    assert found.bought.tolist() == [True, False, False, False]
    assert found.place.tolist() == [1, 3, 7, 2], "as reported, else as answered"


def test_only_what_was_shown_is_an_impression() -> None:
    found = feedback_of([LATE, EARLY]).impressions
    assert (len(found), found.answer.tolist(), found.part_names) == (2, [0, 1], ("taste", "visual"))


def test_batches_are_one_again() -> None:
    plain = answer("z", 5, "m0", "c")
    whole = feedback_of([plain, EARLY, LATE])
    parts = joined([feedback_of([]), feedback_of([plain]), feedback_of([EARLY, LATE])])
    assert (parts.part_names, parts.versions) == (whole.part_names, whole.versions)
    for name in ("answer", "version", "parts", "raw_score", "shown", "place", "weight"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_nothing_is_no_rows() -> None:
    assert len(joined([])) == len(feedback_of([])) == len(feedback_of([]).impressions) == 0

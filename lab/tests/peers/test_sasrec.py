"""SASRec on made sequences."""

import numpy as np
import pytest

from lab.peers import sasrec
from lab.peers.sasrec import Array, Negatives, Parameters, SasRecOptions
from ranker.domain.arrays import Ints
from ranker.learning.evaluation.baselines import item_knn
from ranker.learning.evaluation.histories import Histories

RING = 20
STEPS = 6
SMALL = SasRecOptions(length=4, width=6, dropout=0.0, negatives=5)


def _histories(rows: Ints) -> Histories:
    return Histories(
        actors=tuple(f"user-{row:04}" for row in range(len(rows))),
        starts=np.arange(len(rows) + 1) * rows.shape[1],
        items=rows.ravel(),
        bought=np.zeros(rows.size, np.bool_),
        times=np.arange(rows.size),
    )


def _walks() -> tuple[Ints, Ints]:
    """Return walks of STEPS products around a ring, in both directions, and the next product of
    each. Both walks over the same products continue at opposite ends."""
    starts = np.arange(RING)
    forth = (starts[:, None] + np.arange(STEPS + 1)) % RING
    back = (starts[:, None] - np.arange(STEPS + 1)) % RING
    walks = np.concatenate((forth, back))
    return walks[:, :-1], walks[:, -1]


def _small(seed: int) -> tuple[Parameters, Ints]:
    """Return double-precision parameters with values of usual sizes, and windows, two of them
    short."""
    draw = np.random.default_rng(seed)
    parameters: Parameters = {
        name: each.astype(np.float64) + draw.normal(0, 0.3, each.shape)
        for name, each in sasrec.initial(9, SMALL, draw).items()
    }
    return parameters, sasrec.aligned([draw.permutation(9)[:count] for count in (5, 3, 2, 5)])


def test_it_learns_what_only_the_order_tells() -> None:
    asked, wanted = _walks()
    training = _histories(np.concatenate((asked, wanted[:, None]), axis=1))
    options = SasRecOptions(
        length=STEPS, width=16, dropout=0.0, negatives=16, rate=1e-2, batch=60, most_epochs=60
    )

    known = _histories(asked)
    scores = sasrec.fit(training, RING, options).model.scores(known)
    bags = np.round(item_knn(training, RING).scores(known), 6)

    def hits(found: Array) -> float:
        found[np.arange(len(asked))[:, None], asked] = -np.inf
        return float((found.argmax(axis=1) == wanted).mean())

    assert hits(scores) == 1.0
    assert hits(bags) <= 0.5


def test_equal_seeds_give_equal_models() -> None:
    asked, _ = _walks()
    options = SasRecOptions(length=STEPS, width=8, most_epochs=2)

    first, second, other = (
        sasrec.fit(_histories(asked), RING, one).model.scores(_histories(asked))
        for one in (options, options, SasRecOptions(length=STEPS, width=8, most_epochs=2, seed=1))
    )

    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("sampled", [True, False])
def test_gradients_are_those_of_finite_differences(dropout: float, sampled: bool) -> None:
    parameters, batch = _small(3)
    offsets = np.log(np.linspace(1, 2, 9) / 13.5) if sampled else None
    negatives = Negatives(np.array([0, 3, 3, 8]) if sampled else np.arange(9), offsets)

    def value() -> float:
        return sasrec.loss(parameters, batch, negatives, dropout, np.random.default_rng(7))[0]

    _, found = sasrec.loss(parameters, batch, negatives, dropout, np.random.default_rng(7))

    assert found.keys() == parameters.keys()
    for name, each in parameters.items():
        for place in np.ndindex(each.shape):
            each[place] += 1e-6
            above = value()
            each[place] -= 2e-6
            below = value()
            each[place] += 1e-6
            assert found[name][place] == pytest.approx((above - below) / 2e-6, rel=1e-4, abs=1e-7)


def test_a_position_sees_itself_and_earlier_ones_alone() -> None:
    parameters, batch = _small(5)
    windows = batch[:, :4]
    before, _ = sasrec.forward(parameters, windows, {}, 0.0, None)
    changed = windows.copy()
    changed[0, 2] = (windows[0, 2] + 1) % 9
    after, _ = sasrec.forward(parameters, changed, {}, 0.0, None)

    same = np.isclose(before, after).all(axis=2)
    assert same[0].tolist() == [True, True, False, False]
    assert same[1:].all()


@pytest.mark.parametrize("corrected", [True, False])
def test_the_correction_makes_logarithms_of_probabilities_the_best_scores(corrected: bool) -> None:
    draw = np.random.default_rng(0)
    truth, chances = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
    offsets = np.log(chances if corrected else np.full(3, 1 / 3))
    scores = np.log(truth)[:, None]
    slopes = []
    for _ in range(4_000):
        wanted, drawn = draw.choice(3, 20, p=truth), draw.choice(3, 4, p=chances)
        negatives = Negatives(drawn, offsets)
        slopes.append(sasrec.sampled_softmax(np.ones((20, 1)), scores, wanted, negatives)[2][:, 0])

    errors = np.std(slopes, axis=0) / np.sqrt(len(slopes))
    assert bool((np.abs(np.mean(slopes, axis=0)) < 4 * errors).all()) is corrected


def test_each_product_after_the_first_is_predicted_once() -> None:
    history = np.arange(11)[None]

    parts = list(sasrec.windows(_histories(history), 4))

    assert [part.tolist() for part in parts] == [[6, 7, 8, 9, 10], [2, 3, 4, 5, 6], [0, 1, 2]]


def test_training_ends_when_figures_no_longer_rise_and_keeps_the_best_epoch() -> None:
    asked, _ = _walks()
    figures = iter([0.1, 0.3, 0.2, 0.2, 0.9])
    options = SasRecOptions(length=STEPS, width=8, every=1, patience=2)

    course = sasrec.fit(_histories(asked), RING, options, lambda _: next(figures))

    assert course.epochs == 2
    assert [epoch for epoch, _ in course.measured] == [1, 2, 3, 4]

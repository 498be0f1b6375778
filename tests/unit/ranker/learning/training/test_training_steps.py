import dataclasses

import numpy as np
import pytest

from ranker.domain.errors import DataInsufficient
from ranker.domain.events import EventType
from ranker.domain.log import EventColumns, log_of
from ranker.domain.model import Calibration, Model, ModelVerdict
from ranker.domain.recipe import PartBlend, Recipe
from ranker.domain.report import ProductionAs, ProvenMargin
from ranker.learning.evaluation.evaluate import Production
from ranker.learning.training.ablation import AblationVerdict
from ranker.learning.training.fitting import fitted
from ranker.learning.training.learning import ImpressionFit
from ranker.learning.training.refit import state_arrays, state_of
from ranker.learning.training.search import Budget
from ranker.learning.training.training_data import Given
from ranker.learning.training.training_steps import Trained, TrainingOrder, metrics_of, train
from ranker.serving.ranking.parts import CONTENT
from tests.fakes.ranker import NOW, did
from tests.fakes.trainings import EVENTS, PRODUCTS, RECIPE, fit, wines

pytestmark = pytest.mark.slow


def quiet(done: int, total: int) -> None:
    """Ignore the progress."""


@pytest.fixture(scope="module")
def wine_given() -> Given:
    products, events = wines()
    return Given(log_of(events), products)


@pytest.fixture(scope="module")
def searched(wine_given: Given) -> tuple[Trained, list[tuple[int, int]]]:
    reported: list[tuple[int, int]] = []
    order = TrainingOrder(Recipe(), Budget(3, 600))
    made = train(wine_given, order, None, lambda *step: reported.append(step), NOW)
    return made, reported


@pytest.mark.full
def test_the_wines_metrics_name_how_many_people_they_rest_on(
    searched: tuple[Trained, list[tuple[int, int]]],
) -> None:
    figures = {one.name: one for one in metrics_of(searched[0].report)}
    assert {"hit@10", "ndcg@10", "auc", "popularity_ndcg@10"} <= set(figures)
    assert figures["ndcg@10"].sample_count == 72
    assert 0.5 < figures["auc"].value < 1


def test_a_training_searches_measures_its_parts_and_then_fits_on_everything(
    wine_given: Given, searched: tuple[Trained, list[tuple[int, int]]]
) -> None:
    made, _ = searched
    assert len(made.trials) == 3
    best = max(made.trials, key=lambda trial: trial.score or 0.0)
    assert made.recipe.dimension == best.parameters["dimension"]
    assert {one.part for one in made.additions} >= {"user_ids", "taste", "session"}
    by_shopper = [one for one in made.additions if one.part != CONTENT]
    assert {one.verdict for one in by_shopper} == {AblationVerdict.TOO_FEW}
    everything = fit(wine_given.log, wine_given.products, made.recipe)
    np.testing.assert_array_equal(made.fitted.model.item_vectors, everything.item_vectors)


def test_progress_rises_to_its_end(searched: tuple[Trained, list[tuple[int, int]]]) -> None:
    reported = searched[1]
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)
    assert len({total for _, total in reported}) == 1
    assert reported[-1][0] == reported[-1][1]


@pytest.mark.full
def test_choices_never_see_what_the_evaluation_asks_for(
    wine_given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def watched(given: Given, recipe: Recipe, progress: object = None, **more: Model | None):  # type: ignore[no-untyped-def]
        seen.append(int(given.log.time[-1]))
        return fitted(given, recipe, **more)

    monkeypatch.setattr("ranker.learning.training.recipe_validation.fitted", watched)
    monkeypatch.setattr("ranker.learning.training.training_steps.fitted", watched)
    made = train(wine_given, TrainingOrder(Recipe(epochs=2), Budget(2, 600)), None, quiet, NOW)
    moment = made.report.trials[0].moment_micros
    assert moment is not None
    assert all(last < moment for last in seen[:-1])
    assert seen[-1] == wine_given.log.time[-1]


@pytest.mark.parametrize("events", [EVENTS[:1], EVENTS[:2]])
def test_too_little_to_choose_by_or_to_measure_still_makes_a_model(events: list) -> None:  # type: ignore[type-arg]
    made = train(
        Given(log_of(events), PRODUCTS), TrainingOrder(RECIPE, Budget(2, 60)), None, quiet, NOW
    )
    assert (made.recipe, made.trials, made.additions) == (RECIPE, (), ())
    assert made.fitted.model.item_ids
    assert made.report.verdict is ModelVerdict.INCONCLUSIVE


@pytest.mark.parametrize("products", [[], PRODUCTS])
def test_nothing_to_learn_from_is_reported_before_anything_is_fitted(
    products: list,  # type: ignore[type-arg]
) -> None:
    reported: list[int] = []
    with pytest.raises(DataInsufficient):
        train(
            Given(log_of([did("ann", "unknown")]), products),
            TrainingOrder(RECIPE),
            None,
            lambda done, total: reported.append(done),
            NOW,
        )
    assert reported == []


def base(log: EventColumns) -> TrainingOrder:
    found = fitted(Given(log, PRODUCTS), RECIPE)
    state = state_of(state_arrays(found), found.model, RECIPE, int(log.time[-1]))
    return TrainingOrder(RECIPE, Budget(5, 60), base=state)


NEWER = [did(f"r-{n}", "r4", EventType.PURCHASE, at=50 + n) for n in range(8)]


def test_an_incremental_training_is_measured_on_what_its_base_has_not_seen() -> None:
    order = base(log_of(EVENTS))
    made = train(Given(log_of([*EVENTS, *NEWER]), PRODUCTS), order, None, quiet, NOW)
    assert order.base is not None
    assert (made.trials, made.additions, made.recipe) == ((), (), RECIPE)
    trial = made.report.trials[0]
    assert trial.moment_micros is not None
    assert trial.moment_micros > order.base.last_event_micros
    assert trial.events_after == 4
    assert "id=r4" in made.fitted.model.feature_rows


def test_an_incremental_training_without_anything_new_says_so() -> None:
    log = log_of(EVENTS)
    with pytest.raises(DataInsufficient, match="there are no events after"):
        train(Given(log, PRODUCTS), base(log), None, quiet, NOW)


def test_it_is_compared_with_what_serves(wine_given: Given) -> None:
    def production(log: EventColumns) -> Model:
        return fit(log, wine_given.products, Recipe(epochs=2))

    last = int(wine_given.log.time[-1])
    rival = Production("lfm-old", production(wine_given.log), last, production)
    order = TrainingOrder(Recipe(epochs=2), ablation=False)
    made = train(wine_given, order, rival, quiet, NOW)
    assert (made.report.production, made.report.production_as) == (
        "lfm-old",
        ProductionAs.REFITTED,
    )
    assert dataclasses.asdict(made.report.trials[0].comparisons[0])["against"]


@dataclasses.dataclass
class Taught:
    """Answers that always return the same result, and record the time until which they were
    read."""

    asked: list[int] = dataclasses.field(default_factory=list)

    def learned(self, default: PartBlend, until_micros: int, seed: int = 0) -> ImpressionFit:
        self.asked.append(until_micros)
        blend = PartBlend({"session": 3.0}, "impressions", 9_000)
        scores, chances = np.array([0.0, 1.0]), np.array([0.1, 0.2])
        calibration = Calibration(EventType.CLICK, scores, chances, 9_000)
        return ImpressionFit(blend, calibration, ("why",), 9_000, 500)


@pytest.mark.full
def test_what_answers_teach_is_served_and_evaluated_without_answers_that_came_later(
    wine_given: Given,
) -> None:
    taught = Taught()
    given = dataclasses.replace(wine_given, shown=taught)
    made = train(given, TrainingOrder(Recipe(epochs=1), ablation=False), None, quiet, NOW)
    assert made.recipe.blend == PartBlend(), "as chosen; another fit learns its own"
    assert made.learned is not None
    assert made.learned.blend.learned_from == "impressions"
    assert made.fitted.model.blend == {"session": 3.0}
    assert made.fitted.model.calibration is not None
    moment = made.report.trials[0].moment_micros
    assert moment is not None
    assert taught.asked[-1] == given.log.time[-1] + 1
    assert all(until <= moment for until in sorted(taught.asked)[:-1])


@pytest.mark.full
def test_it_is_compared_with_the_best_promoted_model(wine_given: Given) -> None:
    order = TrainingOrder(Recipe(epochs=2), ablation=False)
    proven = (ProvenMargin("m1", 0.9, 0.2),)
    made = train(wine_given, order, None, quiet, NOW, proven=proven)
    best = [one for one in made.report.trials[0].comparisons if one.against == "best promoted"]
    assert [one.decides for one in best] == [True]
    assert "best promoted" in made.report.summary

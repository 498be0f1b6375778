import json
from dataclasses import asdict

import numpy as np
import pytest

from ranker.domain.errors import DataInsufficient
from ranker.domain.events import EventType
from ranker.domain.log import EventColumns, log_of
from ranker.domain.model import Model
from ranker.domain.report import ModelVerdict, ProductionAs, Protocol, Report, SystemKind
from ranker.learning.evaluation.evaluate import EvaluationOptions, Production, evaluate, features_of
from ranker.servicer.messages import message_of
from sightline.ranker.v1.evaluation_pb2 import Evaluation
from tests.fakes.ranker import HOUR, NOW, did, model, product

PEOPLE = 120
TASTES = {f"r{n}": [1.0, 0.0] for n in range(12)} | {f"w{n}": [0.0, 1.0] for n in range(12)}
PRODUCTS = [product(item, brand=item[0].upper(), category=item[0]) for item in TASTES]
"""Two kinds of products; each of the people likes one kind, first two of it and later others."""
LOG = log_of(
    did(f"s{person:03}", f"{'rw'[person % 2]}{(person + step) % 12}", EventType.PURCHASE, step)
    for person in range(PEOPLE)
    for step in (0, 1, 2, 3, 4)
)
ONE_EACH = log_of(
    did(f"s{person:03}", f"{'rw'[person % 2]}{(person + step // 4) % 12}", EventType.PURCHASE, step)
    for person in range(PEOPLE)
    for step in (0, 1, 2, 3, 4)
)
"""As LOG, but nothing is liked beside anything before the last step."""
PEOPLE_S_TASTES = {f"s{p:03}": [1.0, 0.0] if p % 2 == 0 else [0.0, 1.0] for p in range(PEOPLE)}


def good(log: EventColumns) -> Model:
    return model(TASTES, actors=PEOPLE_S_TASTES)


def bad(log: EventColumns) -> Model:
    return model(
        TASTES, actors={one: [-10 * a, -10 * b] for one, (a, b) in PEOPLE_S_TASTES.items()}
    )


def run(fit=good, production=None, log=LOG, products=PRODUCTS, **options) -> Report:
    return evaluate(
        log,
        products,
        fit,
        production,
        EvaluationOptions(**options),
        progress=lambda done, total: None,
        now_micros=NOW,
    )


def serving(fit, last: int) -> Production:
    return Production("lfm-old", fit(LOG), NOW + last * HOUR, fit)


def test_a_model_has_to_be_better_than_what_is_known_without_it() -> None:
    """In LOG the recommenders by counts know what the model knows, and the next step besides."""
    found = run(protocols=(Protocol.GLOBAL,))
    verdicts = {one.against: one.verdict for one in found.trials[0].comparisons if one.decides}
    assert verdicts == {"popularity": ModelVerdict.PASSED, "no model": ModelVerdict.FAILED}
    assert found.verdict is ModelVerdict.FAILED
    assert any(one.endswith("Without a model, answers are these.") for one in found.findings)


def test_a_model_that_knows_tastes_is_better_than_none() -> None:
    found = run(log=ONE_EACH)
    assert found.verdict is ModelVerdict.PASSED
    assert found.shopper_count == PEOPLE
    assert [one.protocol for one in found.trials] == [Protocol.GLOBAL, Protocol.PER_USER_TAIL]
    assert found.trials[0].moment_micros == NOW + 4 * HOUR
    kinds = [(one.kind, one.name) for one in found.trials[0].systems]
    assert kinds == [
        (SystemKind.CANDIDATE, "candidate"),
        (SystemKind.BASELINE, "popularity"),
        (SystemKind.BASELINE, "no model"),
        (SystemKind.BASELINE, "popularity of 7 days"),
        (SystemKind.BASELINE, "item-kNN"),
        (SystemKind.BASELINE, "EASE"),
        (SystemKind.BASELINE, "V-SKNN"),
        (SystemKind.BASELINE, "sequential rules"),
    ]


@pytest.mark.full
def test_a_model_that_is_wrong_about_everybody_fails() -> None:
    assert run(bad).verdict is ModelVerdict.FAILED


@pytest.mark.full
def test_production_as_it_serves_is_compared_when_it_is_older_than_the_split() -> None:
    found = run(production=serving(good, last=3))
    assert found.production_as is ProductionAs.ARTIFACT
    assert found.production == "lfm-old"
    deciding = {one.against for one in found.trials[0].comparisons if one.decides}
    assert deciding == {"production", "popularity", "no model"}


@pytest.mark.full
def test_production_that_has_seen_the_answers_is_learned_anew() -> None:
    asked: list[EventColumns] = []

    def fit(log: EventColumns) -> Model:
        asked.append(log)
        return good(log)

    serves = serving(good, last=4)
    found = run(production=Production("lfm-old", serves.model, serves.last_event_micros, fit))
    assert found.production_as is ProductionAs.REFITTED
    assert [len(log) for log in asked] == [found.trials[0].events_before] * 2


def test_what_is_fitted_sees_nothing_of_what_is_held_out() -> None:
    seen: list[int] = []

    def fit(log: EventColumns) -> Model:
        seen.append(int(log.time.max()))
        return good(log)

    run(fit, protocols=(Protocol.GLOBAL,))
    assert seen == [NOW + 3 * HOUR]


def test_a_candidate_worse_than_production_fails() -> None:
    found = run(bad, production=serving(good, last=3))
    verdicts = {one.against: one.verdict for one in found.trials[0].comparisons}
    assert found.verdict is verdicts["production"] is ModelVerdict.FAILED


@pytest.mark.full
def test_too_little_to_learn_from_is_inconclusive() -> None:
    def nothing(log: EventColumns) -> Model:
        raise DataInsufficient("nobody likes anything")

    found = run(nothing)
    assert found.verdict is ModelVerdict.INCONCLUSIVE
    assert found.shopper_count == PEOPLE
    assert found.trials[0].comparisons == ()


@pytest.mark.full
def test_production_that_can_not_be_learned_anew_leaves_the_question_open() -> None:
    def nothing(log: EventColumns) -> Model:
        raise DataInsufficient("nobody likes anything")

    serves = serving(good, last=4)
    found = run(production=Production("lfm-old", serves.model, serves.last_event_micros, nothing))
    assert found.verdict is ModelVerdict.INCONCLUSIVE
    assert not any(one.decides for one in found.trials[0].comparisons)


@pytest.mark.parametrize("log", [log_of([]), log_of([did("ann", "r0")])])
def test_nothing_to_measure_is_inconclusive_and_says_so(log: EventColumns) -> None:
    found = run(log=log)
    assert found.verdict is ModelVerdict.INCONCLUSIVE
    assert "nothing to measure" in found.summary


def test_a_catalog_without_products_or_without_overlap_is_inconclusive() -> None:
    for products in ([], [product("elsewhere")]):
        found = run(products=products)
        assert (found.verdict, found.shopper_count) == (ModelVerdict.INCONCLUSIVE, 0)


def test_one_product_in_all_is_inconclusive() -> None:
    log = log_of(did(f"s{n:03}", "r0", at=n) for n in range(200))
    assert run(log=log, products=PRODUCTS[:1]).verdict is ModelVerdict.INCONCLUSIVE


@pytest.mark.full
def test_a_report_that_was_stored_is_shown_as_it_was_found() -> None:
    found = run(production=serving(good, last=3))
    stored = json.loads(json.dumps(asdict(found)))
    shown = message_of(Evaluation, stored)
    assert shown == message_of(Evaluation, found)
    assert shown.trials[0].systems[0].slices[0].figures
    assert shown.production_form == Evaluation.PRODUCTION_FORM_ARTIFACT


@pytest.mark.full
def test_the_same_data_give_the_same_report() -> None:
    assert run() == run()


@pytest.mark.full
def test_exposure_shows_brands_places_beside_their_products_and_interests() -> None:
    exposures = run().trials[0].systems[0].exposures
    assert {one.brand for one in exposures} == {"R", "W"}
    assert sum(one.places for one in exposures) == pytest.approx(1)
    assert [one.products for one in exposures] == [0.5, 0.5]


def test_products_are_alike_by_what_they_share_and_not_by_their_ids() -> None:
    features = features_of([product("a", "Red"), product("b", "Red"), product("c", "White")], ())
    alike = (features @ features.T).toarray()
    np.testing.assert_allclose(np.diag(alike), 1)
    assert alike[0, 1] == pytest.approx(1)
    assert alike[0, 2] < 1


@pytest.mark.full
def test_progress_counts_systems_of_all_splits() -> None:
    reported: list[tuple[int, int]] = []
    evaluate(
        LOG,
        PRODUCTS,
        good,
        None,
        EvaluationOptions(),
        progress=lambda done, total: reported.append((done, total)),
        now_micros=NOW,
    )
    assert reported == [(n, 16) for n in range(1, 17)]


@pytest.mark.full
def test_a_baseline_that_beats_the_candidate_is_named_with_what_a_scene_needs_to_use_it() -> None:
    report = run(bad)
    told = report.findings
    (knn,) = [one for one in told if one.startswith("item-kNN is better")]
    assert "(95% interval +" in knn
    assert "item_item = cosine" in knn
    assert "[parts_without_signals] item_item = 1.0" in knn
    beaten = [
        one.against
        for one in report.trials[0].comparisons
        if one.high < 0 and one.against != "production"
    ]
    assert [one.partition(" is better")[0] for one in told[:-1]] == beaten
    assert len(run(good).findings) < len(told)


@pytest.mark.full
def test_the_report_says_whether_order_matters() -> None:
    """Each of the people likes what follows the product that they liked last."""
    found = run()
    tests = {one.against: one for one in found.trials[0].order_tests}
    assert tests["sequential rules"].low > 0
    assert tests["candidate"].difference == pytest.approx(0, abs=1e-9)
    assert found.findings[-1].startswith("Order matters; ")
    draw = np.random.default_rng(0)
    mixed = log_of(
        did(f"s{person:03}", f"{'rw'[person % 2]}{item}", EventType.PURCHASE, step)
        for person in range(PEOPLE)
        for step, item in enumerate(draw.permutation(12)[:5].tolist())
    )
    assert run(log=mixed).findings[-1].startswith("No effect of order is shown; ")


@pytest.mark.full
def test_parameters_of_baselines_are_chosen_and_shown() -> None:
    said = {one.name: one.settings for one in run().trials[0].systems}
    assert said["EASE"].startswith("λ ")
    assert said["item-kNN"].startswith("shrinkage ")
    assert said["candidate"] == said["popularity"] == ""

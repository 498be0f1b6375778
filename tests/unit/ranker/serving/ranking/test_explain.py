from dataclasses import replace

import numpy as np
import pytest

from ranker.domain.arrays import Neighbours
from ranker.domain.events import History
from ranker.domain.model import Model
from ranker.serving.ranking import fold_in, parts
from ranker.serving.ranking.breakdown import Evidence
from ranker.serving.ranking.explain import explain
from ranker.serving.ranking.rank import rank
from sightline_core.branch import BRANCHES
from sightline_core.parts import NUMBERS
from sightline_core.reasons import REASONS, Reason
from tests.fakes.ranker import candidates, model, product

MODEL = model(
    {"a": [1.0, 0.0], "b": [0.9, 0.1], "c": [0.0, 1.0]},
    actors={"ann": [0.0, 2.0]},
    features={
        "id=c": [0.0, 9.0],
        "category=Red": [0.0, 0.1],
        "attribute.country=Italy": [0.0, 0.8],
        "price_band=EUR:6": [0.0, -0.5],
        "word=reserva": [0.0, 5.0],
    },
)


def reasons(
    ids,
    actor=None,
    viewed=(),
    weights=None,
    visual=None,
    popularity=None,
    language="en",
    model_=MODEL,
    bought=(),
    explored=(),
):
    weights = weights or {"visual": 1.0, "taste": 1.0, "session": 1.0, "popularity": 1.0}
    given = candidates(
        [product(item, "Red", attributes=(("country", "Italy"),), title="Reserva") for item in ids],
        {} if visual is None else {"visual": visual},
    )
    person = fold_in.of(model_, actor, viewed, bought)
    shares = None if popularity is None else np.array(popularity)
    ranking = rank(given, weights, person, model_, shares, history=History())
    evidence = Evidence(given, ranking, person, model_, parts.factors(model_, weights))
    found = explain(evidence, language, frozenset(explored))
    return {given.ids[row]: ones for row, ones in zip(ranking.rows, found, strict=True)}


def test_what_looks_alike_says_how_much() -> None:
    (one,) = reasons(["a"], visual=[0.875])["a"]
    assert one == Reason(
        "LOOKS_LIKE_QUERY", "Looks like what you showed us", (("cosine", "0.875"),)
    )


def test_a_session_reason_names_the_closest_other_product_that_was_viewed() -> None:
    found = reasons(["a", "b"], viewed=["a", "b"])
    assert found["b"][0].code == "SIMILAR_TO_VIEWED"
    assert found["b"][0].parameters == (("product_id", "a"),)
    assert found["a"][0].parameters == (("product_id", "b"),)


def test_a_viewed_product_that_adds_nothing_is_not_named() -> None:
    (one,) = reasons(["a"], viewed=["a", "c"])["a"]
    assert (one.code, one.parameters) == ("VIEWED_RECENTLY", ())


def test_what_the_model_holds_of_a_product_for_anybody_is_not_laid_on_a_view() -> None:
    liked = model({"a": [1.0, 0.0], "b": [0.1, 0.0]}, biases={"b": 5.0})
    (one,) = reasons(["b"], viewed=["a"], model_=liked)["b"]
    assert one.code == "POPULAR"


def neighbourly() -> Model:
    """Return a model in which an affinity for a raises c, and a purchase of b raises a."""
    weights = np.array([0.5], np.float32)
    zero, two = np.array([0], np.int32), np.array([2], np.int32)
    return replace(
        MODEL,
        neighbours={
            "item_item": Neighbours(np.array([0, 1, 1, 1]), two, weights),
            "bought_together": Neighbours(np.array([0, 0, 1, 1]), zero, weights),
        },
        blend={"item_item": 1.0, "bought_together": 1.0},
    )


ALL = {"item_item": 1.0, "bought_together": 1.0}


def test_what_is_liked_with_a_product_names_it() -> None:
    (one,) = reasons(["c"], viewed=["b", "a"], weights=ALL, model_=neighbourly())["c"]
    assert (one.code, one.parameters) == ("LIKED_TOGETHER", (("product_id", "a"),))
    assert one.text == "Liked by people who like the same products"


def test_what_is_bought_with_a_product_names_it() -> None:
    found = reasons(["a"], viewed=["b"], bought=["b"], weights=ALL, model_=neighbourly())
    (one,) = found["a"]
    assert (one.code, one.parameters) == ("BOUGHT_WITH", (("product_id", "b"),))
    assert one.text == "Often bought with something you chose"


def test_a_product_that_stands_there_to_be_seen_says_so_first() -> None:
    found = reasons(["a", "b"], visual=[0.9, 0.8], explored=[1])
    assert [one.code for one in found["a"]] == ["LOOKS_LIKE_QUERY"]
    assert [one.code for one in found["b"]] == ["NEW", "LOOKS_LIKE_QUERY"]


def test_the_only_viewed_product_is_not_said_to_be_similar_to_itself() -> None:
    (one,) = reasons(["a"], viewed=["a"])["a"]
    assert (one.code, one.parameters) == ("VIEWED_RECENTLY", ())


def test_a_taste_reason_names_the_feature_that_adds_most_but_never_the_product_itself() -> None:
    (one,) = reasons(["c"], actor="ann")["c"]
    assert one.code == "MATCHES_TASTE"
    assert one.parameters == (("feature", "country"), ("value", "Italy"))
    assert one.text == "Fits your taste: Italy"


def test_a_word_of_the_title_moves_the_score_but_is_no_reason() -> None:
    named = reasons(["new"], actor="ann")["new"]
    assert named[0].parameters == (("feature", "country"), ("value", "Italy"))
    wordy = replace(MODEL, attribute_keys=())
    vectors = MODEL.feature_vectors.copy()
    vectors[MODEL.feature_rows["category=Red"]] = 0
    (one,) = reasons(["new"], actor="ann", model_=replace(wordy, feature_vectors=vectors))["new"]
    assert (one.code, one.parameters, one.text) == ("MATCHES_TASTE", (), "Fits your taste")


def test_popularity_is_a_reason_for_newcomers() -> None:
    (one,) = reasons(["a"], popularity=[1.0])["a"]
    assert one.code == "POPULAR"


def test_the_strongest_part_comes_first_and_weak_ones_are_not_named() -> None:
    found = reasons(["b"], viewed=["a"], visual=[0.5])
    assert [one.code for one in found["b"]] == ["SIMILAR_TO_VIEWED", "LOOKS_LIKE_QUERY"]
    found = reasons(["b"], viewed=["a"], visual=[0.1])
    assert [one.code for one in found["b"]] == ["SIMILAR_TO_VIEWED"]


def test_a_product_that_nothing_speaks_for_has_no_reason() -> None:
    assert reasons(["c"], viewed=["a"])["c"] == ()
    assert reasons(["a"], visual=[-0.5])["a"] == ()


@pytest.mark.parametrize("language", ["zh", "zh-Hans", "ZH-TW"])
def test_chinese_readers_get_chinese(language: str) -> None:
    (one,) = reasons(["c"], actor="ann", language=language)["c"]
    assert one.text == "符合您的喜好：Italy"


def test_other_readers_get_english() -> None:
    (one,) = reasons(["a"], visual=[1.0], language="fi")["a"]
    assert one.text == "Looks like what you showed us"


def test_braces_in_a_value_are_only_text() -> None:
    made = model({"c": [1.0]}, actors={"ann": [1.0]}, features={"attribute.country={x}{0}": [1.0]})
    given = candidates([product("c", attributes=(("country", "{x}{0}"),))])
    person = fold_in.of(made, "ann", [])
    ranking = rank(given, {"taste": 1.0}, person, made, None, history=History())
    evidence = Evidence(given, ranking, person, made, parts.factors(made, {"taste": 1.0}))
    ((one,),) = explain(evidence, "en")
    assert one.text == "Fits your taste: {x}{0}"


def test_every_branch_has_a_reason_with_a_sentence_in_every_language() -> None:
    assert {one.reason for one in BRANCHES.values()} <= REASONS.keys()
    assert all(all(text) and text.en != text.zh for text in REASONS.values())


@pytest.mark.parametrize("part", NUMBERS)
def test_a_part_by_a_number_is_named_without_the_number(part: str) -> None:
    given = candidates([product("a")], {part: [0.412]})
    ranking = rank(given, {part: 1.0}, fold_in.of(MODEL, None, ()), None, None, history=History())
    evidence = Evidence(given, ranking, fold_in.of(MODEL, None, ()), None)
    ((reason,),) = explain(evidence, "en")
    assert (reason.code, reason.parameters) == (part.upper(), ())


@pytest.mark.parametrize("branch", ["{0}", "{cosine.__class__}", "{", "zh}"])
def test_a_branch_of_any_name_is_named_and_never_taken_for_a_template(branch: str) -> None:
    given = candidates([product("a")], {branch: [0.5]})
    ranking = rank(given, {branch: 1.0}, fold_in.of(MODEL, None, ()), None, None, history=History())
    evidence = Evidence(given, ranking, fold_in.of(MODEL, None, ()), None)
    ((reason,),) = explain(evidence, "en")
    assert (reason.code, reason.text) == (branch.upper(), branch.upper())

"""Names of products in other languages: English ones that dictionaries must leave as they are."""

import numpy as np

from bench.harness.model import GoalVerdict
from lab.cases.dictionaries import AFTER, BEFORE, MORE_ENGLISH, goals_of, product_shop

ENGLISH = ("English", *MORE_ENGLISH)


def test_english_queries_have_words_that_no_product_has() -> None:
    shop = product_shop()
    held = {word for each in shop.products for word in each.title.lower().split()}
    for kind in MORE_ENGLISH:
        assert len(shop.questions[kind]) == len(shop.questions["English"])
        for question in shop.questions[kind]:
            assert not {*question.text.split()} <= held
            assert question.language == ""


def test_a_worse_answer_to_an_english_query_misses_its_goal() -> None:
    same = {BEFORE: np.ones(100), AFTER: np.ones(100)}
    worse = {BEFORE: np.ones(100), AFTER: np.array([0.0] + [1.0] * 99)}
    for kind in MORE_ENGLISH:
        goals = goals_of(dict.fromkeys(ENGLISH, same) | {kind: worse}, {}, None)
        met = {goal.name: goal.verdict for goal in goals if "names in English" in goal.name}
        assert [name for name, each in met.items() if each is GoalVerdict.MISSED] == [
            f"names in {kind}: hit@1 of Search, more by dictionaries"
        ]

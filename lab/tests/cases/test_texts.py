"""The report of text search, from made figures, and its queries."""

from collections.abc import Mapping

import numpy as np
import pytest

from bench.harness.model import BenchTable, GoalVerdict
from lab.cases.texts import ndcg, wine_shop
from lab.cases.texts_report import (
    FIELDS,
    LEARNED,
    LOOKS,
    MEANING,
    SAID,
    SHARES,
    SUMMED,
    TITLES,
    TOGETHER,
    WORDS,
    Found,
    Scores,
    figures_of,
    goals_of,
    language_goals,
    looks_table,
    page_of,
    tables_of,
)
from lab.datasets.asked import LANGUAGES
from lab.peers.texts_rivals import FORMS, named_lists

QUERIES = 40
MET, MISSED = GoalVerdict.MET, GoalVerdict.MISSED
MAIN = (TITLES, FIELDS, WORDS, MEANING, TOGETHER, SUMMED)
TRIALS = tuple(named_lists(form, share) for form in FORMS for share in SHARES)


def _systems(level: float, titles: float = 0.2) -> dict[str, Scores]:
    """Return figures of all systems: BM25 on titles at `titles`, all others at `level`."""
    return {
        system: Scores(np.full(QUERIES, value), np.ones(QUERIES))
        for system in (*MAIN, *TRIALS)
        for value in [titles if system == TITLES else level]
    }


def _found(level: float, languages: Mapping[str, float] | None = None) -> Found:
    """Return figures of all kinds of queries and languages; those of `languages` differ."""
    kinds = [("wines", "typed"), *(("groceries", kind) for kind in ("typed", LEARNED))]
    found: Found = {key: _systems(level) for key in kinds}
    for name in LANGUAGES:
        value = (languages or {}).get(name, level)
        found["groceries", name] = _systems(value)
        found["groceries", f"{name}{SAID}"] = _systems(value + 0.1)
    return found


def _rows(table: BenchTable) -> dict[str, tuple[str, ...]]:
    return {row[0]: row[1:] for row in table.rows}


def test_ndcg_is_1_for_all_right_products_first_and_falls_with_their_places() -> None:
    right = frozenset({"a", "b"})

    assert ndcg(["b", "a", "c"], right) == pytest.approx(1.0)
    assert 0 < ndcg(["c", "b", "a"], right) < ndcg(["a", "c", "b"], right) < 1
    assert ndcg([*"cdefghijkl", "a", "b"], right) == 0


def test_the_wines_have_queries_with_answers_among_their_products() -> None:
    shop = wine_shop()
    products = {each.product_id for each in shop.products}

    assert shop.questions["typed"]
    assert all(each.answers and each.answers <= products for each in shop.questions["typed"])


def test_each_kind_of_query_has_to_be_found_better_than_by_titles_alone() -> None:
    assert [each.verdict for each in goals_of(_found(0.3))] == [MET] * 3
    assert [each.verdict for each in goals_of(_found(0.1))] == [MISSED] * 3
    assert [each.verdict for each in goals_of({})] == [GoalVerdict.NOT_MEASURED] * 3


def test_languages_english_and_the_cost_have_goals_of_their_own() -> None:
    costs = (np.full(9, 1.4), np.full(9, 1.0))

    def verdicts(found: Found, earlier: Found, factor: float = 1.0) -> list[GoalVerdict]:
        scaled = (costs[0] * factor, costs[1])
        return [each.verdict for each in language_goals(found, earlier, scaled)]

    good, dull = _found(0.7), _found(0.7, {"German": 0.59, "Chinese": 0.44})
    assert verdicts(good, good) == [MET] * 4
    assert verdicts(dull, good) == [MISSED, MISSED, MET, MET]
    assert verdicts(good, _found(0.72)) == [MET, MET, MISSED, MET]
    assert verdicts(good, good, 1.1) == [MET, MET, MET, MISSED]
    missing = language_goals({}, {}, None)
    assert {each.verdict for each in missing} == {GoalVerdict.NOT_MEASURED}


def test_the_page_has_a_row_for_each_kind_and_one_for_each_language() -> None:
    blocks = page_of(_found(0.3, {"German": 0.5}), _found(0.25, {"German": 0.4}), None)

    (kinds,), (languages,) = blocks["texts"].tables, blocks["texts_languages"].tables
    assert list(_rows(kinds)) == ["wines, typed", "groceries, typed", f"groceries, {LEARNED}"]
    assert _rows(kinds)["wines, typed"][-1] == "0.300 (+0.10 to +0.10)"
    assert list(_rows(languages)) == [*LANGUAGES]
    assert _rows(languages)["German"] == (
        *("0.500 / 1.00", "0.400 / 1.00", "0.500 / 1.00", "0.600 / 1.00"),
    )
    assert len(blocks["texts"].goals) + len(blocks["texts_languages"].goals) == 7


def test_trials_of_weights_are_in_a_table_of_their_own_alone() -> None:
    main, languages, shares = tables_of(_found(0.3), {})

    assert len(main.rows) == 3 * len(MAIN)
    assert len(languages.rows) == 2 * len(LANGUAGES)
    assert len(shares.rows) == 3 * len(FORMS)
    assert shares.rows[0][1:] == ("0.300",) * len(SHARES)


def test_figures_have_the_gain_over_titles_of_every_system() -> None:
    gains = {(each["kind"], each["system"]): each["ndcg_gain"] for each in figures_of(_found(0.3))}

    assert gains["typed", TITLES] == {"value": 0, "low": 0, "high": 0}
    assert gains["German", MEANING] == pytest.approx({"value": 0.1, "low": 0.1, "high": 0.1})


def test_products_without_texts_are_compared_with_the_text_space() -> None:
    assert list(looks_table({})) == []
    (table,) = looks_table({MEANING: np.full(9, 0.5), LOOKS: np.full(9, 0.4)})

    assert _rows(table)[MEANING][1] == ""
    assert _rows(table)[LOOKS][1] == "-0.100 (-0.100 to -0.100)"

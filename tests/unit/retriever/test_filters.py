"""Compiled filters against the reference, `sightline_rules.filters.passes`."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retriever import filters
from sightline_rules.filters import (
    All,
    Availability,
    Comparison,
    Facts,
    Filter,
    Membership,
    Money,
    Operator,
    Time,
    check,
    passes,
)

TEXTS = st.sampled_from(
    ["red", "Red", "rouge", "", "it's", 'say "hi"', "\\", '" or 1 == 1', "a > b", "红", "x" * 900]
) | st.text(max_size=6)
LEVELS = st.sampled_from(["Wine", "Red", "White", "it's", "葡萄酒", '"', "Dry"])
PATHS = st.lists(LEVELS, max_size=8).map(" > ".join)
MONEY = st.builds(
    Money, st.sampled_from(["EUR", "USD"]), st.sampled_from([0, 1, 5_000_000, 2**63 - 1])
)
TIMES = st.builds(Time, st.sampled_from([-(10**15), -1, 0, 1, 10**15]))
STORED_TIMES = st.builds(Time, st.sampled_from([0, 1, 10**15]))
AVAILABILITY = st.sampled_from(list(Availability))
EQUALITY = st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL])
ANY = st.sampled_from(list(Operator))

FACTS = st.builds(
    Facts,
    category=PATHS,
    brand=TEXTS,
    price=st.none() | MONEY,
    availability=AVAILABILITY,
    tags=st.frozensets(TEXTS.filter(bool), max_size=6),
    create_time=STORED_TIMES,
    update_time=STORED_TIMES,
)
VALUES = {
    "category": PATHS | TEXTS,
    "brand": TEXTS,
    "tags": TEXTS,
    "price": MONEY,
    "availability": AVAILABILITY,
    "create_time": TIMES,
    "update_time": TIMES,
}
ORDERED = {"price", "create_time", "update_time"}
LEAVES = st.one_of(
    *(
        st.builds(Comparison, st.just(name), ANY if name in ORDERED else EQUALITY, values)
        for name, values in VALUES.items()
    ),
    *(
        st.builds(Membership, st.just(name), st.lists(values, max_size=4).map(tuple))
        for name, values in VALUES.items()
    ),
)
FILTERS = st.recursive(
    LEAVES, lambda parts: st.builds(All, st.lists(parts, max_size=4).map(tuple)), max_leaves=6
)


def accepts(condition: Filter, facts: Facts) -> bool:
    """What an engine answers: the expressions are also Python's."""
    expression = filters.compile_filter(condition)
    row = {**filters.columns(facts), "seq": 1}
    return not expression or bool(eval(expression, {"__builtins__": {}}, row))  # noqa: S307


@given(FILTERS, FACTS)
@example(Comparison("tags", Operator.NOT_EQUAL, ""), Facts())
@example(Comparison("category", Operator.NOT_EQUAL, "a > b"), Facts(category="a > b > c"))
def test_no_product_that_passes_is_left_out(condition: Filter, facts: Facts) -> None:
    check(condition)
    assert accepts(condition, facts) or not passes(condition, facts)


@given(FILTERS, FACTS)
def test_one_that_does_not_pass_slips_in_only_where_two_tags_share_a_column(
    condition: Filter, facts: Facts
) -> None:
    if filters.SEVERAL not in {filters.columns(facts)[name] for name in filters.TAG}:
        assert accepts(condition, facts) == passes(condition, facts)


@given(FILTERS)
def test_an_expression_holds_nothing_but_our_own_words_and_numbers(condition: Filter) -> None:
    expression = filters.compile_filter(condition)
    own = set(filters.COLUMNS) | {"seq", "and", "or", "in"}
    words = expression.translate(str.maketrans("()[],=!<>", " " * 9)).split()
    assert all(word.isdigit() or word in own for word in words)
    assert set(expression) <= set(string.ascii_lowercase + string.digits + "()[], _=!<>")


def test_two_tags_of_one_column_are_both_found() -> None:
    tags = [f"tag {number}" for number in range(40)]
    column = filters.columns(Facts(tags=frozenset([tags[0]])))
    shared = next(
        tag
        for tag in tags[1:]
        if filters.columns(Facts(tags=frozenset([tag])))[
            next(name for name in filters.TAG if column[name])
        ]
    )
    both = Facts(tags=frozenset([tags[0], shared]))
    assert accepts(Comparison("tags", Operator.EQUAL, tags[0]), both)
    assert accepts(Comparison("tags", Operator.EQUAL, shared), both)
    assert accepts(Comparison("tags", Operator.NOT_EQUAL, "another"), both)


@pytest.mark.parametrize("text", ["red", "Red", " red", "x" * 5_000, "红"])
def test_a_code_fits_a_column_and_is_no_mark(text: str) -> None:
    assert filters.SEVERAL < filters.code(text) < 2**63


def test_codes_do_not_change_from_release_to_release() -> None:
    # They are stored in the index: a change needs a new generation.
    assert filters.code("red") == RED
    assert filters.code("") == 0


RED = 501179216621282385

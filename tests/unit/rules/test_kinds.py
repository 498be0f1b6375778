"""Kinds of fields: how they read literals, and how they show facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline_rules.filters import (
    AttributeValue,
    Comparison,
    Existence,
    FilterInvalidError,
    Leaf,
    Membership,
    Operator,
)
from sightline_rules.kinds import (
    AttributesKind,
    FlagKind,
    NumberKind,
)
from tests.work import lines

DAY = 86_400_000_000


def test_a_condition_that_its_kind_does_not_take_is_not_evaluated() -> None:
    with pytest.raises(FilterInvalidError, match="check"):
        FlagKind().passes(True, Comparison("on_sale", Operator.CONTAINS, True))


@pytest.mark.parametrize(
    ("leaf", "looks"),
    [
        (Comparison("attributes.a", Operator.CONTAINS, "re"), AttributesKind().looks),
        (Comparison("attributes.a", Operator.EQUAL, "re"), 1),
        (Existence("attributes.a"), 1),
    ],
)
def test_a_part_of_a_text_is_looked_for_in_each_value(leaf: Leaf, looks: int) -> None:
    assert AttributesKind().looks > 1
    assert AttributesKind().looks_of(leaf) == looks


@pytest.mark.parametrize(
    ("kind", "largest", "steps"),
    [(FlagKind(), 1, 1), (NumberKind(5), 5, 1), (NumberKind(5, 1), 50, 10)],
)
def test_values_of_steps_have_a_largest_number_of_them_and_a_number_of_steps_in_one(
    kind: FlagKind | NumberKind, largest: int, steps: int
) -> None:
    assert (kind.largest, kind.steps) == (largest, steps)


@pytest.mark.parametrize("kind", [FlagKind(), NumberKind(5), NumberKind(5, 1)])
def test_each_number_of_steps_is_the_place_of_its_fact(kind: FlagKind | NumberKind) -> None:
    for steps in range(kind.largest + 1):
        fact = kind.fact(steps)
        assert round(kind.place(fact)) == steps
        assert float(fact) == kind.scaled(steps)


ATTRIBUTES = AttributesKind()
LITERALS: Sequence[AttributeValue] = ("red", "Red", 1.0, 0.0, True, False)


@given(
    st.lists(st.sampled_from(LITERALS), max_size=4).map(tuple),
    st.lists(
        st.one_of(
            st.builds(
                Comparison,
                st.just("attributes.a"),
                st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL]),
                st.sampled_from(LITERALS),
            ),
            st.builds(
                Comparison, st.just("attributes.a"), st.just(Operator.CONTAINS), st.just("re")
            ),
            st.builds(
                Membership,
                st.just("attributes.a"),
                st.lists(st.sampled_from(LITERALS), min_size=1, max_size=3).map(tuple),
            ),
            st.just(Existence("attributes.a")),
        ),
        max_size=6,
    ),
)
def test_conditions_on_attributes_judged_together_pass_what_each_passes_alone(
    fact: tuple[AttributeValue, ...], leaves: list[Leaf]
):
    alone = [ATTRIBUTES.passes(fact, leaf) for leaf in leaves]
    assert ATTRIBUTES.judge(leaves)(fact) == alone


def test_sixty_equal_conditions_on_attributes_cost_a_few_times_as_much_as_one():
    """Each value is looked up among the conditions, not each condition among the values."""
    facts = [tuple(f"text {product} {each}" for each in range(30)) for product in range(300)]

    def judged(conditions: int) -> Callable[[], object]:
        leaves = [
            Comparison("attributes.a", Operator.EQUAL, f"other {each}")
            for each in range(conditions)
        ]
        judge = ATTRIBUTES.judge(leaves)
        return lambda: [judge(fact) for fact in facts]

    assert lines(judged(60)) <= 2.5 * lines(judged(1))

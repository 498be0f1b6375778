"""Compiled filters against the reference, `sightline_rules.filters.passes`."""

from __future__ import annotations

import hashlib
import itertools
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retriever.adapters.milvus import attributes, expressions, filters, indexed
from retriever.domain.collection_names import SHAPE, shape_of, shaped
from retriever.domain.filter_parts import top_categories
from retriever.domain.index_values import Slice
from sightline_rules.facts import Facts, by_key, passes
from sightline_rules.fields import FILTERED, Field
from sightline_rules.filter_checks import check
from sightline_rules.filters import (
    All,
    Any,
    Availability,
    Comparison,
    Existence,
    Filter,
    Membership,
    Money,
    Not,
    Operator,
    Time,
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
ORDER = st.sampled_from(sorted(set(Operator) - {Operator.CONTAINS}))
KEYS = st.sampled_from(["grape", "abv", "a.b-c_d", "0"]) | st.from_regex(
    r"[a-z]{1,3}", fullmatch=True
)
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 13.5, 13.500000001, 5e-324, 1e308]) | st.floats(
    allow_nan=False, allow_infinity=False
)
ATTRIBUTE = st.one_of(
    st.tuples(KEYS, st.lists(TEXTS.filter(bool), min_size=1, max_size=5).map(tuple)),
    st.tuples(KEYS, st.tuples(NUMBERS)),
    st.tuples(KEYS, st.tuples(st.booleans())),
)

FACTS = st.builds(
    Facts,
    category=PATHS,
    brand=TEXTS,
    price=st.none() | MONEY,
    availability=AVAILABILITY,
    title=TEXTS,
    tags=st.frozensets(TEXTS.filter(bool), max_size=6),
    attributes=st.lists(ATTRIBUTE, max_size=24).map(dict),
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
        st.builds(Comparison, st.just(name), ORDER if name in ORDERED else EQUALITY, values)
        for name, values in VALUES.items()
    ),
    *(
        st.builds(Membership, st.just(name), st.lists(values, max_size=4).map(tuple))
        for name, values in VALUES.items()
    ),
)
HOLDS = st.builds(
    Comparison,
    st.sampled_from(["category", "brand", "title", "tags", "attributes.grape"]),
    st.just(Operator.CONTAINS),
    TEXTS.filter(bool),
)
FIELD = KEYS.map("attributes.{}".format)
ATTRIBUTES = st.one_of(
    st.builds(Comparison, FIELD, EQUALITY, TEXTS | st.booleans()),
    st.builds(Comparison, FIELD, ORDER, NUMBERS),
    st.builds(Membership, FIELD, st.lists(TEXTS | NUMBERS | st.booleans(), max_size=4).map(tuple)),
)
EXISTS = st.builds(Existence, st.sampled_from([*VALUES, "title"]) | FIELD)


def joined(leaves: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    """Return filters composed of these."""
    several = st.lists(leaves, max_size=4).map(tuple)
    return st.one_of(st.builds(All, several), st.builds(Any, several), st.builds(Not, leaves))


EXACT = st.recursive(LEAVES, joined, max_leaves=6)
FILTERS = st.recursive(st.one_of(LEAVES, HOLDS, ATTRIBUTES, EXISTS), joined, max_leaves=6)


def accepts(condition: Filter, facts: Facts, *, partitioned: bool = False) -> bool:
    """Return whether an engine accepts the facts: its expressions are also valid Python."""
    expression = filters.compile_filter(condition, partitioned=partitioned)
    row = {**filters.columns(facts), "seq": 1}
    return not expression or bool(eval(expression, {"__builtins__": {}}, row))  # noqa: S307


@pytest.mark.slow
@given(FILTERS, FACTS)
@example(Comparison("tags", Operator.NOT_EQUAL, ""), Facts())
@example(Comparison("category", Operator.NOT_EQUAL, "a > b"), Facts(category="a > b > c"))
@example(Not(Comparison("attributes.a", Operator.EQUAL, "x")), Facts())
@example(
    Comparison("attributes.a", Operator.LESS, 1.0 + 1e-12), Facts(attributes={"a": (1.0 + 1e-13,)})
)
@example(Comparison("attributes.a", Operator.EQUAL, 0.0), Facts(attributes={"a": (-0.0,)}))
def test_no_product_that_passes_is_left_out(condition: Filter, facts: Facts) -> None:
    check(condition)
    assert accepts(condition, facts) or not passes(condition, facts)


@pytest.mark.slow
@given(FILTERS, FACTS)
def test_an_index_of_the_first_shape_leaves_none_out_either(
    condition: Filter, facts: Facts
) -> None:
    expression = filters.compile_filter(condition, shape=1)
    row = {**filters.columns(facts), "seq": 1}
    for name in attributes.ATTRIBUTE:
        del row[name]
    found = not expression or eval(expression, {"__builtins__": {}}, row)  # noqa: S307
    assert found or not passes(condition, facts)


@given(EXACT, FACTS)
@example(Comparison("availability", Operator.NOT_EQUAL, Availability.IN_STOCK), Facts())
@example(Not(Membership("availability", (Availability.IN_STOCK,))), Facts())
@example(Not(Comparison("create_time", Operator.EQUAL, Time(1))), Facts(create_time=Time(1)))
@example(Not(Membership("price", (Money("EUR", 1),))), Facts(price=Money("EUR", 1)))
def test_one_that_does_not_pass_slips_in_only_where_two_tags_share_a_column(
    condition: Filter, facts: Facts
) -> None:
    if indexed.SEVERAL not in {filters.columns(facts)[name] for name in filters.TAG}:
        assert accepts(condition, facts) == passes(condition, facts)


WHITE = Facts(category="Wine > White", brand="Hill", attributes={"abv": (13.5,), "dry": (True,)})
EQUAL, NOT_EQUAL, CONTAINS = Operator.EQUAL, Operator.NOT_EQUAL, Operator.CONTAINS


@pytest.mark.parametrize(
    ("condition", "facts", "accepted"),
    [
        (Comparison("create_time", Operator.LESS_OR_EQUAL, Time(0)), Facts(), True),
        (Comparison("create_time", Operator.LESS, Time(0)), Facts(), False),
        (Comparison("create_time", Operator.GREATER, Time(-1)), Facts(), True),
        (Comparison("create_time", Operator.LESS, Time(-1)), Facts(), False),
        (Not(Comparison("create_time", Operator.LESS, Time(-1))), Facts(), True),
        (Comparison("brand", CONTAINS, "il"), WHITE, True),
        (Comparison("brand", CONTAINS, "il"), Facts(), False),
        (Not(Comparison("brand", CONTAINS, "il")), WHITE, True),
        (Comparison("category", NOT_EQUAL, "Wine > White"), WHITE, False),
        (Comparison("category", NOT_EQUAL, "Wine > Red"), WHITE, True),
        (Comparison("category", NOT_EQUAL, "Wine > Red"), Facts(), False),
        (Not(Comparison("category", NOT_EQUAL, "Wine > White")), WHITE, True),
        (Not(Comparison("category", NOT_EQUAL, "Wine > Red")), WHITE, False),
        (Not(Comparison("category", NOT_EQUAL, "Wine > Red")), Facts(), True),
        (Comparison("attributes.dry", NOT_EQUAL, False), WHITE, True),
        (Comparison("attributes.dry", NOT_EQUAL, True), WHITE, False),
        (Comparison("attributes.abv", Operator.GREATER, 13.0), WHITE, True),
        (Comparison("attributes.abv", Operator.GREATER, 99.0), WHITE, False),
        (Comparison("attributes.abv", Operator.LESS, 13.0), WHITE, False),
        (Comparison("attributes.abv", Operator.LESS_OR_EQUAL, 13.5), WHITE, True),
        (Comparison("attributes.abv", NOT_EQUAL, 1.0), WHITE, True),
        (Comparison("attributes.abv", NOT_EQUAL, 99.0), WHITE, True),
        (Membership("attributes.abv", ()), WHITE, False),
    ],
)
def test_an_engine_answers_little_that_does_not_pass(
    condition: Filter, facts: Facts, accepted: bool
) -> None:
    """Check how often an engine returns rows that do not match: they are read and dropped, which is
    slow."""
    assert accepts(condition, facts) == accepted


@given(FILTERS)
def test_an_expression_holds_nothing_but_our_own_words_and_numbers(condition: Filter) -> None:
    expression = filters.compile_filter(condition)
    own = set(filters.COLUMNS) | {"seq", "and", "or", "in", "not"}
    words = expression.translate(str.maketrans("()[],=!<>", " " * 9)).split()
    assert all(word.isdigit() or word in own for word in words)
    assert set(expression) <= set(string.ascii_lowercase + string.digits + "()[], _=!<>")


@pytest.mark.parametrize("kind", [All, Any])
def test_many_conditions_are_not_nested_as_deep_as_they_are_many(kind: type[All | Any]) -> None:
    """Check the nesting: Milvus 2.3.5 does not read a chain of 64."""
    parts = tuple(Not(Comparison("tags", Operator.EQUAL, f"tag {n}")) for n in range(64))
    expression = filters.compile_filter(check(kind(parts)))
    steps = itertools.accumulate({"(": 1, ")": -1}.get(each, 0) for each in expression)
    assert max(steps) == 6  # 2^6 conditions


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
    assert indexed.SEVERAL < expressions.code(text) < 2**63


def test_the_shape_goes_with_the_columns() -> None:
    """Check that a change of the row's columns also changes SHAPE: else an old index would be asked
    for columns that it lacks."""
    wine = by_key([("grape", "Merlot"), ("grape", "Syrah"), ("abv", 13.5), ("organic", True)])
    row = filters.columns(
        Facts(category="Wine > Red", brand="Casa", attributes=wine, tags=frozenset({"a"}))
    )
    row["slice"] = filters.slice_number("5f" * 16)
    held = hashlib.sha256(repr(sorted(row.items())).encode()).hexdigest()[:12]
    assert (SHAPE, held) == (4, "4016d447658b")


def holds(expression: str, row_id: str) -> bool:
    """Return whether the expression matches a row; those of slices are also valid Python."""
    values = {"id": row_id, "slice": filters.slice_number(row_id)}
    return bool(eval(expression, {"__builtins__": {}}, values))  # noqa: S307


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("shape", [2, SHAPE])
@pytest.mark.parametrize("count", [2, 3, 7, 8])
def test_a_row_is_in_one_slice_and_slices_are_about_equal(shape: int, count: int) -> None:
    ids = [hashlib.sha256(b"%d" % n).hexdigest()[:32] for n in range(4_000)] + ["0" * 32, "f" * 32]
    held = [
        {row_id for row_id in ids if holds(filters.compile_filter(All(), shape, of=each), row_id)}
        for each in (Slice(number, count) for number in range(count))
    ]
    assert set().union(*held) == set(ids)
    assert sum(map(len, held)) == len(ids)
    assert min(map(len, held)) > 0.8 * len(ids) / count


def test_slices_are_numbers_from_the_third_shape_on() -> None:
    by_shape = {n: filters.compile_filter(All(), n, of=Slice(0, 2)) for n in (2, 3)}
    assert by_shape[2].startswith("id ")
    assert by_shape[3].startswith(f"{filters.SLICE} ")


LATER = [field for field in FILTERED if field.shape > 1]


@pytest.mark.parametrize("field", LATER, ids=lambda field: field.name)
def test_a_field_is_asked_from_the_shape_on_that_brought_it(field: Field) -> None:
    named = f"{field.name}.key" if field.name == "attributes" else field.name
    exists = Existence(named)
    assert filters.compile_filter(exists, field.shape) != filters.EVERYTHING
    assert filters.compile_filter(exists, field.shape - 1) == filters.EVERYTHING


def test_a_slice_of_a_filter_is_both() -> None:
    brand = Comparison("brand", Operator.EQUAL, "Casa")
    both = filters.compile_filter(brand, of=Slice(1, 2))
    assert both == f"({filters.compile_filter(brand)}) and (slice >= 420 and slice < 840)"


RED_WINE = Comparison("category", Operator.EQUAL, "Wine > Red")
ALE_OR_WINE = Membership("category", ("Beer > Ale", "Wine"))
CHEAP = Comparison("price", Operator.LESS, Money("EUR", 1))


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        (RED_WINE, {"Wine"}),
        (ALE_OR_WINE, {"Wine", "Beer"}),
        (All((CHEAP, RED_WINE)), {"Wine"}),
        (All((RED_WINE, ALE_OR_WINE)), {"Wine"}),
        (Any((RED_WINE, Comparison("category", Operator.EQUAL, "Tea"))), {"Wine", "Tea"}),
        (Any((RED_WINE, CHEAP)), None),
        (Not(RED_WINE), None),
        (Comparison("category", Operator.NOT_EQUAL, "Wine"), None),
        (Comparison("category", Operator.EQUAL, ""), None),
        (Membership("category", ("Wine", "")), None),
        (Any(), set()),
        (All(), None),
        (Existence("category"), None),
    ],
)
def test_the_top_categories_that_a_filter_stays_within(
    condition: Filter, named: set[str] | None
) -> None:
    assert top_categories(condition) == named


@pytest.mark.slow
@given(FILTERS, FACTS)
def test_the_partitions_that_are_left_out_hold_nothing_that_passes(
    condition: Filter, facts: Facts
) -> None:
    check(condition)
    assert accepts(condition, facts, partitioned=True) or not passes(condition, facts)


def test_a_search_of_partitions_names_the_top_categories() -> None:
    wine, tea = sorted(map(expressions.code, ("Wine", "Tea")))
    reported = filters.compile_filter(
        Any((RED_WINE, Membership("category", ("Tea",)))), partitioned=True
    )
    assert reported.endswith(f") and (category_1 in [{wine}, {tea}])")
    assert filters.compile_filter(CHEAP, partitioned=True) == filters.compile_filter(CHEAP)
    assert filters.compile_filter(Any(), partitioned=True) == expressions.NOTHING


def test_a_filter_of_two_top_categories_at_once_passes_no_row() -> None:
    condition = All((RED_WINE, Comparison("category", Operator.EQUAL, "Tea")))
    assert filters.compile_filter(condition, partitioned=True) == expressions.NOTHING


def test_a_disjunction_leaves_out_conditions_that_no_row_passes() -> None:
    assert expressions.either([expressions.NOTHING, "a == 1"]) == "a == 1"
    assert expressions.either([expressions.NOTHING] * 2) == expressions.NOTHING


def test_a_name_shows_the_shape_of_its_collection() -> None:
    first = "shop_visual_0123456789abcdef"
    assert shape_of(first) == 1
    assert shaped(first, 7) == f"{first}_s7"
    assert shape_of(shaped(first, 7)) == 7
    assert shaped(f"{first}_s7") == f"{first}_s{SHAPE}"
    assert shaped(f"{first}_s7", 1) == first


def test_codes_do_not_change_from_release_to_release() -> None:
    # They are stored in the index: a change needs a new generation.
    assert expressions.code("red") == RED
    assert expressions.code("") == 0


RED = 501179216621282385

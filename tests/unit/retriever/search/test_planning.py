"""Plans of searches: the choice for each filter, and the estimate from a sample."""

from __future__ import annotations

import itertools

import pytest

from retriever.domain.filter_parts import indexed_parts
from retriever.domain.generation import IndexKind, IndexParameters
from retriever.search import planning
from retriever.search.planning import (
    EXACT_ROWS,
    MAX_EF,
    MAX_LIMIT,
    MOST_MATCHES,
    FilterEstimate,
    Narrowing,
    Plan,
    Route,
    Sample,
    choose,
    estimate,
    first_limit,
    graph,
)
from sightline_rules.facts import Facts
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
)

HNSW = IndexParameters(kind=IndexKind.HNSW, ef=64)
FLAT = IndexParameters()
BRAND = Comparison("brand", Operator.EQUAL, "b1")
CHEAP = Comparison("price", Operator.LESS, Money("EUR", 10))
TAGGED = Comparison("tags", Operator.CONTAINS, "new")


def chosen(guess: FilterEstimate, parameters: IndexParameters = HNSW) -> Plan:
    return choose(parameters, guess, top_k=100, excluded=0, overfetch=2)


@pytest.mark.parametrize("share", [1.0, 0.05, 0.0001])
def test_a_flat_generation_is_searched_as_it_is(share: float) -> None:
    plan = chosen(FilterEstimate(100_000, share, Narrowing(BRAND, 10)), FLAT)
    assert (plan.route, plan.limit) == (Route.FLAT, 200)
    assert plan.words(2, 400) == "flat, 2 rounds, 400 rows"


@pytest.mark.parametrize(("share", "ef"), [(1.0, 1_200), (0.5, 2_400), (0.2, 6_000), (0.1, 12_000)])
def test_ef_grows_as_fewer_rows_pass(share: float, ef: int) -> None:
    plan = chosen(FilterEstimate(1_000_000, share))
    assert (plan.route, plan.ef) == (Route.GRAPH, ef)
    assert plan.reason == f"about {share:.0%} pass"


def test_ef_is_bounded() -> None:
    assert chosen(FilterEstimate(10_000_000, 0.001)).ef == MAX_EF
    assert chosen(FilterEstimate(10_000, 0.3)).ef == 4_000
    assert chosen(FilterEstimate(10_000, 0.01)).ef == 5_000, "half of the rows find all"
    assert chosen(FilterEstimate(20, 0.5)).ef == 200, "an engine refuses less than the limit"
    keen = IndexParameters(kind=IndexKind.HNSW, ef=30_000)
    assert chosen(FilterEstimate(10_000, 0.5), keen).ef == 30_000, "what the operator asked for"


def test_few_matches_of_an_indexed_part_are_read_from_the_record() -> None:
    plan = chosen(FilterEstimate(100_000, 0.005, Narrowing(BRAND, 600)))
    assert (plan.route, plan.narrowing) == (Route.EXACT, BRAND)
    assert plan.words(1, 500, 500) == "exact over 500 matches, 1 round, 500 rows, by brand"
    many = FilterEstimate(100_000, (EXACT_ROWS + 1) / 100_000, Narrowing(BRAND, EXACT_ROWS + 1))
    assert chosen(many).route is Route.GRAPH
    costly = FilterEstimate(10_000, 0.02, Narrowing(BRAND, MOST_MATCHES + 1))
    assert chosen(costly).route is Route.GRAPH, "the part alone passes too many"
    most = FilterEstimate(10_000, 0.02, Narrowing(BRAND, MOST_MATCHES))
    assert chosen(most).route is Route.EXACT


def test_matches_that_no_graph_would_find_are_reported_by_the_engine() -> None:
    plan = chosen(FilterEstimate(100_000, 0.001))
    assert (plan.route, plan.narrowing) == (Route.EXACT, None)
    assert chosen(FilterEstimate(100_000, EXACT_ROWS / 100_000)).route is Route.EXACT
    assert chosen(FilterEstimate(10_000, 0.01)).route is Route.GRAPH


def test_a_graph_is_walked_with_the_largest_ef_before_the_engine_reports_matches() -> None:
    keen = IndexParameters(kind=IndexKind.HNSW, ef=MAX_EF)
    share = planning.EF_FACTOR * 200 / MAX_EF
    assert chosen(FilterEstimate(5_000, share), keen).route is Route.GRAPH
    assert chosen(FilterEstimate(5_000, share * 0.99), keen).route is Route.EXACT


def comparing(guess: FilterEstimate) -> Plan:
    return choose(HNSW, guess, top_k=100, excluded=0, overfetch=2, compares=True)


@pytest.mark.parametrize(("share", "slices"), [(0.01, 1), (0.05, 1), (0.08, 2), (0.2, 4), (0.4, 8)])
def test_an_engine_that_compares_is_asked_for_slices_of_which_few_rows_pass(
    share: float, slices: int
) -> None:
    plan = comparing(FilterEstimate(100_000, share))
    assert (plan.route, plan.slices) == (Route.SLICES, slices)
    assert plan.ef >= min(MAX_EF, 6 * 200 / share), "for a share that was estimated too low"
    reported = "1 slice" if slices == 1 else f"{slices} slices"
    assert plan.words(1, 200).startswith(f"compared by the engine in {reported}, 1 round, 200 rows")


def test_a_graph_is_walked_where_many_rows_pass() -> None:
    assert comparing(FilterEstimate(100_000, 0.41)).route is Route.GRAPH
    assert comparing(FilterEstimate(1_000_000, 0.2)).route is Route.GRAPH, "too many to compare"
    assert comparing(FilterEstimate(20_000_000, 0.08)).slices == 2, "but no graph finds 8%"
    few = comparing(FilterEstimate(100_000, 0.005, Narrowing(BRAND, 600)))
    assert few.route is Route.EXACT, "the record is quicker yet"
    most = FilterEstimate(4 * planning.MOST_COMPARED, 0.25)
    assert comparing(most).slices == 5, "no more are compared"


def test_a_partition_is_all_that_a_search_of_its_category_walks_past() -> None:
    guess = FilterEstimate(1_000_000, 0.05, reach=0.1)
    assert (guess.density, guess.reached) == (0.5, 100_000)
    assert FilterEstimate(1_000_000, 0.5, reach=0.1).density == 1.0, "a sample may be wrong"
    plan = comparing(guess)
    assert (plan.route, plan.ef) == (Route.GRAPH, 2_400)


def test_what_a_search_of_a_category_reaches_of_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "LOOK_SECONDS", 60.0)
    facts = [Facts(category=f"Wine > c{n}" if n % 4 else "Tea") for n in range(400)]
    wine, few = Comparison("category", Operator.EQUAL, "Wine"), Sample(tuple(facts), 400)
    assert estimate(wine, few, 16).reach == pytest.approx(0.75 + 0.25 / 16)
    assert estimate(wine, few).reach == 1.0
    assert estimate(TAGGED, few, 16).reach == 1.0
    assert estimate(All((TAGGED, wine)), few, 16).reach == pytest.approx(0.75 + 0.25 / 16)


def test_an_estimate_that_was_wrong_is_taken_for_the_least_it_can_be() -> None:
    plan = graph(HNSW, FilterEstimate(100_000, 0.001), 200)
    assert plan.route is Route.GRAPH
    assert plan.ef == MAX_EF
    assert graph(HNSW, FilterEstimate(0, 0.5), 200).ef == 1_200


def test_a_deeper_round_widens_the_walk() -> None:
    plan = Plan(Route.GRAPH, 200, 600)
    deeper = plan.deeper(800)
    assert (deeper.limit, deeper.ef) == (800, 2_400)
    assert deeper.deeper(MAX_LIMIT).ef == MAX_LIMIT


def test_limits_of_the_first_round() -> None:
    assert first_limit(1, 0, 2) == 50
    assert first_limit(100, 30, 2) == 230
    assert first_limit(16_000, 0, 2) == MAX_LIMIT


@pytest.mark.parametrize(
    ("condition", "parts"),
    [
        (All(), []),
        (BRAND, [BRAND]),
        (All((BRAND, All((CHEAP, TAGGED)))), [BRAND, CHEAP]),
        (Any((BRAND, CHEAP)), []),
        (Not(BRAND), []),
        (Existence("brand"), []),
        (Comparison("brand", Operator.NOT_EQUAL, "b1"), []),
        (Comparison("brand", Operator.EQUAL, ""), []),
        (Comparison("price", Operator.NOT_EQUAL, Money("EUR", 1)), []),
        (Comparison("availability", Operator.EQUAL, Availability.IN_STOCK), []),
        (Membership("category", ("a", "b")), [Membership("category", ("a", "b"))]),
        (Membership("category", ()), []),
        (Membership("brand", ("a",)), [Membership("brand", ("a",))]),
        (Membership("brand", ("a", "")), []),
        (
            Membership("brand", tuple(map(str, range(20)))),
            [Membership("brand", tuple(map(str, range(20))))],
        ),
        (Membership("brand", tuple(map(str, range(21)))), []),
    ],
)
def test_which_parts_an_index_answers(condition: Filter, parts: list[Filter]) -> None:
    assert indexed_parts(condition) == parts


def sample(count: int = 1_000) -> Sample:
    facts = (Facts(brand=f"b{n % 20}", price=Money("EUR", n % 50)) for n in range(count))
    return Sample(tuple(facts), 100 * count)


def test_a_sample_shows_shares_and_the_narrowest_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "LOOK_SECONDS", 60.0)  # time to look at all
    guess = estimate(All((CHEAP, BRAND)), sample())
    assert guess.narrowing == Narrowing(BRAND, pytest.approx(5_000))
    assert guess.share == pytest.approx(0.01)
    assert guess.matches == pytest.approx(1_000)
    assert estimate(All(), sample()) == FilterEstimate(100_000)
    nobody = Comparison("brand", Operator.EQUAL, "nobody")
    assert estimate(nobody, sample()).share > 0, "there may be some"
    assert estimate(BRAND, Sample((), 0)).matches == 0
    assert Sample((), 0).share(BRAND) == 1.0, "nothing is known"
    assert estimate(BRAND, Sample((Facts(brand="b1"),), 1)).share == 1.0


def test_a_look_at_a_sample_ends_when_its_time_is_up() -> None:
    ticks = itertools.count(0, planning.LOOK_SECONDS / 4)
    seen: list[int] = []

    class Counted(tuple[Facts, ...]):
        __slots__ = ()

        def __getitem__(self, part: object) -> tuple[Facts, ...]:  # type: ignore[override]
            found = super().__getitem__(part)  # type: ignore[index]
            seen.append(len(found))
            return found

    given = Sample(Counted(sample().facts), 1_000)
    share = given.share(BRAND, lambda: next(ticks))
    assert share == pytest.approx(0.05, abs=0.03)
    assert sum(seen) == 4 * planning.LOOK_STEP

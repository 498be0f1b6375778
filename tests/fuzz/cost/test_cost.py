"""The search keeps the most expensive requests, mutations stay valid, and the limits can fail."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest

from bench.harness.model import GoalVerdict
from sightline.common.v1.filter_pb2 import Filter
from sightline_rules import filter_checks
from sightline_rules.messages import read as read_filter
from tests.chaos.model import NotMeasured
from tests.chaos.suite.crowd import REFUSED, WHOLE, Got
from tests.fuzz.cost import cases
from tests.fuzz.cost.attack import Attack
from tests.fuzz.cost.prices import limit, price, work
from tests.fuzz.cost.recipes import NUMBERS, ROLES, SEEDS, WATCHES, Recipe, bounded, mutated
from tests.fuzz.cost.run import ALL, ATTACKING, CostResult, median, worst
from tests.fuzz.cost.search import Case, Cost, Search
from tests.fuzz.cost.stage import watch_of
from tests.fuzz.cost.watched import LoopWatch, watched
from vision.domain.watches import check
from vision.servicer.watch_messages import watch_draft

pytestmark = pytest.mark.full

MIB = 2**20
SMALL = Recipe("ListProducts")


def cost(cpu: float = 0.0, blocked: float = 0.0, code: str = "OK") -> Cost:
    return Cost(cpu, blocked, code)


def test_every_call_that_has_a_role_has_a_seed():
    assert {seed.call for seed in SEEDS} == set(ROLES)


def test_a_search_begins_with_all_seeds():
    search = Search(random.Random(1))
    proposed = []
    for _ in SEEDS:
        proposed.append(search.propose())
        search.note(proposed[-1], cost(0.1))
    assert tuple(proposed) == SEEDS


def test_the_search_finds_what_costs_most_and_keeps_it():
    """Search where the cost grows with conditions and falls with the letters of their values."""

    def costs(recipe: Recipe) -> Cost:
        return cost(recipe.conditions / recipe.letters)

    search = Search(random.Random(3), kept=4, seeds=(SMALL,))
    seen = []
    for _ in range(400):
        recipe = search.propose()
        seen.append(costs(recipe))
        search.note(recipe, seen[-1])
    assert search.cases[0].cost.cpu == max(each.cpu for each in seen)
    assert search.cases[0].cost.cpu > 20
    assert [each.cost.cpu for each in search.cases] == sorted(
        (each.cost.cpu for each in search.cases), reverse=True
    )


def test_the_same_seed_searches_the_same():
    def proposals() -> list[Recipe]:
        search = Search(random.Random(5))
        made = []
        for number in range(60):
            made.append(search.propose())
            search.note(made[-1], cost(number % 7))
        return made

    assert proposals() == proposals()


def test_one_call_does_not_fill_the_search():
    search = Search(random.Random(1), kept=5, of_a_call=2)
    for number in range(9):
        search.note(Recipe("Search", texts=number), cost(9 + number))
    search.note(Recipe("ListProducts"), cost(0.1))
    assert [case.recipe.call for case in search.cases] == ["Search", "Search", "ListProducts"]
    assert [case.cost.cpu for case in search.cases] == [17, 16, 0.1]


def test_the_worst_of_each_role_is_kept():
    search = Search(random.Random(1), kept=3)
    search.note(Recipe("WriteEvents"), cost(0.1))
    for number in range(9):
        search.note(Recipe("Search", texts=number), cost(9 + number))
    assert [case.recipe.call for case in search.cases] == ["Search", "Search", "WriteEvents"]


def test_a_blocked_loop_counts_as_much_as_processor_time():
    search = Search(random.Random(1))
    search.note(Recipe("Search"), cost(cpu=0.9))
    search.note(Recipe("Recommend"), cost(blocked=0.2))
    assert search.cases[0].recipe.call == "Recommend"


def test_a_request_that_is_measured_again_keeps_its_last_cost_and_one_place():
    search = Search(random.Random(1))
    search.note(SMALL, cost(5))
    search.note(SMALL, cost(1))
    assert [case.cost.cpu for case in search.cases] == [1]


def test_requests_that_were_refused_are_counted():
    search = Search(random.Random(1))
    search.note(SMALL, cost(0.0, code="REQUEST_TOO_EXPENSIVE"))
    assert search.refused == {"ListProducts REQUEST_TOO_EXPENSIVE": 1}


def filters_of(message: object) -> list[Filter]:
    request = getattr(message, "request", message)
    own = [request.filter] if request.HasField("filter") else []
    return own + [each.filter for each in getattr(request, "controls", ())]


@pytest.mark.parametrize("seed", SEEDS, ids=lambda each: each.call)
def test_mutations_stay_requests_that_the_contract_takes(seed: Recipe):
    chance = random.Random(11)
    recipe = seed
    for number in range(40):
        recipe = mutated(recipe, seed, chance)
        assert bounded(recipe) == recipe
        for name, (low, most) in NUMBERS.items():
            assert low <= getattr(recipe, name) <= (1_000 if name == "page_size" else most)
        light = replace(recipe, side=64)  # large photos take seconds to make
        raw = light.build(number)
        assert len(raw) <= 32 * MIB
        message = recipe.method.request.FromString(raw)
        request = getattr(message, "request", message)
        assert len(getattr(request, "signals", ())) <= 8
        if recipe.call in ("Recommend", "Search", "ExplainRecommendation", "ListProducts"):
            for found in filters_of(message):
                filter_checks.check(read_filter(found, "filter"))


def test_every_build_is_another_request():
    for seed in SEEDS:
        light = replace(seed, side=64)
        if seed.texts or seed.photos or seed.conditions or seed.role != "read":
            assert light.build(1) != light.build(2), seed


def test_mutations_are_not_all_the_same():
    chance = random.Random(2)
    assert len({mutated(SEEDS[0], SEEDS[1], chance) for _ in range(50)}) > 25


def got(seconds: float, outcome: str = WHOLE) -> list[Got]:
    return [Got(0.0, 0.0, seconds, outcome)] * 100


def goals(case: Case | None = None, attack: Attack | None = None) -> list[GoalVerdict]:
    attacks = dict.fromkeys(ATTACKING, attack) if attack else {}
    result = CostResult([case] if case else [], 1, attacks)
    return [goal.verdict for goal in result.goals]


MET, MISSED, NOT_MEASURED = GoalVerdict.MET, GoalVerdict.MISSED, GoalVerdict.NOT_MEASURED


@pytest.mark.parametrize(
    ("found", "verdicts"),
    [
        (cost(1.0, 0.1), [MET, MET]),
        (cost(1.01, 0.1), [MISSED, MET]),
        (cost(1.0, 0.101), [MET, MISSED]),
    ],
)
def test_a_request_above_a_limit_is_missed(found: Cost, verdicts: list[GoalVerdict]):
    known = {goal.name: goal.verdict for goal in CostResult([Case(SMALL, found)]).goals}
    blocked = "an event loop blocked by a request"
    assert [known.pop("processor time of a request of role read"), known.pop(blocked)] == verdicts
    assert set(known.values()) == {NOT_MEASURED}


def test_requests_about_photos_and_frames_are_judged_by_the_largest_of_their_role():
    worst = Case(
        Recipe("DetectProducts", side=5_000, format="AVIF", detections=300, heat_maps=20),
        cost(0.99 * limit("detect")),
    )
    goals = {goal.name: goal for goal in CostResult([worst]).goals}
    assert goals["processor time of a request of role detect"].verdict is MET
    assert goals["price of a request of role detect"].verdict is MET
    assert limit("detect") == price(worst.recipe) > limit("read") == limit("inspect")


def test_products_that_are_written_are_judged_by_their_price():
    largest = Recipe("UpsertProducts", items=100, attributes=100, letters=1_000)
    case = Case(largest, cost(0.99 * limit("catalog")))
    goals = {goal.name: goal for goal in CostResult([case]).goals}
    assert goals["processor time of a request of role catalog"].verdict is MET
    assert goals["price of a request of role catalog"].verdict is MET
    assert (price(Recipe("UpsertProducts", items=1)) or 0.0) < limit("catalog") / 50


@pytest.mark.parametrize(("cpu", "verdict"), [(1.11, MET), (1.12, MISSED)])
def test_a_price_below_the_cost_is_missed(cpu: float, verdict: GoalVerdict):
    recipe = Recipe("SendFrames", frames=8, objects=64, watch="both")
    case = Case(recipe, cost(cpu * (price(recipe) or 0.0)))
    (found,) = (g for g in CostResult([case]).goals if g.name == "price of a request of role watch")
    assert found.verdict is verdict


@pytest.mark.parametrize("name", WATCHES)
def test_the_watches_that_get_frames_are_valid_and_compare_as_much_as_is_priced(name: str):
    watch = check(watch_draft(watch_of(name, WATCHES[name])))
    assert len(watch.compared) == work(Recipe("SendFrames", watch=name)).parts
    assert watch.recognises == bool(work(Recipe("SendFrames", watch=name, objects=1)).views)


def test_a_price_grows_with_all_that_a_request_works_on():
    small = Recipe("SendFrames", watch="regions")
    more = (
        replace(small, frames=2),
        replace(small, watch="both"),
        replace(small, watch="both", objects=9),
    )
    assert all((price(each) or 0.0) > (price(small) or 0.0) for each in more)
    assert price(SMALL) is None


@pytest.mark.parametrize(
    ("beside", "verdicts"),
    [
        (got(0.2), [MET, MET]),
        (got(0.21), [MISSED, MET]),
        (got(0.1)[:89] + got(0.1, REFUSED)[:11], [MET, MISSED]),
        (got(0.1)[:90] + got(0.1, REFUSED)[:10], [MET, MET]),
        (got(2.1), [MISSED, MISSED]),
        ([], [NOT_MEASURED, NOT_MEASURED]),
    ],
)
def test_others_that_wait_or_get_less_are_missed(beside: list[Got], verdicts: list[GoalVerdict]):
    assert goals(Case(SMALL, cost()), Attack(got(0.1), beside, ""))[-4:] == 2 * verdicts


def test_nothing_measured_meets_no_limit():
    assert goals() == [NOT_MEASURED] * 15


def test_eight_attack_with_the_worst_of_their_role():
    found = [Case(Recipe("UpsertProducts"), cost(4)), Case(SMALL, cost(1)), Case(SEEDS[0], cost(1))]
    assert worst(found, "read") == [SMALL, SEEDS[0]] * 4
    assert worst(found, ALL)[:4] == [*(case.recipe for case in found), found[0].recipe]
    with pytest.raises(NotMeasured):
        worst([], "read")


def test_the_median_of_repeated_measurements_counts():
    found = median([cost(9.0, 0.01), cost(0.5, 0.02), cost(0.4, 0.9)])
    assert (found.cpu, found.blocked) == (0.5, 0.02)


def test_cases_are_read_as_they_were_written(tmp_path: Path):
    found = [Case(seed, cost(0.25)) for seed in SEEDS]
    cases.write(tmp_path / "cases.json", found)
    read = cases.read(tmp_path / "cases.json")
    assert [each.recipe for each in read] == list(SEEDS)
    assert {each.cpu for each in read} == {0.25}


async def test_a_watch_sees_a_loop_that_is_blocked_by_its_own_work(tmp_path: Path):
    watch = LoopWatch(tmp_path / "loop")

    async def busy() -> None:
        await asyncio.sleep(0.05)
        total = 0
        for number in range(5_000_000):
            total += number
        await asyncio.sleep(0.05)

    await watched(busy(), watch)
    blocked, late = LoopWatch(tmp_path / "loop").worst()
    assert 0.05 < blocked <= late
    watch.reset()
    assert watch.worst() == (0.0, 0.0)


async def test_a_watch_does_not_count_a_wait_without_work(tmp_path: Path):
    """Simulate a loop whose processor is used by others."""
    watch = LoopWatch(tmp_path / "loop")
    await watched(asyncio.sleep(0.1), watch)
    assert watch.worst()[0] < 0.05

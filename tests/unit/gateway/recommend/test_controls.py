"""Pins, boosts, burials and exclusions of a request and of its scene."""

from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.controls import (
    LAST_MICROS,
    ActiveControl,
    ControlRule,
    ControlState,
    RequestCondition,
)
from gateway.model.diversity import Diversity
from gateway.model.errors import PeerUnavailable
from gateway.model.explanation import PlaceCap, ProductOutcome
from gateway.model.filters import carried, of_words
from gateway.model.plan import MOST_RANKED
from gateway.model.query import AnswerScope, RequestQuery, Signal, SignalKind
from gateway.ranking import wording
from gateway.recommend.begin import begin
from gateway.recommend.controls.active import activate_controls, inactive_reason
from gateway.recommend.controls.conditions import is_met
from gateway.recommend.controls.moves import apply_boosts, apply_pins
from gateway.recommend.controls.step import opposite
from gateway.recommend.explain import explain
from gateway.recommend.recommend import recommend
from gateway.state.request_context import RequestDependencies
from servicekit.admission import access
from servicekit.errors import Internal
from servicekit.rpc.requests import PageTokenInvalid
from sightline.common.v1 import filter_pb2
from sightline_core.answer import AnswerOrder
from sightline_core.candidates import FusedCandidates
from sightline_core.reasons import Move, MoveCause
from sightline_core.search import Rejection
from sightline_rules.controls import Control, ControlKind
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import ANN, by_photo, columns, ids

BY_SCORE = ["p3", "p1", "p4", "p2"]
BRAND = carried(filter_pb2.Filter(existence=filter_pb2.Existence(field="brand")))

TITLED = of_words("title:red")
"""Condition that columns can't evaluate."""


def pin(place: int, *products: str, name: str = "", **fields) -> ControlRule:
    return ControlRule(name or f"pin-{place}", ControlKind.PIN, products, place=place, **fields)


def boost(amount: float, *products: str, **fields) -> ControlRule:
    return ControlRule("boost", ControlKind.BOOST, products, boost=amount, **fields)


def bury(*products: str, **fields) -> ControlRule:
    return ControlRule("bury", ControlKind.BURY, products, **fields)


def exclude(*products: str, **fields) -> ControlRule:
    return ControlRule("exclude", ControlKind.EXCLUDE, products, **fields)


def outcomes(answer) -> list[tuple[str, str, str]]:
    return [(item.control, item.product_id, item.state.name) for item in answer.control_outcomes]


def by_control(answer) -> list[int]:
    """Return the number of places that controls moved each result."""
    control = MoveCause.CONTROL
    return [
        sum(move.places for move in item.moves if move.cause == control) for item in answer.results
    ]


async def ask(shop: Shop, *controls: ControlRule, **fields):
    return await recommend(by_photo(controls=controls, **fields), shop.deps)


LOST = {"rank": Internal("a bug", reason="INTERNAL")}


@pytest.mark.parametrize("fails", [{}, LOST], ids=["ranked", "fused"])
@pytest.mark.parametrize(
    ("controls", "expected", "moved"),
    [
        ([pin(1, "p2")], ["p2", "p3", "p1", "p4"], [3, -1, -1, -1]),
        ([pin(2, "p2", "p3")], ["p1", "p2", "p3", "p4"], [1, 2, -2, -1]),
        ([pin(2, "p9")], ["p3", "p9", "p1", "p4", "p2"], [0, 3, -1, -1, -1]),
        ([boost(10, "p2")], ["p2", "p3", "p1", "p4"], [3, -1, -1, -1]),
        ([bury("p3")], ["p1", "p4", "p2", "p3"], [1, 1, 1, -3]),
        ([pin(1, "p4"), bury("p3")], ["p4", "p1", "p2", "p3"], [2, 0, 1, -3]),
        ([exclude("p3")], ["p1", "p4", "p2"], [0, 0, 0]),
    ],
)
async def test_controls_move_products_and_say_so(fails, controls, expected, moved):
    shop = shop_with_photo()
    shop.ranker.fails = fails
    answer = await ask(shop, *controls)

    assert ids(answer) == expected
    assert by_control(answer) == moved
    for item in answer.results:
        assert sum(move.places for move in item.moves) == item.answered.score_rank - item.rank
    assert {outcome for _, _, outcome in outcomes(answer)} == {"APPLIED"}
    (kept,) = shop.ranker.records.values()
    assert kept.order.product_ids[: len(expected)] == expected
    assert kept.controls == tuple(f"./{each.name}" for each in controls if each.place or each.boost)


async def test_a_pinned_product_that_nothing_names_says_that_the_shop_picked_it():
    shop = shop_with_photo()
    shop.ranker.fails = LOST
    first, *_ = (await ask(shop, pin(1, "p9"))).results
    assert (first.answered.branches, first.answered.reasons[0].code) == ((), "FEATURED")


async def test_a_pinned_product_that_may_not_be_shown_stays_out_and_the_answer_says_why():
    shop = shop_with_photo()
    shop.retriever.sold_out = {"p7"}
    shop.retriever.record.remove("p7")
    shop.ranker.hidden = frozenset({"p8"})
    shop.retriever.rejections = {
        "p0": Rejection(condition=opposite(BRAND)),
        "p1": Rejection(condition="price < 3 EUR"),
    }
    shop.retriever.nearest[b"photo"].pop("p1")
    found = await ask(
        shop,
        pin(1, "p7", "p8", "nope", "p6", "p0", "p1", "p5"),
        exclude(filter=BRAND),
        shopper=ANN,
        exclude_product_ids=("p4", "p6"),
    )

    assert ids(found) == ["p5", "p3", "p2"]
    assert outcomes(found) == [
        ("exclude", "", "APPLIED"),
        ("pin-1", "p7", "OUT_OF_STOCK"),
        ("pin-1", "nope", "NOT_FOUND"),
        ("pin-1", "p6", "EXCLUDED"),
        ("pin-1", "p0", "EXCLUDED"),
        ("pin-1", "p1", "FILTERED"),
        ("pin-1", "p8", "HIDDEN"),
        ("pin-1", "p5", "APPLIED"),
    ]
    checked = [
        scope
        for call, scope in zip(shop.retriever.calls, shop.retriever.scopes, strict=True)
        if call[0] == "checked"
    ]
    assert [scope.buyable_only for scope in checked] == [True]


async def test_a_pinned_variant_stands_for_its_family():
    shop = shop_with_photo()
    shop.retriever.parents = {"p3": "wine", "p2": "wine"}
    answer = await ask(shop, pin(3, "p2"))
    assert ids(answer) == ["p1", "p4", "p2"]
    assert answer.results[2].answered.collapsed == ("p3",)
    for item in answer.results:
        assert sum(move.places for move in item.moves) == item.answered.score_rank - item.rank


async def test_filters_say_what_is_boosted_buried_and_excluded():
    shop = shop_with_photo()
    shop.retriever.passing[TITLED.content] = {"p4", "p2"}
    assert ids(await ask(shop, boost(10, filter=TITLED))) == ["p4", "p2", "p3", "p1"]
    assert ids(await ask(shop, bury(filter=TITLED))) == ["p3", "p1", "p4", "p2"]
    await ask(shop, exclude(filter=BRAND))
    assert shop.retriever.scopes[-1] == AnswerScope(buyable_only=True, without=(BRAND,))
    shop.retriever.fails["columns"] = PeerUnavailable(Peer.RETRIEVER)
    answer = await ask(shop, boost(10, filter=TITLED))
    assert ids(answer) == BY_SCORE
    assert [item.stage for item in answer.degradations] == ["controls"]


async def test_a_requests_controls_come_before_those_of_its_scene():
    shop = shop_with_photo()
    of_scene = (pin(1, "p4"), exclude("p2"))
    shop.scene(lambda scene: replace(scene, controls=of_scene))
    assert ids(await ask(shop)) == ["p4", "p3", "p1"]
    answer = await ask(shop, pin(1, "p2", name="mine"))
    assert ids(answer) == ["p2", "p4", "p3", "p1"]
    assert [(item.scene, item.control) for item in answer.control_outcomes] == [
        ("default", "exclude"),
        ("", "mine"),
        ("default", "pin-1"),
    ]
    assert answer.control_outcomes[0].state == ControlState.APPLIED


async def test_an_exclusion_comes_before_a_pin_of_the_scene():
    shop = shop_with_photo()
    shop.scene(lambda scene: replace(scene, controls=(pin(1, "p4"),)))
    answer = await ask(shop, exclude("p4"))

    assert ids(answer) == ["p3", "p1", "p2"]
    assert ("pin-1", "p4", "EXCLUDED") in outcomes(answer)


async def test_later_pages_go_on_behind_what_is_pinned_and_belong_to_the_same_controls():
    shop = shop_with_photo()
    one = await ask(shop, pin(3, "p9"), page_size=2)
    two = await ask(shop, pin(3, "p9"), page_size=2, page_token=one.next_page_token)
    assert (ids(one), ids(two)) == (["p3", "p1"], ["p9", "p4"])
    assert (outcomes(one), outcomes(two)) == ([("pin-3", "p9", "APPLIED")], [])
    with pytest.raises(PageTokenInvalid):
        await ask(shop, pin(4, "p9"), page_size=2, page_token=one.next_page_token)


async def test_what_is_excluded_since_the_first_page_is_out_of_the_next_ones():
    shop = shop_with_photo()
    one = await ask(shop, page_size=2)
    shop.scene(lambda scene: replace(scene, controls=(exclude("p4"),)))
    two = await ask(shop, page_size=2, page_token=one.next_page_token)
    assert (ids(one), ids(two)) == (["p3", "p1"], ["p2"])


async def test_without_controls_nothing_more_is_asked_or_sent():
    shop = shop_with_photo()
    answer = await ask(shop)
    assert (ids(answer), list(answer.control_outcomes)) == (BY_SCORE, [])
    assert "control_counts" not in shop.ranker.asked
    assert [name for name, _ in shop.retriever.calls] == ["search", "products"]


@pytest.mark.parametrize(
    ("control", "time", "why"),
    [
        (pin(1, "p1", start_time=10, end_time=20), 9, ControlState.NOT_YET),
        (pin(1, "p1", start_time=10, end_time=20), 10, None),
        (pin(1, "p1", start_time=10, end_time=20), 19, None),
        (pin(1, "p1", start_time=10, end_time=20), 20, ControlState.ENDED),
        (pin(1, "p1", daily_budget=3), 0, None),
        (pin(1, "p1", daily_budget=2), 0, ControlState.OUT_OF_BUDGET),
        (pin(1, "p1", name="not-shown-yet", daily_budget=1), 0, None),
    ],
)
def test_a_control_rests_outside_of_its_time_and_beyond_its_budget(control, time, why):
    counts = {"./pin-1": 2, "home/pin-1": 9}
    assert inactive_reason(ActiveControl(control, ""), RequestQuery(), time, counts) == why


def asking(text: str = "", market: str = "", *audiences: str, having: str = "") -> RequestQuery:
    """Return a request with a text, a market, audiences and a filter."""
    message = of_words(having).message if having else filter_pb2.Filter()
    message.market_id = market
    return RequestQuery(
        signals=(Signal(0, SignalKind.TEXT, text=text),) if text else (),
        audiences=audiences,
        filter=carried(message),
    )


RED = asking(
    "Rosé, or RED wines", "de", "vip", "device:phone", having="brand = Aurora AND stock > 3"
)


@pytest.mark.parametrize(
    ("when", "query", "met"),
    [
        ({"words": ("wines red", "beer")}, RED, True),
        ({"words": ("rose",)}, RED, True),
        ({"words": ("red beer",)}, RED, False),
        ({"words": ("红葡萄酒",)}, asking("法国红葡萄酒"), True),
        ({"words": ("red",)}, RequestQuery(text="red shoes"), True),
        ({"words": ("red",)}, RequestQuery(), False),
        (
            {"words": ("red",)},
            RequestQuery(signals=(Signal(0, SignalKind.TEXT, text="red", negative=True),)),
            False,
        ),
        ({"markets": ("at", "de")}, RED, True),
        ({"markets": ("at",)}, RED, False),
        ({"markets": ("at",)}, RequestQuery(), False),
        ({"audiences": ("vip", "new")}, RED, True),
        ({"audiences": ("device:desktop",)}, RED, False),
        ({"filter": "brand = Aurora"}, RED, True),
        ({"filter": "stock > 3 AND brand = Aurora"}, RED, True),
        ({"filter": "brand = Aurora AND stock > 4"}, RED, False),
        ({"filter": "brand = Aurora"}, RequestQuery(), False),
        ({"words": ("red",), "markets": ("at",)}, RED, False),
        ({"words": ("red",), "markets": ("de",), "audiences": ("vip",)}, RED, True),
    ],
)
def test_a_control_applies_to_requests_that_meet_its_condition(when, query, met):
    control = pin(1, "p1", when=RequestCondition(**when))
    reason = inactive_reason(ActiveControl(control, "home"), query, 0, {})
    assert reason == (None if met else ControlState.UNMET)


FIVE = " OR ".join(f'brand = "b{number}"' for number in range(5))


def any_of(*texts: str):
    parts = [of_words(text).message for text in texts]
    return carried(filter_pb2.Filter(any=filter_pb2.FilterList(filters=parts)))


def all_of(*texts: str):
    parts = [of_words(text).message for text in texts]
    return carried(filter_pb2.Filter(all=filter_pb2.FilterList(filters=parts)))


@pytest.mark.parametrize(
    ("wanted", "asked", "met"),
    [
        (of_words(f"{FIVE} OR brand = A"), of_words(f"{FIVE} OR brand = Z"), False),
        (of_words(f"{FIVE} OR brand = A"), of_words(f"brand = A OR {FIVE}"), True),
        (of_words("brand = A OR brand = B"), any_of("brand = B", "brand = A"), True),
        (of_words("brand = A"), any_of("brand = A"), True),
        (of_words("brand = A"), all_of("brand = A", "price < 30 EUR"), True),
        (all_of("brand = A", "price < 30 EUR"), of_words("brand = A"), False),
        (any_of("brand = A", "title:red"), any_of("title:red", "brand = A"), True),
        (any_of("brand = A", "title:red"), any_of("title:red", "brand = B"), False),
        (of_words("NOT brand = A"), of_words("NOT (brand = A)"), True),
        (of_words("NOT brand = A"), of_words("brand = A"), False),
        (of_words("attributes.x = 1"), of_words("attributes.x = true"), False),
        (of_words("brand:*"), of_words("brand:* AND title:red"), True),
        (
            of_words("brand = A"),
            carried(
                filter_pb2.Filter(
                    market_id="de", comparison=of_words("brand = A").message.comparison
                )
            ),
            True,
        ),
        (of_words("brand = A"), carried(filter_pb2.Filter()), False),
        (of_words("brand = A"), None, False),
    ],
)
def test_a_condition_compares_filters_by_what_they_mean(wanted, asked, met):
    assert is_met(RequestCondition(filter=wanted), RequestQuery(filter=asked)) is met


async def test_a_scenes_control_applies_to_its_audience_alone():
    shop = shop_with_photo()
    hero = pin(1, "p2", when=RequestCondition(audiences=("vip",)))
    shop.scenes.scenes["default"] = replace(shop.deps.scenes.get("default"), controls=(hero,))
    vip = await recommend(by_photo(audiences=("vip",)), shop.deps)
    other = await recommend(by_photo(), shop.deps)
    assert ids(vip)[0] == "p2"
    assert ids(other)[0] != "p2"
    assert outcomes(other) == [("pin-1", "", "UNMET")]
    explained = await explain(by_photo(), "p2", shop.deps)
    assert [(each.control, each.state) for each in explained.resting] == [
        ("pin-1", ControlState.UNMET)
    ]
    assert (await explain(by_photo(audiences=("vip",)), "p2", shop.deps)).resting == ()


async def test_a_budget_is_that_of_first_pages_that_the_control_changed():
    shop = shop_with_photo()
    shop.ranker.exposures = {"./pin-1": 1}
    deps = shop.deps
    far, hero = pin(4, "p9", name="far", daily_budget=1), pin(1, "p2", daily_budget=3)
    asked = by_photo(controls=(far, hero), page_size=2)
    answers = [await recommend(asked, deps) for _ in range(3)]

    assert [ids(each) for each in answers] == [["p2", "p3"], ["p2", "p3"], ["p3", "p1"]]
    assert outcomes(answers[2])[0] == ("pin-1", "", "OUT_OF_BUDGET")
    assert shop.ranker.asked.count("control_counts") == 1


async def test_explanations_say_what_controls_do():
    shop = shop_with_photo()
    shop.retriever.parents = {"p3": "wine", "p2": "wine"}
    query = by_photo(controls=(pin(1, "p9"), pin(3, "p2"), exclude("p4")))
    found = {item: await explain(query, item, shop.deps) for item in ("p4", "p9", "p2", "p3")}

    assert {item: each.outcome for item, each in found.items()} == {
        "p4": ProductOutcome.EXCLUDED_BY_CONTROL,
        "p9": ProductOutcome.SHOWN,
        "p2": ProductOutcome.SHOWN,
        "p3": ProductOutcome.COLLAPSED,
    }
    assert ids(await recommend(query, shop.deps)) == ["p9", "p1", "p2"]
    assert [found[item].placed.rank for item in ("p9", "p2")] == [1, 3]
    assert [move.cause for move in found["p9"].placed.moves] == [MoveCause.CONTROL]
    assert found["p3"].collapsed_into == "p2"
    assert "control_counts" not in shop.ranker.asked


async def test_an_explanation_names_the_controls_that_select_the_product():
    shop = shop_with_photo()
    shop.ranker.exposures = {"default/hero": 4, "default/other": 9}
    shop.retriever.passing[TITLED.content] = {"p2"}
    vip = RequestCondition(audiences=("vip",))
    own = (
        pin(1, "p2", name="hero", daily_budget=4),
        ControlRule("titled", ControlKind.EXCLUDE, filter=TITLED, when=vip),
        pin(3, "p1", name="other", daily_budget=9),
    )
    shop.scene(lambda scene: replace(scene, controls=own))
    found = await explain(by_photo(controls=(boost(0.5, "p2"),)), "p2", shop.deps)
    named = [
        (each.given.scene, each.given.control.name, each.state, each.exposures)
        for each in found.controls
    ]
    assert named == [
        ("", "boost", ControlState.APPLIED, 0),
        ("default", "hero", ControlState.OUT_OF_BUDGET, 4),
        ("default", "titled", ControlState.UNMET, 0),
    ]
    gone = await explain(by_photo(controls=(exclude("p2"),)), "p2", shop.deps)
    assert gone.outcome is ProductOutcome.EXCLUDED_BY_CONTROL
    assert gone.excluding == ("exclude",)
    assert wording.outcome(gone, "") == "The control exclude excludes it."
    assert (await explain(by_photo(), "p4", shop.deps)).controls == ()


async def test_an_explanation_counts_the_products_that_a_limit_lets_through():
    shop = shop_with_photo()
    shop.retriever.paths = dict.fromkeys(("p1", "p2", "p3"), "Wine > Red")
    caps = Diversity(cap_places=2, brand_cap=1, category_caps=((1, 2),))
    shop.scene(lambda scene: replace(scene, diversity=caps))
    found = await explain(by_photo(), "p2", shop.deps)
    assert found.caps == (PlaceCap(MoveCause.CATEGORY_CAP, "Wine", 2, 2, 2),)
    assert (await explain(by_photo(), "p4", shop.deps)).caps == (), "it has no category"


def test_what_a_filter_excludes_is_known_by_the_words_of_a_rejection():
    assert opposite(BRAND) == "NOT brand:*"


async def test_a_pin_that_passed_is_not_asked_for_again_until_a_page_finds_it_gone():
    shop = shop_with_photo()
    deps = shop.deps

    async def asked() -> tuple[list[str], list[tuple[str, str, str]], int]:
        before = len(shop.retriever.calls)
        answer = await recommend(by_photo(controls=[pin(1, "p9")]), deps)
        calls = [name for name, _ in shop.retriever.calls[before:]]
        return ids(answer), outcomes(answer), calls.count("checked")

    shown = ["p9", *BY_SCORE], [("pin-1", "p9", "APPLIED")]
    assert await asked() == (*shown, 1)
    assert await asked() == (*shown, 0)
    shop.retriever.record.remove("p9")
    gone = BY_SCORE, [("pin-1", "p9", "NOT_FOUND")]
    assert await asked() == (*gone, 1)
    assert await asked() == (*gone, 1)
    shop.retriever.record.append("p9")
    assert await asked() == (*shown, 1)


async def test_an_inactive_control_changes_nothing_and_says_why():
    later = LAST_MICROS
    shop = shop_with_photo()
    answer = await ask(shop, pin(1, "p2", start_time=later), exclude("p3", start_time=later))

    assert ids(answer) == BY_SCORE
    assert outcomes(answer) == [("pin-1", "", "NOT_YET"), ("exclude", "", "NOT_YET")]


async def test_an_exclusion_by_id_sends_no_filter():
    shop = shop_with_photo()
    await ask(shop, exclude("p3"))

    assert {scope.without for scope in shop.retriever.scopes} == {()}


async def test_pins_leave_room_among_the_ranked_products():
    shop = shop_with_photo()
    shop.scene(lambda scene: replace(scene, most_candidates=MOST_RANKED))
    run = begin(by_photo(controls=(pin(1, "p8", "p9"),)), shop.deps)
    changed, _ = await activate_controls(run)

    assert (run.plan.most, changed.plan.most) == (MOST_RANKED, MOST_RANKED - 2)


async def test_a_pin_where_its_product_stands_already_moves_nothing():
    answer = await ask(shop_with_photo(), pin(1, "p3"))

    assert [item.moves for item in answer.results] == [()] * 4


def fused(*given: Control) -> FusedCandidates:
    """Return three products under these controls."""
    return FusedCandidates(
        columns=columns("a", "b", "c"),
        fused=(3.0, 2.0, 1.0),
        order=(0, 1, 2),
        branches=(1, 1, 1),
        nearest=(None, None, None),
        image_ids=("", "", ""),
        similarities={},
        controls=given,
    )


def test_an_order_without_controls_stays_one_by_scores_without_moves():
    by_scores = AnswerOrder(("a", "b", "c"), (3.0, 2.0, 1.0))

    assert apply_boosts(fused(), by_scores) == (by_scores, frozenset())
    assert apply_pins(fused(), by_scores) == by_scores


def test_a_move_by_controls_adds_to_those_of_controls_alone():
    candidates = fused(Control("pin", ControlKind.PIN, rows=[2], place=1))
    diverse = Move(cause=MoveCause.DIVERSITY, places=5)
    earlier = Move(cause=MoveCause.CONTROL, places=1)
    order = AnswerOrder(
        ("a", "b", "c"), (3.0, 2.0, 1.0), moves=[(), (earlier,), (diverse, earlier)]
    )
    moved = apply_pins(candidates, order)

    assert moved.product_ids == ["c", "a", "b"]
    assert moved.moves == [
        (diverse, Move(cause=MoveCause.CONTROL, places=3)),
        (Move(cause=MoveCause.CONTROL, places=-1),),
        (),
    ]


def goal(name: str, *products: str, **fields) -> ControlRule:
    return ControlRule(name, ControlKind.BOOST, products, **{"least_share": 0.6, **fields})


def with_goals(*goals: ControlRule) -> tuple[Shop, RequestDependencies]:
    shop = shop_with_photo()
    shop.scene(lambda scene: replace(scene, controls=goals))
    return shop, shop.deps


@pytest.mark.full
async def test_a_goal_of_exposure_is_kept_over_answers_and_its_moves_are_reported():
    _, deps = with_goals(goal("local", "p2"))
    first = await recommend(by_photo(page_size=2), deps)
    assert ids(first) == BY_SCORE[:2], "nothing is owed yet"
    for _ in range(400):
        answer = await recommend(by_photo(page_size=2), deps)
    answers = [await recommend(by_photo(page_size=2), deps) for _ in range(40)]
    assert any(ids(answer)[0] == "p2" for answer in answers)
    moved = next(answer for answer in answers if "p2" in ids(answer))
    assert by_control(moved)[ids(moved).index("p2")] > 0
    assert ("local", "", "APPLIED") in outcomes(answer)
    assert deps.goals.of("default", "default/local").share == pytest.approx(0.6, abs=0.06)


async def test_a_goal_without_candidates_in_an_answer_is_owed_nothing_for_it():
    _, deps = with_goals(goal("gone", "not-a-candidate"))
    for _ in range(5):
        assert ids(await recommend(by_photo(), deps)) == BY_SCORE
    state = deps.goals.of("default", "default/gone")
    assert (state.answers, state.unmatched) == (0, 5)


async def pages(deps: RequestDependencies, caller: str, count: int, **fields) -> list[list[str]]:
    token = access.caller.set(access.Caller(caller, frozenset()))
    try:
        return [ids(await recommend(by_photo(**fields), deps)) for _ in range(count)]
    finally:
        access.caller.reset(token)


@pytest.mark.full
async def test_one_product_answers_of_one_caller_do_not_switch_a_goal_off_for_others():
    local = goal("local", "p2", least_share=0.3)
    (_, attacked), (_, quiet) = with_goals(local), with_goals(local)
    others = ("p1", "p3", "p4")
    attack = await pages(attacked, "attacker", 45, page_size=1, exclude_product_ids=others)
    assert attack == [["p2"]] * 45
    found = await pages(attacked, "web", 89, page_size=2)
    assert found == await pages(quiet, "web", 89, page_size=2)
    assert any("p2" in page for page in found)


async def test_an_answer_without_the_ranker_and_an_explanation_count_for_no_goal():
    shop, deps = with_goals(goal("local", "p2"))
    shop.ranker.fails.update(LOST)
    await recommend(by_photo(), deps)
    shop.ranker.fails.clear()
    await explain(by_photo(page_size=1), "p2", deps)
    assert deps.goals.of("default", "default/local").answers == 0


async def test_a_goal_by_merit_follows_the_relevance_that_the_ranker_reports():
    shop, deps = with_goals(goal("fair", "p2", least_share=0.0, by_merit=True))
    shop.ranker.merits["default/fair"] = 0.25
    await recommend(by_photo(), deps)
    assert deps.goals.of("default", "default/fair").target == 0.25
    (order,) = [what for name, what in shop.ranker.calls if name == "rank"]
    assert [each.by_merit for each in order.candidates.controls] == [True]

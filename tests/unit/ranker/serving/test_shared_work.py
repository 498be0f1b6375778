"""What one request, or several of one shopper, compute once is to the bit what each would."""

import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ranker.domain.arrays import Ints
from ranker.domain.events import EventType, History
from ranker.domain.model import Model
from ranker.domain.signals import DEFAULTS
from ranker.serving.rank_products import RankedProducts, RankQuery, RankState, rank_products
from ranker.serving.ranking import breakdown, fold_in, generate, parts
from ranker.serving.ranking.breakdown import Evidence
from ranker.serving.ranking.diversity import RankPolicy
from ranker.serving.ranking.fold_in import HOUR_MICROS, FoldIn
from ranker.serving.ranking.order import CollapseKeys
from ranker.serving.ranking.parts import OWN_PARTS, UNKNOWN
from ranker.serving.ranking.rank import RankCandidates
from ranker.serving.ranking.shopper_reads import Shoppers
from sightline_core.ranking import RequestAnchors
from sightline_rules.controls import Control, ControlKind
from tests.fakes.drawn_models import drawn_model, plain
from tests.fakes.ranker import HOUR, NOW, FakeReader, did, product

ANN = "ann"
KINDS = (EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART, EventType.PURCHASE)
SEEDS = pytest.mark.parametrize("seed", range(24))


def drawn_history(draw: random.Random, model: Model) -> History:
    recent = tuple(
        did(ANN, draw.choice(model.item_ids), draw.choice(KINDS), at=-n)
        for n in range(draw.randint(0, 25))
    )
    hidden = draw.sample(model.item_ids, draw.choice([0, 3]))
    return History(recent=recent, hidden=frozenset(hidden), actor=ANN)


def drawn_query(draw: random.Random, model: Model, *, collapse: bool = False) -> RankQuery:
    """Return candidates of which the model knows some, or all."""
    known = draw.sample(model.item_ids, draw.randint(2, len(model.item_ids)))
    ids = [*known, *(f"new{n}" for n in range(draw.choice([0, 4])))]
    draw.shuffle(ids)
    numbers = [draw.choice([float("nan"), draw.random()]) for _ in ids]
    facts = [
        product(item, f"c{draw.randint(0, 4)}", brand=f"{n % 7}") for n, item in enumerate(ids)
    ]
    candidates = RankCandidates(
        ids=tuple(ids),
        products=facts,
        similarities={"visual": np.array(numbers)},
        fused=np.array([draw.choice([0.1, 0.2]) for _ in ids]),
    )
    likeness = None
    if collapse:
        hashes = np.array([draw.getrandbits(64) for _ in ids], np.uint64)
        likeness = CollapseKeys(0, ids, hashes, np.zeros((0, 2), np.int64))
    weights = {name: draw.choice([0.0, 0.5, 1.0]) for name in ("visual", *OWN_PARTS)}
    return RankQuery(
        *("default", ANN, candidates, weights, NOW),
        likeness=likeness,
        top_k=draw.choice([0, 9]),
        with_breakdown=draw.random() < 0.3,
    )


def drawn(seed: int, **fields: bool) -> tuple[Model, FoldIn, RankQuery, RankState]:
    draw, model = random.Random(seed), drawn_model(seed, ANN)
    history = drawn_history(draw, model)
    whose = draw.choice([ANN, "newcomer"])
    shopper = fold_in.by_history(model, whose, replace(history, actor=whose), NOW)
    query = drawn_query(draw, model, **fields)
    shares = np.array([draw.random() for _ in query.candidates.ids])
    return model, shopper, query, RankState(model, history, shopper, shares)


def answered(query: RankQuery, state: RankState) -> object:
    """Return everything that an answer shows."""
    found: RankedProducts = rank_products(query, state)
    return plain(
        (found.order, found.reasons, found.contributions, found.draws, found.control_merits)
    )


@SEEDS
def test_neighbours_gathered_once_a_request_are_those_gathered_each_time(seed: int) -> None:
    model, shopper, query, state = drawn(seed)
    once = shopper.for_request()
    for left_out in (set[str](), {model.item_ids[0]}):
        theirs, ours = (generate.by_behaviour(one, model, 20, left_out) for one in (shopper, once))
        assert ours == theirs
    assert generate.by_neighbours(once, model, 20, set()) == generate.by_neighbours(
        shopper, model, 20, set()
    )
    asked = answered(query, replace(state, shopper=once))
    assert asked == answered(query, state) == answered(query, replace(state, shopper=once))
    if shopper.session is not None and shopper.liked.rows.size and "item_item" in model.neighbours:
        assert parts.ITEM_ITEM in (once.gathered or {})


@SEEDS
def test_rows_of_the_caller_are_those_that_are_looked_up_by_id(seed: int) -> None:
    _, _, query, state = drawn(seed)
    asked: list[Model] = []

    def rows_of(model: Model) -> Ints:
        asked.append(model)
        return np.array([model.item_rows.get(item, UNKNOWN) for item in query.candidates.ids])

    given = replace(query, candidates=replace(query.candidates, rows_of=rows_of))
    assert answered(given, state) == answered(query, state)
    assert bool(asked) is state.shopper.personal


@SEEDS
def test_an_order_without_near_duplicates_is_that_of_looking_for_them(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, query, state = drawn(seed, collapse=True)
    assert query.likeness is not None
    pin = Control("pin", ControlKind.PIN, (0,), place=2)
    for policy in (RankPolicy(), RankPolicy(diversity=0.4, exploration_places=(2,))):
        for controls in ((), (pin,)):
            asked = replace(query, policy=policy, controls=controls)
            assert asked.likeness is not None
            assert asked.likeness.all_differ
            ours = answered(asked, state)
            with monkeypatch.context() as patched:
                patched.setattr("ranker.serving.ranking.order.all_differ", lambda *_: False)
                same = replace(asked.likeness)
                assert answered(replace(asked, likeness=same), state) == ours


@SEEDS
def test_the_strongest_feature_is_the_largest_contribution(seed: int) -> None:
    model, shopper, query, state = drawn(seed)
    weights = {"taste": 1.0, "content": 1.0}
    ranking = rank_products(replace(query, weights=weights), state).order.ranking
    evidence = Evidence(query.candidates, ranking, shopper, model, parts.factors(model, weights))
    places = np.arange(len(ranking.rows))
    contents = partial(evidence.contents, with_pairs=False)
    for part, gains in (("taste", evidence.features), ("content", contents)):
        of_each = gains(places.tolist())
        expected = [breakdown.strongest(of_each.get(place, ())) for place in places.tolist()]
        assert evidence.strongest(part, places) == expected


@SEEDS
async def test_a_fold_that_is_kept_is_the_one_of_its_history_model_anchors_and_hour(
    seed: int,
) -> None:
    draw, model = random.Random(seed), drawn_model(seed, ANN)
    reader = FakeReader({ANN: drawn_history(draw, model)})
    shoppers, now = Shoppers(reader), NOW
    for _ in range(8):
        now += draw.choice([0, 1, HOUR // 2, HOUR_MICROS, 30 * HOUR])
        if draw.random() < 0.3:
            reader.histories[ANN] = drawn_history(draw, model)
        if draw.random() < 0.2:
            model = drawn_model(draw.choice([seed, seed + 1]), ANN)
        given = draw.choice([None, RequestAnchors(model.item_ids[:2])])
        known = await shoppers.read("default", ANN, model, now_micros=now)
        known, _ = await shoppers.resolve("default", ANN, known, given)
        history = reader.histories[ANN]
        anchors = given.product_ids if given else ()
        expected = (
            fold_in.by_anchors(model, ANN, history, anchors)
            if anchors
            else fold_in.by_history(model, ANN, history, now)
        )
        assert known.history == history
        assert plain(known.shopper) == plain(expected)


async def test_a_kept_fold_can_not_be_changed_by_a_request_and_holds_no_model() -> None:
    model = drawn_model(1, ANN)
    reader = FakeReader({ANN: drawn_history(random.Random(3), model)})
    shoppers = Shoppers(reader)
    first = (await shoppers.read("default", ANN, model, now_micros=NOW)).shopper
    second = (await shoppers.read("default", ANN, model, now_micros=NOW)).shopper
    assert first.liked is second.liked, "computed once"
    reader.histories[ANN] = replace(reader.histories[ANN], seen=frozenset({"p0001"}))
    third = (await shoppers.read("default", ANN, model, with_seen=True, now_micros=NOW)).shopper
    assert first.liked is third.liked, "seen products are not in it"
    assert first.gathered is not second.gathered
    assert first.session is not None
    with pytest.raises(ValueError, match="read-only"):
        first.session += 1
    (kept,) = shoppers._folds._held.values()
    assert kept[1].model() is model
    del model, first, second, third
    assert kept[1].model() is None


def test_a_changed_history_has_products_of_its_own() -> None:
    history = drawn_history(random.Random(3), drawn_model(1, ANN))
    products = fold_in.products_of(history, DEFAULTS)
    assert products
    assert fold_in.products_of(history, DEFAULTS) is products
    hidden = replace(history, hidden=frozenset(products))
    assert fold_in.products_of(hidden, DEFAULTS) == ()

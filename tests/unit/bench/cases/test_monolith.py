"""Suite and monolith get the same requests, and goals compare the cells that they name."""

import asyncio
import itertools
import json
from collections import Counter
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from bench.cases.monolith import (
    asking,
    cases,
    chain,
    contenders,
    export,
    filled,
    goals,
    load,
    made,
    result,
    shoppers,
    tables,
    texts,
)
from bench.cases.monolith.asking import (
    ANCHORED,
    FIRST,
    PHOTO,
    PRODUCT,
    SEARCH,
    TEXT,
    USER,
    LoadQuestion,
    Questions,
)
from bench.cases.monolith.contenders import (
    CHAIN,
    ONE,
    SUITE,
    AnswerContender,
    FailedAnswer,
    monolith,
)
from bench.cases.monolith.goals import SMALL, MeasuredShop
from bench.cases.monolith.load import Cells, LoadCell, LoadPlan
from bench.cases.monolith.made import MadeCatalog, Variants
from bench.harness.model import GoalVerdict
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_rules.filters import Availability

JPEG = b"\xff\xd8" + b"\0" * 20


# What is asked


def test_both_forms_of_a_question_ask_for_the_same() -> None:
    question = asking.by_product("shoes/a b&c.jpg", "shop")
    message = rec.RecommendRequest.FromString(question.message)
    assert [each.product_id for each in message.signals] == ["shoes/a b&c.jpg"]
    assert (message.page_size, message.catalog_id) == (10, "shop")
    path = question.http.split()[1].decode()
    assert unquote(path) == "/recommend/product?product=shoes/a b&c.jpg&page_size=10"


def test_no_photo_is_sent_twice() -> None:
    sent = [each.http for each in islice(Questions(photos=[JPEG, JPEG]).endless(PHOTO), 50)]
    assert len(set(sent)) == 50


def test_questions_come_in_the_same_order_every_time_and_never_end() -> None:
    questions = Questions(products=["a", "b", "c"])
    first = [*islice(questions.endless(SEARCH), 7)]
    assert first == [*islice(questions.endless(SEARCH), 7)]
    assert {each.method for each in first} == {asking.FIND}
    assert Counter(first[:3]) == Counter(first[3:6])


def test_only_what_there_is_can_be_asked() -> None:
    assert Questions(texts=["red"]).kinds() == (TEXT,)
    assert Questions(products=["a"], users=["u"]).kinds() == (PRODUCT, USER, SEARCH)
    assert Questions(anchors=["a"]).kinds() == (ANCHORED,)


def test_an_anchor_is_asked_about_in_scenes_by_turns_and_some_may_find_few() -> None:
    asked = [*islice(Questions(anchors=["a", "b"]).endless(ANCHORED), 6)]
    messages = [rec.RecommendRequest.FromString(each.message) for each in asked]
    assert [each.scene for each in messages] == ["also-viewed", "similar", "bought-together"] * 2
    assert {tuple(each.anchor_product_ids) for each in messages} == {("a",), ("b",)}
    none = rec.RecommendResponse().SerializeToString()
    wrong = [contenders.wrong_message(each, none) for each in asked[:3]]
    assert wrong == [Counter(["0 products"])] * 2 + [Counter()]


# Answers


def test_what_an_answer_lacks_is_named() -> None:
    question = asking.by_product("a")
    short = rec.RecommendResponse(results=[rec.RecommendedProduct()]).SerializeToString()
    whole = rec.RecommendResponse(results=[rec.RecommendedProduct()] * 10).SerializeToString()
    assert contenders.wrong_message(question, short) == Counter(["1 products"])
    assert contenders.wrong_message(question, whole) == Counter()
    assert contenders.wrong_message(question, FailedAnswer(b"UNAVAILABLE")) == Counter(
        ["UNAVAILABLE"]
    )
    assert contenders.wrong_json(question, b'{"results": []}') == Counter(["0 products"])


# Rounds


def _contender(name: str, milliseconds: float) -> AnswerContender:
    used = {"gateway": 0.0}

    async def call(_question: LoadQuestion) -> bytes:
        used["gateway"] += milliseconds / 1e3
        await asyncio.sleep(0)
        return b""

    def check(_question: LoadQuestion, _answer: bytes) -> Counter[str]:
        return Counter(["empty"])

    return AnswerContender(name, call, lambda: dict(used), check)


def test_processor_time_is_that_of_an_answer_and_the_first_round_is_not_kept() -> None:
    asked = [_contender(SUITE, 30.0), _contender(monolith(1), 2.0)]
    plan = LoadPlan(Questions(products=["a"]), callers=(1, 4), rounds=2, seconds=0.01)
    cells = asyncio.run(load.rounds(asked, plan, lambda _line: None))
    cell = cells[SUITE, PRODUCT, 4]
    assert len(cell.costs) == len(cell.rates) == 2
    assert cell.cost().value == pytest.approx(30.0)
    assert cell.programs["gateway"] == pytest.approx([30.0, 30.0])
    assert cell.wrong["empty"] == len(cell.latencies)
    found = load.over(cells, (SUITE, PRODUCT, 4), (monolith(1), PRODUCT, 4), "costs")
    assert found is not None
    assert found.value == pytest.approx(15.0)


def test_each_product_is_viewed_once_before_the_rounds() -> None:
    seen = list[bytes]()

    async def call(question: LoadQuestion) -> bytes:
        seen.append(question.message)
        return b""

    one = AnswerContender(SUITE, call, dict, lambda _q, _a: Counter())
    products = [f"p{number}" for number in range(7)]
    plan = LoadPlan(Questions(products), (1,), 2, 0.0, kinds=(PRODUCT,), first_views=True)
    cells = asyncio.run(load.rounds([one], plan, lambda _line: None))
    asked = {asking.by_product(each).message for each in products}
    assert set(seen[: len(products)]) == asked
    assert len(cells[SUITE, FIRST, load.FIRST_CALLERS].latencies) == len(products)
    assert len(cells[SUITE, FIRST, load.FIRST_CALLERS].costs) == plan.rounds


def test_a_contender_is_prepared_for_each_kind_and_may_have_questions_of_its_own() -> None:
    prepared = list[str]()
    seen = list[bytes]()

    async def call(question: LoadQuestion) -> bytes:
        seen.append(question.message)
        return b""

    async def prepare(kind: str) -> None:
        prepared.append(kind)

    own = Questions(products=["mine"], catalog="other")
    one = AnswerContender("x", call, dict, lambda _q, _a: Counter(), prepare, own)
    plan = LoadPlan(Questions(products=["a"], users=["u"]), (1,), 1, 0.0, kinds=(PRODUCT,))
    asyncio.run(load.rounds([one], plan, lambda _line: None))
    assert prepared == [PRODUCT, PRODUCT]
    assert {rec.RecommendRequest.FromString(each).catalog_id for each in seen} == {"other"}


def test_an_answer_is_held_against_its_own_question_whichever_ends_first() -> None:
    numbers = itertools.count()

    async def call(question: LoadQuestion) -> bytes:
        for _ in range(next(numbers) % 3):
            await asyncio.sleep(0)
        return question.message

    def check(question: LoadQuestion, answer: bytes) -> Counter[str]:
        return Counter() if question.message == answer else Counter(["another's"])

    plan = LoadPlan(Questions(products=["a", "b", "c", "d", "e"]), (4,), 1, 0.01, kinds=(PRODUCT,))
    cells = asyncio.run(
        load.rounds([AnswerContender("x", call, dict, check)], plan, lambda _line: None)
    )
    assert not cells["x", PRODUCT, 4].wrong


# Goals


def _cell(name: str, kind: str, callers: int, cost: float, rate: float = 10.0) -> LoadCell:
    cell = LoadCell(name, kind, callers, [cost] * 5, [rate] * 5, [cost] * 5, [cost] * 50)
    cell.programs["gateway"] = [cost / 4] * 5
    return cell


def _cells(*cells: LoadCell) -> Cells:
    return {(cell.contender, cell.kind, cell.callers): cell for cell in cells}


def _shop() -> MeasuredShop:
    return MeasuredShop(
        "shop",
        _cells(
            _cell(SUITE, PRODUCT, 8, 8.0, 180.0),
            _cell(SUITE, PRODUCT, 1, 8.0),
            _cell(monolith(1), PRODUCT, 8, 2.0),
            _cell(monolith(1), PRODUCT, 1, 4.0),
            _cell(monolith(2), PRODUCT, 8, 1.0, 360.0),
            _cell(CHAIN, PRODUCT, 8, 1.0),
        ),
        "no crowd",
    )


def test_processor_time_is_compared_with_the_cheaper_monolith() -> None:
    assert goals.best(_shop().cells, PRODUCT) == (monolith(2), PRODUCT, 8)
    found = {goal.name: goal for goal in goals.beside_monolith(_shop(), SMALL)}
    goal = found["shop, recommend by product: processor time ÷ the monolith's, 8 callers"]
    assert goal.measured is not None
    assert goal.measured.value == 8.0
    assert goal.verdict is GoalVerdict.MISSED
    alone = found["shop, recommend by product: p50 ÷ the monolith's, one caller"]
    assert alone.measured is not None
    assert alone.measured.value == 2.0
    assert alone.verdict is GoalVerdict.MET


def test_answers_to_anchors_stand_beside_the_monolith_by_product() -> None:
    cells = {**_shop().cells, **_cells(_cell(SUITE, ANCHORED, 8, 2.0, 360.0))}
    found = [
        goal
        for goal in goals.beside_monolith(MeasuredShop("x", cells), SMALL)
        if "anchor" in goal.name
    ]
    measured = [goal.measured and goal.measured.value for goal in found]
    assert measured == [2.0, None, 1.0]


def test_what_was_not_asked_is_not_measured_and_says_why() -> None:
    found = [goal for goal in goals.beside_monolith(_shop(), SMALL) if "user" in goal.name]
    assert {goal.verdict for goal in found} == {GoalVerdict.NOT_MEASURED}
    assert {goal.missing for goal in found} == {"no crowd"}


def test_the_gateway_alone_is_compared_with_the_whole_chain() -> None:
    product, user = goals.gateway(_shop())
    assert product.measured is not None
    assert product.measured.value == 2.0
    assert user.measured is None


def test_answers_a_second_are_compared_with_ten_times_what_they_were() -> None:
    product, user = goals.faster(_shop())
    assert (product.at_least, product.verdict) == (170.0, GoalVerdict.MET)
    assert (user.at_least, user.verdict) == (370.0, GoalVerdict.NOT_MEASURED)


def test_variants_are_compared_with_the_same_cell_without() -> None:
    plain = MeasuredShop("plain", _cells(_cell(SUITE, PRODUCT, 1, 10.0)))
    with_variants = MeasuredShop("variants", _cells(_cell(SUITE, PRODUCT, 1, 12.0)))
    for goal in goals.variants(plain, [with_variants]):
        assert goal.measured is not None
        assert goal.measured.value == pytest.approx(1.2)
        assert goal.verdict is GoalVerdict.MET


def test_a_run_without_anything_measures_nothing_and_names_every_goal() -> None:
    found = result(cases.MonolithShops(MeasuredShop(cases.CLOTHING, {}, "no photos")))
    assert {goal.verdict for goal in found.goals} == {GoalVerdict.NOT_MEASURED}
    assert all(goal.missing for goal in found.goals)
    assert found.tables == ()


def test_four_services_are_judged_in_milliseconds_of_processor_and_of_latency() -> None:
    cells = _cells(_cell(SUITE, PRODUCT, 8, 8.0), _cell(SUITE, PRODUCT, 1, 12.0))
    cost, *others, median, user, _ = goals.apart(MeasuredShop("shop", cells, "no crowd"))
    assert cost.measured is not None
    assert median.measured is not None
    assert (cost.at_most, cost.measured.value, cost.verdict) == (9.0, 8.0, GoalVerdict.MET)
    assert (median.at_most, median.verdict) == (11.0, GoalVerdict.MISSED)
    assert {each.verdict for each in (*others, user)} == {GoalVerdict.NOT_MEASURED}


def test_one_process_is_compared_with_the_cheaper_monolith_and_its_rate_with_one() -> None:
    cells = _cells(_cell(ONE, PRODUCT, 8, 3.0, 4.0), *_shop().cells.values())
    product, user, *_, rate, _, _ = goals.one_process(MeasuredShop("shop", cells, "no crowd"))
    assert product.measured is not None
    assert rate.measured is not None
    assert (product.measured.value, product.verdict) == (3.0, GoalVerdict.MET)
    assert (rate.measured.value, rate.verdict) == (0.4, GoalVerdict.MET)
    assert (user.verdict, user.missing) == (GoalVerdict.NOT_MEASURED, "no crowd")


def test_tables_show_every_cell_and_figures_are_json() -> None:
    shop = _shop()
    assert len(tables.end_to_end(shop).rows) == 6
    (row,) = tables.by_process(shop).rows
    assert (row[0], row[1], row[3]) == ("recommend by product", "apart", "2.0")
    json.dumps(tables.figures(shop), allow_nan=False)


def test_processes_that_no_column_names_are_shown_as_others() -> None:
    cell = _cell(SUITE, PRODUCT, 8, 8.0)
    cell.programs |= {"retriever-worker": [1.0] * 5, "ranker-worker": [2.0] * 5, "new": [3.0] * 5}
    parts = tables.split(cell)
    assert (parts["gateway"], parts["workers"], parts["other"], parts["milvus"]) == (2, 3, 3, 0)


# What is made


def test_a_made_shop_is_the_same_every_time() -> None:
    one = MadeCatalog("default", 60, 8)
    assert one.content(7) == MadeCatalog("default", 60, 8).content(7)
    assert np.array_equal(one.vectors(), MadeCatalog("default", 60, 8).vectors())
    assert np.linalg.norm(one.vectors(), axis=1) == pytest.approx(np.ones(60), abs=1e-5)


def test_a_third_are_variants_and_a_tenth_can_not_be_bought() -> None:
    contents = [MadeCatalog("default", 3_000, 8).content(number) for number in range(3_000)]
    ids = {each.product_id for each in contents}
    parents = [each.parent_id for each in contents if each.parent_id]
    assert len(parents) == 1_000
    assert set(parents) <= ids
    gone = [each for each in contents if each.availability is Availability.OUT_OF_STOCK]
    assert 240 < len(gone) < 360


@pytest.mark.parametrize(
    ("variants", "groups"), [(Variants.NONE, 3_100), (Variants.THIRTY, 100), (Variants.FIFTY, 50)]
)
def test_catalogs_with_variants_have_so_many_products(variants: Variants, groups: int) -> None:
    shop = MadeCatalog("shop", 3_100, 8, variants)
    contents = [shop.content(number) for number in range(3_100)]
    assert len({each.parent_id or each.product_id for each in contents}) == groups


def test_catalogs_that_are_compared_have_the_same_vectors() -> None:
    plain, thirty = (MadeCatalog("x", 310, 8, each) for each in (Variants.NONE, Variants.THIRTY))
    assert np.array_equal(plain.vectors(), thirty.vectors())


def test_variants_are_closer_to_one_another_than_to_others() -> None:
    vectors = MadeCatalog("x", 310, 64, Variants.THIRTY).vectors()
    assert (vectors[1:31] @ vectors[0]).min() > (vectors[31:] @ vectors[0]).max()


def test_products_of_texts_have_no_photos() -> None:
    assert MadeCatalog("x", 10, 8, text_version="v").content(3).image_ids == ()


def test_every_shopper_of_a_crowd_has_a_history() -> None:
    events = shoppers.events({"a": ["a1", "a2"], "b": ["b1"]}, 2_000, 50)
    assert events == shoppers.events({"a": ["a1", "a2"], "b": ["b1"]}, 2_000, 50)
    assert len({event.user for event in events}) == 50
    times = [event.time for event in events if event.time]
    assert times == sorted(times)


# What is kept, moved and embedded


def test_a_kept_suite_is_named_by_what_it_holds() -> None:
    assert filled.key("shop", 1) == filled.key("shop", 1)
    assert filled.key("shop", 1) != filled.key("shop", 2)
    assert filled.key("shop", 1).startswith("shop-")


def test_the_monolith_is_given_a_shop_s_own_products_and_unit_vectors(tmp_path: Path) -> None:
    shop = MadeCatalog("default", 30, 8)
    made.write(tmp_path / "data", [shop])
    export.from_record(tmp_path / "data", tmp_path / "out")
    vectors = np.load(tmp_path / "out/visual.npy")
    assert vectors == pytest.approx(shop.vectors(), abs=1e-6)
    ids = json.loads((tmp_path / "out/ids.json").read_text())
    assert ids == [made.product_id(number) for number in range(30)]
    groups = np.load(tmp_path / "out/groups.npy")
    assert groups[1] == groups[2] != groups[0]
    buyable = np.load(tmp_path / "out/buyable.npy")
    assert {ids[place] for place in np.flatnonzero(buyable)} == set(shop.buyable())


def test_the_bytes_of_an_answer_are_those_of_all_its_calls() -> None:
    retriever = [("/Search", 100, 2_000), ("/Get", 50, 900)]
    ranker = [("/Rank", 700, 300)]
    moved = chain.moved([(10, 500, [retriever, ranker])] * 3)
    assert moved == chain.Bytes(10, 500, (150, 700), (2_900, 300), (2, 1))


def test_texts_a_second_count_from_the_first_batch() -> None:
    assert texts.rate([(1.0, 16.0), (2.0, 80.0), (3.0, 116.0)]) == 50.0
    with pytest.raises(ValueError, match="at once"):
        texts.rate([(1.0, 16.0)])

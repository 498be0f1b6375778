"""Labels on photos: read beside the search by looks where the scene or a search asks for it."""

from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import ImageRefused, PeerUnavailable
from gateway.model.price import LABEL, MOST_SECONDS, REFERENCE_PRODUCTS, PricedSizes, price_of
from gateway.model.query import RequestQuery
from gateway.model.scene import LABELS_PART
from gateway.model.scene_checks import warnings
from gateway.recommend.charge import charged_together
from gateway.recommend.explain import explain
from gateway.recommend.recommend import recommend
from gateway.recommend.search import search
from gateway.retrieval.labels import as_shown, is_within
from gateway.state.prices import RequestPrices
from servicekit.errors import InvalidArgument
from sightline.common.v1.photo_pb2 import Box, LabelLine, PhotoPoint
from sightline_core.branch import Branch
from sightline_core.degradations import DegradationCause
from tests import virtual_time
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_values import DEFAULT, address, photo, words

LINES = ("CASA VALDUGA", "Origem Merlot")
TEXT = "CASA VALDUGA\nOrigem Merlot"


def shop(weight: float = 1.0) -> Shop:
    """Return a shop where p1 and p2 look like the photo, and p2 and p3 have words of its label."""
    made = Shop()
    made.retriever.nearest[b"photo"] = {"p1": 0.52, "p2": 0.5}
    made.embedder.labels[b"photo"] = LINES
    made.retriever.words_of[TEXT] = {"p2": 0.6, "p3": 0.1}
    made.retriever.label_words = {"p2": ("origem", "merlot"), "p3": ("casa",)}
    made.scene(lambda scene: replace(scene, branches={**scene.branches, Branch.LABELS: weight}))
    return made


QUERY = RequestQuery(signals=(photo(),))


async def test_labels_are_a_branch_with_a_part_of_the_score() -> None:
    made = shop()
    answer = await recommend(QUERY, made.deps)
    branches = {each.row.product_id: each.answered.branches for each in answer.results}
    assert branches == {"p1": ("visual",), "p2": ("visual", "labels"), "p3": ("labels",)}
    (order,) = [call for name, call in made.ranker.calls if name == "rank"]
    assert order.weights[Branch.LABELS] == LABELS_PART
    held = list(order.candidates.columns.product_ids)
    assert order.candidates.similarities[Branch.LABELS][held.index("p2")] == 0.6
    assert not answer.degradations


async def test_the_answer_says_what_was_read_and_which_product_has_it() -> None:
    answer = await recommend(QUERY, shop().deps)
    assert [line.text for line in answer.labels[0].lines] == [*LINES]
    texts = {
        each.row.product_id: [reason.text for reason in each.answered.reasons]
        for each in answer.results
    }
    assert "The label reads “Origem Merlot”" in texts["p2"]
    assert not any("Casa" in text or "CASA" in text for text in texts["p3"]), "a poor match"
    chinese = await recommend(replace(QUERY, language_code="zh-CN"), shop().deps)
    read = [r.text for each in chinese.results for r in each.answered.reasons if r.parameters]
    assert "标签上写着“Origem Merlot”" in read


async def test_no_label_is_read_unless_the_scene_asks_for_it() -> None:
    made = shop(weight=0.0)
    made.embedder.blind = AssertionError  # type: ignore[assignment]
    answer = await recommend(QUERY, made.deps)
    assert not answer.labels
    assert Branch.LABELS not in DEFAULT.used


async def test_a_photo_without_text_is_searched_by_its_looks_alone() -> None:
    made = shop()
    made.embedder.labels.clear()
    answer = await recommend(QUERY, made.deps)
    assert [each.row.product_id for each in answer.results] == ["p1", "p2"]
    assert not answer.degradations
    assert not [call for name, call in made.retriever.calls if name == "label"]
    assert not answer.labels[0].lines, "read, and without text"
    assert not answer.unread


async def test_lines_that_are_not_read_with_confidence_are_counted() -> None:
    made = shop()
    made.embedder.unsure = {b"photo": 3}
    answer = await recommend(QUERY, made.deps)
    found = await search(replace(QUERY, read_labels=True), made.deps)
    explained = await explain(QUERY, "p5", made.deps)
    for each in (answer, found, explained):
        assert len(each.labels[0].lines) == len(LINES)
        assert each.labels[0].unsure == 3


async def test_unsure_lines_are_those_of_the_whole_photo() -> None:
    made = shop()
    made.embedder.unsure = {b"photo": 3}
    boxed = replace(QUERY.signals[0], box=Box(left=0.5, top=0.5, right=1, bottom=1))
    answer = await recommend(RequestQuery(signals=(boxed,)), made.deps)
    assert (answer.labels[0].lines, answer.labels[0].unsure) == ([], 3)


@pytest.mark.parametrize(
    "text", ["красное вино", "نبيذ أحمر", "ไวน์แดง", "레드 와인", "हिन्दी", "?̈#"]
)
async def test_a_label_in_another_script_is_shown_and_changes_no_answer(text: str) -> None:
    made, plain = shop(), shop()
    plain.embedder.labels.clear()
    made.embedder.labels[b"photo"] = (text,)
    answer, without = [await recommend(QUERY, each.deps) for each in (made, plain)]
    assert [line.text for line in answer.labels[0].lines] == [text]
    assert [each.row.product_id for each in answer.results] == ["p1", "p2"]
    assert not answer.degradations
    assert [each.answered.raw_score for each in answer.results] == [
        each.answered.raw_score for each in without.results
    ]


async def test_a_lost_reader_is_a_degradation_and_no_error() -> None:
    made = shop()
    made.embedder.blind = PeerUnavailable(Peer.EMBEDDER)
    answer = await recommend(QUERY, made.deps)
    assert [each.row.product_id for each in answer.results] == ["p1", "p2"]
    (degradation,) = answer.degradations
    assert degradation.stage == "labels"
    assert degradation.cause is DegradationCause.EMBEDDER_UNAVAILABLE


def test_a_label_that_takes_too_long_is_left_out_and_the_answer_says_so() -> None:
    made = shop()
    made.embedder.slow = True
    answer, seconds = virtual_time.run(recommend(QUERY, made.deps))
    assert seconds <= DEFAULT.budgets.candidates * made.seconds + 0.01
    (degradation,) = answer.degradations
    assert degradation.stage == "labels"
    assert degradation.cause is DegradationCause.STAGE_DEADLINE
    assert [each.row.product_id for each in answer.results] == ["p1", "p2"]


async def test_only_lines_in_the_box_of_a_photo_count() -> None:
    box = Box(left=0.5, top=0.5, right=1, bottom=1)
    corners = [[(0.1, 0.6), (0.3, 0.6)], [(0.5, 0.6), (0.9, 0.7)]]
    outside, inside = (
        LabelLine(text="x", corners=[PhotoPoint(x=x, y=y) for x, y in each]) for each in corners
    )
    assert not is_within(outside, box)
    assert is_within(inside, box)
    boxed = replace(QUERY.signals[0], box=box)
    answer = await recommend(RequestQuery(signals=(boxed,)), shop().deps)
    assert not answer.labels[0].lines, "the fake's lines have no place"


THREE = (photo(), photo(1, b"second"), address(2))


@pytest.mark.parametrize(
    ("bound", "read"), [(0.9, []), (1.0, [0]), (1.4, [0, 1]), (1.7, [0, 1, 2])]
)
async def test_labels_of_as_many_photos_are_read_as_the_request_may_cost(
    bound: float, read: list[int]
) -> None:
    made = shop()
    made.embedder.labels[b"second"] = ("Chianti",)
    made.embedder.labels[THREE[2].image_uri.encode()] = ("Rioja",)
    deps = replace(made.deps, prices=RequestPrices(most_seconds=bound))
    answer = await recommend(RequestQuery(signals=THREE, page_size=10), deps)
    assert list(answer.labels) == read
    assert [*answer.unread] == [place for place in range(3) if place not in read]
    assert len([call for name, call in made.retriever.calls if name == "label"]) == len(read)


async def test_at_most_three_labels_are_read_and_none_of_unwanted_photos() -> None:
    many = tuple(photo(place, b"photo") for place in range(5))
    unwanted = replace(photo(0), negative=True)
    deps = replace(shop().deps, prices=RequestPrices(most_seconds=9))
    answer = await recommend(RequestQuery(signals=(unwanted, *many[1:])), deps)
    assert list(answer.labels) == [1, 2, 3]
    assert [*answer.unread] == [4]


async def test_a_product_s_match_is_the_mean_of_its_matches_by_the_photos_weights() -> None:
    made = shop()
    made.embedder.labels[b"second"] = ("Chianti",)
    made.retriever.words_of["Chianti"] = {"p3": 0.7, "p2": 0.2}
    deps = replace(made.deps, prices=RequestPrices(most_seconds=2))
    await recommend(RequestQuery(signals=(photo(weight=3), photo(1, b"second", weight=1))), deps)
    (order,) = [call for name, call in made.ranker.calls if name == "rank"]
    matches = order.candidates.similarities[Branch.LABELS]
    held = list(order.candidates.columns.product_ids)
    assert matches[held.index("p2")] == pytest.approx((3 * 0.6 + 0.2) / 4)
    assert matches[held.index("p3")] == pytest.approx((3 * 0.1 + 0.7) / 4)


async def test_shelves_share_what_their_labels_may_cost() -> None:
    made, shelf = shop(), RequestQuery(signals=(photo(),), page_size=5)
    deps = replace(made.deps, prices=RequestPrices(most_seconds=0.9))
    async with charged_together({"a": shelf, "b": shelf}, deps) as (first, second):
        assert first.plan.labelled == shelf.signals
        assert second.plan.labelled == ()


async def test_a_search_reads_labels_only_on_request() -> None:
    made = shop(weight=0.0)
    plain = await search(QUERY, made.deps)
    assert not plain.labels
    assert not [call for name, call in made.retriever.calls if name == "label"]
    found = await search(replace(QUERY, read_labels=True), made.deps)
    assert [line.text for line in found.labels[0].lines] == [*LINES]
    # .5 + .1 × .6 against .52, and p3 by the words of its label alone
    assert [each.product.product_id for each in found.results] == ["p2", "p1", "p3"]
    assert [each.similarity for each in found.results] == pytest.approx([0.5, 0.52, 0])


async def test_a_search_loses_nothing_by_a_photo_without_text() -> None:
    made = shop(weight=0.0)
    made.embedder.labels.clear()
    plain = await search(QUERY, made.deps)
    found = await search(replace(QUERY, read_labels=True), made.deps)
    assert found.results == plain.results
    assert not found.degradations
    assert not found.unread


def test_a_search_whose_label_is_late_is_answered_without_it() -> None:
    made = shop(weight=0.0)
    made.embedder.slow = True
    found, _ = virtual_time.run(search(replace(QUERY, read_labels=True), made.deps))
    assert [each.product.product_id for each in found.results] == ["p1", "p2"]
    assert [each.stage for each in found.degradations] == ["labels"]
    assert found.unread == (0,)


async def test_a_label_beside_a_text_is_one_more_list() -> None:
    made = shop(weight=0.0)
    made.retriever.words_of["a red wine"] = {"p1": 0.9}
    asked = RequestQuery(signals=(photo(), words(index=1)), read_labels=True)
    found = await search(asked, made.deps)
    assert {each.product.product_id for each in found.results} >= {"p1", "p2", "p3"}
    assert found.labels


async def test_an_explanation_reads_a_label_once() -> None:
    made = shop()
    found = await explain(QUERY, "p5", made.deps)
    assert {each.branch for each in found.branches} >= {Branch.LABELS}
    assert made.embedder.readings == 1
    assert [line.text for line in found.labels[0].lines] == [*LINES]
    assert found.unread == ()


async def test_an_explanation_names_the_photos_whose_labels_were_not_read() -> None:
    made = shop()
    made.embedder.blind = PeerUnavailable(Peer.EMBEDDER)
    found = await explain(QUERY, "p2", made.deps)
    assert found.labels == {}
    assert found.unread == (0,)


async def test_a_photo_that_is_no_photo_is_the_caller_s_error() -> None:
    made = shop()
    made.embedder.blind = InvalidArgument("no photo", reason="IMAGE_UNDECODABLE")
    with pytest.raises(ImageRefused):
        await recommend(QUERY, made.deps)


async def test_a_label_alone_is_no_good_match_and_no_poor_one() -> None:
    made = shop()
    made.retriever.nearest[b"photo"] = {}
    answer = await recommend(QUERY, made.deps)
    assert answer.match is not None
    assert answer.match.branch is Branch.VISUAL


def test_a_scene_with_the_branch_needs_no_weight_of_its_part() -> None:
    scene = replace(DEFAULT, branches={**DEFAULT.branches, Branch.LABELS: 1.0})
    assert not [each for each in warnings(scene) if "labels" in each]
    assert scene.parts_by_signals[Branch.LABELS] == LABELS_PART
    own = replace(scene, parts_with_signals={"visual": 1.0, "labels": 0.3})
    assert own.parts_by_signals["labels"] == 0.3


def test_words_are_shown_as_the_label_has_them() -> None:
    lines = [LabelLine(text="CASA VALDUGA"), LabelLine(text="Origem, MERLOT 750ml")]
    assert as_shown(lines, {"origem", "merlot"}) == "Origem, MERLOT"


def test_reading_a_label_has_a_price_within_what_a_request_may_cost() -> None:
    sizes = PricedSizes(products=REFERENCE_PRODUCTS, candidates=100)
    three = RequestQuery(signals=tuple(photo(place) for place in range(3)), page_size=10)
    without, labelled = (price_of(three, (), (), sizes, labelled=each) for each in (0, 1))
    assert labelled.seconds - without.seconds == pytest.approx(LABEL)
    assert labelled.seconds <= MOST_SECONDS
    assert not labelled.is_expensive or without.is_expensive

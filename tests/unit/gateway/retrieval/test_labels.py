"""Labels on photos: read beside the search by looks where the scene asks for it."""

from dataclasses import replace

import pytest

from gateway.model.branch import Branch
from gateway.model.causes import DegradationCause, Peer
from gateway.model.errors import ImageRefused, PeerUnavailable
from gateway.model.price import LABEL, MOST_SECONDS, REFERENCE_PRODUCTS, PricedSizes, price_of
from gateway.model.query import RequestQuery, SignalKind
from gateway.model.scene import LABELS_PART
from gateway.model.scene_checks import warnings
from gateway.recommend.recommend import recommend
from gateway.retrieval.labels import as_shown, is_within
from servicekit.errors import InvalidArgument
from sightline.common.v1.photo_pb2 import Box, LabelLine, PhotoPoint
from tests import virtual_time
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_values import DEFAULT, photo

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
    assert [line.text for line in answer.labels[0]] == [*LINES]
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
    assert not any(answer.labels.values()), "the fake's lines have no place"


async def test_of_several_photos_the_first_one_s_label_is_read() -> None:
    more = tuple(photo(place, b"other") for place in range(1, 4))
    unwanted = replace(photo(0), negative=True)
    assert RequestQuery(signals=(photo(), *more[:2])).labelled == photo()
    assert RequestQuery(signals=(photo(), *more)).labelled is None
    assert RequestQuery(signals=(unwanted, more[0])).labelled == more[0]
    named = replace(photo(0), kind=SignalKind.IMAGE_URI, image=b"", image_uri="https://x.test/p")
    assert RequestQuery(signals=(named, *more[:1])).labelled == named


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
    without, labelled = (price_of(three, (), (), sizes, labelled=each) for each in (False, True))
    assert labelled.seconds - without.seconds == pytest.approx(LABEL)
    assert labelled.seconds <= MOST_SECONDS
    assert not labelled.is_expensive or without.is_expensive

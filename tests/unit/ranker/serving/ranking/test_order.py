"""A page and its record follow from the whole ranking and the shared rule."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker.domain import answer_columns
from ranker.domain.answer_arrays import read_record
from ranker.domain.answer_columns import numbers
from ranker.domain.events import EventType, History, Identity, Shopper
from ranker.domain.model import Calibration, Model
from ranker.record.answers import StoredAnswer, content_of
from ranker.servicer.ranking import RankingServicer
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1 import answer_pb2, candidate_pb2, event_pb2
from sightline.ranker.v1 import answer_service_pb2 as answers_pb
from sightline.ranker.v1 import ranking_service_pb2 as pb
from tests.fakes import collapsing
from tests.fakes.ranker import KEY, NOW, FakeReader, did, model

ANN = KEY.of("default", Shopper(Identity.USER, "ann"))
IDS = [f"p{n:02}" for n in range(24)]
CURVE = Calibration(EventType.CLICK, np.array([-1.0, 2.0]), np.array([0.0, 1.0]), 1_000)
PICTURE = 0x5A5A5A5A5A5A5A00
HASHES = st.sampled_from([0, PICTURE, PICTURE ^ 0x300, PICTURE ^ 0x1, ~PICTURE & (2**64 - 1)])


def made() -> Model:
    """Return a model that knows half of the products."""
    rng = np.random.default_rng(3)
    plain = model({item: rng.normal(size=3).tolist() for item in IDS[::2]})
    return dataclasses.replace(plain, calibration=CURVE)


class Serving:
    def __init__(self, known: Model | None) -> None:
        self._known = known

    def serving(self, catalog_id: str) -> Model | None:
        return self._known

    def pinned(self, catalog_id: str, version: str) -> Model | None:
        return None

    def refused(self, catalog_id: str) -> bool:
        return False

    def former(self, catalog_id: str) -> Model | None:
        return None


class Taking:
    """A queue that takes all."""

    def __init__(self) -> None:
        self.taken: list[StoredAnswer] = []

    def offer(self, answer: StoredAnswer) -> bool:
        self.taken.append(answer)
        return True


@st.composite
def requests(draw: st.DrawFn) -> pb.RankRequest:
    """Draw candidates of few families and pictures, as a gateway sends them."""
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, unique=True))
    own = draw(st.lists(st.sampled_from([*IDS, "q1", "q2"]), max_size=3, unique=True))
    place = st.integers(0, len(ids) - 1)
    pairs = draw(st.lists(st.tuples(place, place), max_size=4))

    def columns(items: list[str]) -> candidate_pb2.CandidateColumns:
        texts = st.sampled_from(["", "", "", *IDS[:3]])
        size = len(items)
        return candidate_pb2.CandidateColumns(
            product_ids=items,
            parent_ids=draw(st.just([]) | st.lists(texts, min_size=size, max_size=size)),
            image_hashes=draw(st.just([]) | st.lists(HASHES, min_size=size, max_size=size)),
            brands=[item[-1] for item in items],
            create_time_micros=[NOW] * size,
        )

    numbers_ = st.sampled_from([0.0, 0.25, 0.5, 1.0, float("nan")])
    similarities = draw(st.lists(numbers_, min_size=len(ids), max_size=len(ids)))
    weights = [pb.PartWeight(part=one, weight=1) for one in ("visual", "session", "popularity")]
    return pb.RankRequest(
        shopper=draw(st.sampled_from([None, event_pb2.Shopper(user_id="ann")])),
        candidates=columns(ids),
        query_products=columns(own),
        same_pictures=[one for pair in pairs for one in pair],
        branches=[pb.BranchSignal(branch="visual", similarities=similarities)],
        weights=weights,
        top_k=draw(st.integers(0, 5)),
        drop_seen=draw(st.booleans()),
        seed=draw(st.integers(0, 9)),
        time_micros=NOW,
        diversity=pb.Diversity(
            diversity=draw(st.sampled_from([0.0, 0.5])),
            brand_cap=draw(st.integers(0, 1)),
            exploration_places=draw(st.sampled_from([(), (2, 4)])),
        ),
        explain=draw(st.booleans()),
        collapse=True,
        record=pb.AnswerDraft(
            answer_id="an-answer",
            versions=answer_pb2.Versions(scene="home"),
            expire_time_micros=2 * NOW,
            arms=["b", "a"],
            matched_image_ids=draw(st.sampled_from([[], [f"i-{one}" for one in ids]])),
            branch_names=["visual", "text"],
            branches=[1 + n % 3 for n in range(len(ids))],
        ),
    )


def expected(request: pb.RankRequest, whole: pb.RankResponse) -> list[tuple[int, list[str]]]:
    """Return the places of the remaining products in the whole order, each with its
    near-duplicates."""

    def items(columns: candidate_pb2.CandidateColumns) -> dict[str, collapsing.Candidate]:
        return {
            item: collapsing.Candidate(
                item,
                columns.parent_ids[n] if columns.parent_ids else "",
                columns.image_hashes[n] if columns.image_hashes else 0,
                [pair for pair in pairs if n in pair] if columns is request.candidates else (),
            )
            for n, item in enumerate(columns.product_ids)
        }

    ends = iter(request.same_pictures)
    pairs = {pair for pair in zip(ends, ends, strict=True) if pair[0] != pair[1]}
    own = list(items(request.query_products).values())
    known = items(request.candidates)
    groups = collapsing.collapse([*own, *(known[item] for item in whole.product_ids)])
    size = len(own)
    return [(one.place - size, list(one.collapsed)) for one in groups if one.place >= size]


def reader() -> FakeReader:
    """Return a reader with ann's history and the products' popularity."""
    history = History(
        recent=tuple(did(ANN, item, EventType.VIEW, at=-n) for n, item in enumerate(IDS[:6])),
        hidden=frozenset(IDS[7:9]),
        seen=frozenset(IDS[:3]),
    )
    return FakeReader({ANN: history}, {item: n / 24 for n, item in enumerate(IDS)})


async def answered(
    request: pb.RankRequest, known: Model | None
) -> tuple[pb.RankResponse, pb.RankResponse, answers_pb.AnswerRecord]:
    """Return the page, the whole ranking without collapsing, and the record."""
    queue = Taking()
    servicer = RankingServicer.of(("default",), KEY, reader(), Serving(known), 1_000, answers=queue)
    page = await servicer.Rank(request, None)
    plain = pb.RankRequest()
    plain.CopyFrom(request)
    for name in ("collapse", "query_products", "same_pictures", "top_k", "record"):
        plain.ClearField(name)
    (kept,) = queue.taken
    assert (kept.catalog_id, kept.answer_id, kept.scene, kept.arms) == (
        "default", "an-answer", "home", "a\nb",
    )  # fmt: skip
    assert kept.actor == (ANN if request.HasField("shopper") else "")
    assert kept.expires_micros == 2 * NOW // 1_000_000 * 1_000_000
    return page, await servicer.Rank(plain, None), read_record(content_of(kept))


class Split:
    """Contributions of a value, equal up to single precision, which varies with the number of split
    values."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, features: pb.FeatureList) -> None:
        self._shown = {one.name: one.value for one in features.features if abs(one.value) > 1e-5}

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Split)
        return other._shown == pytest.approx(self._shown, rel=1e-4, abs=1e-5)


def one(answer: pb.RankResponse, place: int, whole_place: int) -> dict[str, object]:
    """Return everything that the answer shows of a product."""
    return {
        "id": answer.product_ids[place],
        "raw": answer.raw_scores[place],
        "parts": [(part.name, part.values[place]) for part in answer.parts],
        "split": [Split(part.features[place]) for part in answer.parts if part.features],
        "reasons": answer.reasons[place],
        "rank": answer.score_ranks[place] if answer.score_ranks else whole_place + 1,
        "moves": answer.moves[place] if answer.moves else pb.MoveList(),
        "propensity": answer.propensities[place] if answer.propensities else 1.0,
        "chance": answer.scores[place] if answer.scores else None,
    }


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(requests(), st.booleans())
async def test_a_page_and_its_record_are_the_whole_ranking_collapsed(
    request: pb.RankRequest, trained: bool
) -> None:
    page, whole, record = await answered(request, made() if trained else None)
    left = expected(request, whole)
    shown = left[: request.top_k or None]
    assert page.total_count == len(left)
    assert page.collapsed_count == len(whole.product_ids) - len(left)
    assert (page.hidden_count, page.seen_count) == (whole.hidden_count, whole.seen_count)
    assert [one(page, n, n) for n in range(len(page.product_ids))] == [
        one(whole, place, place) for place, _ in shown
    ]
    members = [list(each.product_ids) for each in page.collapsed]
    assert members == [each for _, each in shown] or not (members or any(e for _, e in shown))

    assert page.recorded
    assert (record.seed, record.hidden_count) == (request.seed, whole.hidden_count)
    assert record.versions.model_version == whole.model_version
    assert [each.stage for each in record.degradations] == [] if trained else ["rank"]
    columns = record.columns
    assert not [*answer_columns.problems(columns)]
    rows = {item: n for n, item in enumerate(request.candidates.product_ids)}
    for found, (place, near) in zip(answer_columns.to_products(columns), left, strict=True):
        same = one(whole, place, place)
        row = rows[found.product_id]
        assert (found.product_id, found.raw_score) == (same["id"], same["raw"])
        assert [(part.name, part.value) for part in found.parts] == same["parts"]
        assert (found.score_rank, found.propensity) == (same["rank"], same["propensity"])
        assert list(found.moves) == list(same["moves"].moves)
        assert list(found.collapsed_product_ids) == near
        assert not found.reasons
        images = request.record.matched_image_ids
        assert found.matched_image_id == (images[row] if images else "")
        named = [["visual"], ["text"], ["visual", "text"]][row % 3]
        assert list(found.branches) == named
        assert (found.score if found.HasField("score") else None) == same["chance"]
        assert found.score_event == (event_pb2.EVENT_TYPE_CLICK if trained else 0)
    assert len(numbers(columns.raw_scores)) == len(left)


async def test_no_room_in_the_queue_is_reported() -> None:
    request = pb.RankRequest(candidates=candidate_pb2.CandidateColumns(product_ids=["a"]))
    request.record.answer_id = "a1"
    servicer = RankingServicer.of(("default",), KEY, FakeReader(), Serving(None), 0)
    assert not (await servicer.Rank(request, None)).recorded


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(requests(), st.booleans())
async def test_a_later_page_has_the_reasons_that_a_longer_first_one_had(
    request: pb.RankRequest, trained: bool
) -> None:
    request.top_k = 0
    whole, _, _ = await answered(request, made() if trained else None)
    ids = list(request.candidates.product_ids)
    places = [n for n, item in enumerate(whole.product_ids) if n >= 2]
    if not places:
        return
    rows = [ids.index(whole.product_ids[place]) for place in places]
    parts = [
        pb.PartColumn(name=part.name, values=[part.values[place] for place in places])
        for part in whole.parts
    ]
    given_ = request.candidates
    asked = pb.GiveReasonsRequest(
        shopper=request.shopper if request.HasField("shopper") else None,
        candidates=candidate_pb2.CandidateColumns(
            product_ids=[ids[row] for row in rows], brands=[given_.brands[row] for row in rows]
        ),
        parts=parts,
        weights=request.weights,
        explain=request.explain,
        explored_places=[
            n
            for n, place in enumerate(places)
            if any(reason.code == "NEW" for reason in whole.reasons[place].reasons)
        ],
    )
    servicer = RankingServicer.of(
        ("default",), KEY, reader(), Serving(made() if trained else None), 0
    )
    found = await servicer.GiveReasons(asked, None)
    assert list(found.reasons) == [whole.reasons[place] for place in places]
    assert found.model_version == whole.model_version
    if request.explain:
        for part, before in zip(found.parts, whole.parts, strict=True):
            assert part.name == before.name
            assert list(part.values) == [before.values[place] for place in places]
            made_of = [before.features[place] for place in places] if before.features else []
            assert list(map(Split, part.features)) == list(map(Split, made_of))
    else:
        assert not found.parts


async def test_a_part_of_which_nothing_is_known_any_more_says_what_it_was() -> None:
    """Check a replay after the shopper was erased, or the weights have changed."""
    asked = pb.GiveReasonsRequest(
        candidates=candidate_pb2.CandidateColumns(product_ids=["a"]),
        parts=[
            pb.PartColumn(name=name, values=[value])
            for name, value in (("session", 0.4), ("taste", 0.4), ("visual", 9.0))
        ],
        explain=True,
    )
    servicer = RankingServicer.of(("default",), KEY, FakeReader(), Serving(made()), 0)
    found = await servicer.GiveReasons(asked, None)
    codes = [reason.code for reason in found.reasons[0].reasons]
    assert codes == ["SIMILAR_TO_VIEWED", "MATCHES_TASTE"]
    assert [len(part.features) for part in found.parts] == [0, 0, 0]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"candidates": {}}, "candidates.product_ids"),
        ({"parts": [{"name": "taste", "values": [1.0]}]}, "parts[0].values"),
        ({"parts": [{"name": "taste", "values": [1.0, float("nan")]}]}, "parts[0].values"),
        ({"parts": [{"values": [1.0, 1.0]}]}, "parts[0].name"),
        ({"parts": [{"name": f"p{n}", "values": [1.0, 1.0]} for n in range(50)]}, "parts"),
        ({"weights": [{"part": "taste", "weight": -1}]}, "weights[0].weight"),
        ({"explored_places": [2]}, "explored_places"),
        ({"candidates": {"product_ids": ["a", "b"], "brands": ["x"]}}, "candidates.brands"),
    ],
)
async def test_what_can_t_be_explained_is_refused_by_its_field(
    fields: dict[str, object], field: str
) -> None:
    servicer = RankingServicer.of(("default",), KEY, FakeReader(), Serving(None), 0)
    asked = pb.GiveReasonsRequest(**{"candidates": {"product_ids": ["a", "b"]}, **fields})
    with pytest.raises(RequestInvalid) as caught:
        await servicer.GiveReasons(asked, None)
    assert caught.value.violations[0].field == field

"""Records of rankings as arrays are those that releases until 0.37 wrote as messages."""

import base64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker.domain import answer_arrays
from ranker.domain.answer_arrays import read_columns, read_record
from ranker.domain.answer_columns import without_costs
from ranker.domain.signals import DEFAULTS
from ranker.servicer.answers import draft_of
from ranker.servicer.rank_requests import rank_query
from ranker.servicer.replay import Replayer, recorded_ranking
from ranker.servicer.replies import lost_of, ranked_message, ranked_of
from ranker.serving.rank_products import RankProducts
from ranker.serving.ranking.shopper_reads import Shoppers
from ranker.serving.record_ranking import RecordRanking
from ranker.serving.replay_answer import ReplayAnswer
from servicekit.telemetry import Stages
from sightline.common.v1 import answer_pb2
from sightline.ranker.v1 import answer_service_pb2 as answers_pb
from sightline.ranker.v1 import ranking_service_pb2 as pb
from tests.fakes.drawn_models import plain
from tests.fakes.former_records import add_inputs, record_of
from tests.fakes.ranker import KEY
from tests.unit.ranker.serving.ranking.test_order import (
    ANN,
    Serving,
    Taking,
    made,
    reader,
    requests,
)

Record = answers_pb.AnswerRecord
OBJECTIVES = st.sampled_from(["OBJECTIVE_UNSPECIFIED", "OBJECTIVE_CLICKS", "OBJECTIVE_MARGIN"])


async def recorded(request: pb.RankRequest, *, trained: bool) -> tuple[bytes, Record]:
    """Return the record of an answer as bytes, and as the message of before."""
    who = ANN if request.HasField("shopper") else None
    known, model, taking = reader(), made() if trained else None, Taking()
    query = rank_query(request, "default", who)
    rank = RankProducts(known, Serving(model), Shoppers(known))
    stages = Stages()
    ranked, served = await rank(query, stages)
    lost = lost_of("rank", served)
    keep = RecordRanking(taking, KEY, DEFAULTS, 1)
    assert keep(draft_of(request.record), query, ranked, lost)
    answer = ranked_message(ranked_of(query, ranked, lost), stages)
    former = record_of(request, answer, query, ranked)
    add_inputs(former, request, query, ranked, (KEY, DEFAULTS))
    (kept,) = taking.taken
    assert kept.content.size > 0
    content = kept.content.encoded()
    assert kept.content.encoded() == content
    return content, former


@st.composite
def rich_requests(draw: st.DrawFn) -> pb.RankRequest:
    """Draw requests that use everything on which an order may depend."""
    request = draw(requests())
    count = len(request.candidates.product_ids)
    request.diversity.calibrated = draw(st.sampled_from([0.0, 0.5]))
    request.diversity.window = draw(st.sampled_from([0, 3]))
    request.diversity.objective = draw(OBJECTIVES)
    request.diversity.objective_strength = draw(st.sampled_from([0.0, 0.7]))
    request.diversity.category_caps.add(level=1, cap=2)
    columns = request.candidates
    columns.category_paths.extend("ab"[n % 2] for n in range(count))
    columns.price_micros.extend(n - 1 for n in range(count))
    columns.currencies.extend(["EUR", "USD", ""][n % 3] for n in range(count))
    if draw(st.booleans()):
        columns.cost_micros.extend(n // 2 for n in range(count))
        columns.cost_currencies.extend("EUR" for _ in range(count))
    columns.titles.extend(f"Title {n}" for n in range(count))
    for n in range(count):
        columns.tags.add(values=[f"tag {n}"])
        columns.attributes.add().values.add(key="country", text=f"{n}")
    request.fused.extend(1 / (n + 3) for n in range(count))
    if draw(st.booleans()):
        pin = {"name": "pin", "candidates": [0], "place": 2}
        boost = {"name": "boost", "candidates": [count - 1], "boost": 0.5, "by_merit": True}
        bury = {"name": "bury", "candidates": [count // 2], "bury": True}
        request.controls.CopyFrom(pb.Controls(controls=[pin, boost, bury], page_size=3))
    if draw(st.booleans()):
        request.anchors.product_ids.extend(["p02", "p03"])
    lost = request.record.degradations.add(stage="visual", cause=draw(st.integers(1, 9)))
    lost.as_of.FromSeconds(draw(st.integers(0, 9)))
    request.record.versions.spaces.add(space="visual", version="v1", generation="g")
    return request


@settings(max_examples=100, deadline=None)
@given(rich_requests(), st.booleans())
async def test_a_record_of_arrays_says_what_the_message_said(
    request: pb.RankRequest, trained: bool
) -> None:
    content, former = await recorded(request, trained=trained)
    now = read_record(content)
    assert read_record(now.SerializeToString()) == now
    assert read_columns(content) == now.columns == former.columns
    ours, theirs = (recorded_ranking("default", each, ANN) for each in (now, former))
    assert plain(ours) == plain(theirs)
    assert now.inputs_version == former.inputs_version
    for each in (now, former):
        each.ClearField("inputs")
        each.ClearField("inputs_version")
    if former.degradations[0].as_of.seconds == 0:
        former.degradations[0].ClearField("as_of")
    assert now == former
    assert len(content) < len(former.SerializeToString()) + 6_000


@settings(max_examples=30, deadline=None)
@given(rich_requests(), st.booleans())
async def test_an_order_is_replayed_to_the_bit_from_either_form(
    request: pb.RankRequest, trained: bool
) -> None:
    request.ClearField("shopper")  # which is not stored here
    content, former = await recorded(request, trained=trained)
    for record in (read_record(content), former):
        model = Serving(made() if trained else None)
        replayer = Replayer(ReplayAnswer(KEY, reader(), model, None, DEFAULTS))  # type: ignore[arg-type]
        found = await replayer("default", answers_pb.ReplayAnswerRequest(), record, ANN)
        assert found.equal


async def test_costs_leave_a_record_of_arrays_in_an_export() -> None:
    request = pb.RankRequest(
        candidates={"product_ids": ["a", "b"], "price_micros": [5, 6], "currencies": ["EUR"] * 2},
        diversity={"objective": "OBJECTIVE_MARGIN", "objective_strength": 1.0},
        record={"answer_id": "x"},
    )
    request.candidates.cost_micros.extend([1234567, 2])
    request.candidates.cost_currencies.extend(["EUR"] * 2)
    content, _ = await recorded(request, trained=False)
    assert list(read_record(content).inputs.request.candidates.cost_micros) == [1234567, 2]
    exported = read_record(without_costs(content))
    assert not exported.inputs.request.candidates.cost_micros
    assert sorted(exported.columns.product_ids) == ["a", "b"]


async def test_releases_until_0_37_find_no_record_instead_of_failing() -> None:
    request = pb.RankRequest(candidates={"product_ids": ["a"]}, record={"answer_id": "x"})
    content, _ = await recorded(request, trained=False)
    found = Record.FromString(content)
    assert len(found.products) == 1, "they answer ANSWER_RECORD_MISSING"
    assert not found.columns.product_ids


FORMER = base64.b64decode(
    "CgZmb3JtZXIiBGhvbWUqEBIIbGZtLXRlc3QaBGhvbWUwB2rpBAoDcDExCgNwMDUKA3AwNAoDcDEwCgNwMDkKA3Aw"
    "OAoDcDA3CgNwMDYKA3AwMwoDcDAyCgNwMDASWF0lz96sefQ/MDcSNnKK8z8QCwMsxjPzP0gaxWVUZ/Q/l5AEalpO"
    "9D+OGcjimi30PyIGYvOSA/Q/AAAAEC/O8z/zzp9ZcsLyP8cMZHFoJ/I/AAAAwMzM7D8aYgoGdmlzdWFsElgAAAAg"
    "V0njPwAAAODFeeg/AAAAoC1X6T8AAAAAvybkPwAAAMAmBOU/AAAAgI7h5T8AAABg9r7mPwAAACBenOc/AAAAgJU0"
    "6j8AAABA/RHrPwAAAMDMzOw/GmYKCnBvcHVsYXJpdHkSWLpKnp0CquU/v9xIGD023T8+LAxwvSDaP5E0isvpp+Q/"
    "LiEJFI6Y4z8cM5BFp3niP0MMxIYvSOE/AAAAAAAA4D/NO39mnqDWPxwzkEWnedI/AAAAAAAAAAAqBnZpc3VhbDIL"
    "AQEBAQEBAQEBAQE6CwAAAAAAAAAAAAEAQgNwMDFKCwEHCAIDBAUGCQoMUg8IBRILAAAKAQEBAQEAAABSDwgGEgsA"
    "CgABAQEBAQAAAFpYAAAAAAAA8D8AAAAAAADwP5qZmZmZmbk/zczMzMzM7D+amZmZmZnpP2ZmZmZmZuY/MzMzMzMz"
    "4z8AAAAAAADgPzMzMzMzM+M/ZmZmZmZm5j/NzMzMzMzsP2JYPW7f6R1R6D8gemF5obHnPwqyrHLZd+c/2maD7uJE"
    "6D+6ta1GPDToP7S72kFnHug/wa6W92EC6D+qqqoKyt7nP03fvztMLOc/hQiYS/DE5j8AAABARETkP2gDggGtBQri"
    "AzKBAhIAEgASA3AwMRIAEgASABIAEgASABIAEgASACIAIgFiIgFhIgFiIgFhIgAiAWEiAWIiAWEiAWIiAWEiAWJS"
    "YIDAl9Ht/5YDgMCX0e3/lgOAwJfR7f+WA4DAl9Ht/5YDgMCX0e3/lgOAwJfR7f+WA4DAl9Ht/5YDgMCX0e3/lgOA"
    "wJfR7f+WA4DAl9Ht/5YDgMCX0e3/lgOAwJfR7f+WA1pgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAOjoK"
    "BnZpc3VhbBIwZmZmPyh7Xz/qj1g/rKRRP225Sj8vzkM/8eI8P7P3NT90DC8/NiEoP/g1IT+5Sho/QjCrqqo+AACA"
    "Ps3MTD6rqio+JUkSPgAAAD45juM9zczMPYwuuj2rqqo92YmdPSVJkj1KEQoGdmlzdWFsEQAAAAAAAPA/ShIKB3Nl"
    "c3Npb24RAAAAAAAA8D9KFQoKcG9wdWxhcml0eREAAAAAAADwP2AHahIJMzMzMzMz0z8YCiAEKAI6AQN4gMCX0e3/"
    "lgOQAQHCAQ0KCwoEaGVybxIBBRgCGhgLAAUABAAKAAkACAAHAAYAAwACAAAAAQAiYAAAAAAAAAAAVVVVVVVVpT9V"
    "VVVVVVW1PwAAAAAAAMA/VVVVVVVVxT+rqqqqqqrKPwAAAAAAANA/q6qqqqqq0j9VVVVVVVXVPwAAAAAAANg/q6qq"
    "qqqq2j9VVVVVVVXdP0pAaNLCXYoux6Z8rvLiallCpi59KHr2pZpolNmplA+Wz7asNQoZB5lt7c94LXlc7PcdbKDO"
    "HxugW1XdmOsflw4h+VIINXCRDMILnvWIAQE="
)
"""The record of an answer, as release 0.37 stored it."""


async def test_a_record_that_0_37_stored_is_read_and_replayed_to_the_bit() -> None:
    assert answer_arrays.unpack(FORMER) is None
    record = read_record(FORMER)
    assert list(record.columns.product_ids)[:2] == list(read_columns(FORMER).product_ids)[:2]
    assert record.versions == answer_pb2.Versions(scene="home", model_version="lfm-test")
    replayer = Replayer(ReplayAnswer(KEY, reader(), Serving(made()), None, DEFAULTS))  # type: ignore[arg-type]
    assert (await replayer("default", answers_pb.ReplayAnswerRequest(), record, ANN)).equal


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000])
def test_arrays_come_back_as_they_were_packed(size: int) -> None:
    given_ = {"a": np.arange(size, dtype="<f8"), "b": np.arange(3, dtype="<u2")}
    header, arrays = answer_arrays.unpack(answer_arrays.pack({"x": [1, "é"]}, given_)) or ({}, {})
    assert header == {"x": [1, "é"]}
    assert {name: each.tolist() for name, each in arrays.items()} == {
        name: each.tolist() for name, each in given_.items()
    }

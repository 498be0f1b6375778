"""Labels of photos in a search, over real gRPC."""

from pathlib import Path

import pytest

from servicekit.errors import Unavailable
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.fakes.gateway_script import ALLOWED_URI
from tests.fakes.gateway_wire import Suite, running
from tests.wire.gateway_calls import PHOTO, causes, ids, refused, suite

__all__ = ["suite"]  # fixtures


def search(*photos: pb.QuerySignal, **fields: object) -> pb.SearchRequest:
    signals = photos or (pb.QuerySignal(image=PHOTO),)
    return pb.SearchRequest(signals=signals, **fields)  # type: ignore[arg-type]


async def test_a_search_has_the_lines_of_its_photo_s_label(suite: Suite) -> None:
    answer = await suite.recommendation.Search(search(read_labels=True))
    (label,) = answer.labels
    assert (label.signal, label.left_out) == (0, False)
    (line,) = label.lines
    assert line.text == "Origem Merlot"
    assert [(point.x, point.y) for point in line.corners] == [(0, 0), (1, 0), (1, 0.5), (0, 0.5)]
    (words,) = suite.retriever.script.requests("SearchKeywords")
    assert words.labelled
    assert words.text == line.text


async def test_a_label_whose_lines_are_unsure_has_their_number_and_no_lines(suite: Suite) -> None:
    photo = pb.QuerySignal(image=b"cyrillic")
    answer = await suite.recommendation.Search(search(photo, read_labels=True))
    (label,) = answer.labels
    assert label == pb.SignalLabel(signal=0, unsure_line_count=2)
    assert not answer.degradations
    assert not suite.retriever.script.requests("SearchKeywords")


async def test_an_explanation_has_the_lines_of_the_label_and_where_they_are(
    tmp_path: Path,
) -> None:
    (tmp_path / "labelled.toml").write_text("[branches]\nvisual = 1.0\nlabels = 0.5\n")
    async with running(scenes_folder=tmp_path) as made:
        asked = pb.RecommendRequest(scene="labelled", signals=[pb.QuerySignal(image=PHOTO)])
        found = await made.recommendation.ExplainRecommendation(
            pb.ExplainRecommendationRequest(request=asked, product_id="p2")
        )
    (label,) = found.labels
    assert [line.text for line in label.lines] == ["Origem Merlot"]
    assert len(label.lines[0].corners) == 4


async def test_a_search_that_does_not_ask_reads_no_label(suite: Suite) -> None:
    answer = await suite.recommendation.Search(search())
    assert not answer.labels
    assert not suite.embedder.script.requests("ReadLabels")


async def test_a_photo_given_by_its_address_is_read(suite: Suite) -> None:
    asked = search(pb.QuerySignal(image_uri=ALLOWED_URI), read_labels=True)
    answer = await suite.recommendation.Search(asked)
    assert [label.signal for label in answer.labels] == [0]
    (read,) = suite.embedder.script.requests("ReadLabels")
    assert (read.image, read.image_uri) == (b"", ALLOWED_URI)


async def test_labels_that_a_request_can_not_pay_for_are_left_out() -> None:
    photos = [pb.QuerySignal(image=PHOTO), pb.QuerySignal(image_uri=ALLOWED_URI)]
    async with running(request_seconds=1.2) as paid:
        whole = await paid.recommendation.Search(search(*photos, read_labels=True))
    async with running() as usual:
        part = await usual.recommendation.Search(search(*photos, read_labels=True))
        dear = [*photos, *photos, pb.QuerySignal(image=PHOTO)]
        error = await refused(usual.recommendation.Search(search(*dear, read_labels=True)))
    assert [label.left_out for label in whole.labels] == [False, False]
    assert [label.left_out for label in part.labels] == [False, True]
    assert error.reason == "REQUEST_TOO_EXPENSIVE"


@pytest.mark.parametrize("lost", ["ReadLabels", "SearchKeywords"])
async def test_a_lost_peer_is_named_and_the_photo_is_searched(suite: Suite, lost: str) -> None:
    plain = await suite.recommendation.Search(search())
    peer = suite.embedder if lost == "ReadLabels" else suite.retriever
    peer.script.errors[lost] = Unavailable("gone", reason="UNAVAILABLE")
    answer = await suite.recommendation.Search(search(read_labels=True))
    assert ids(answer) == ids(plain)
    assert [stage for stage, _ in causes(answer)] == ["labels"]
    assert [label.left_out for label in answer.labels] == [lost == "ReadLabels"]


async def test_a_label_that_is_late_leaves_the_search_in_time(suite: Suite) -> None:
    suite.embedder.script.hang.add("ReadLabels")
    answer = await suite.recommendation.Search(search(read_labels=True), timeout=3)
    assert ids(answer)
    assert causes(answer) == [("labels", "STAGE_DEADLINE")]
    assert [label.left_out for label in answer.labels] == [True]

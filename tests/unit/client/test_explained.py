"""Explanations as values, on the command line and on the page."""

import io
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console
from typer.testing import CliRunner

from sightline.common.v1 import answer_pb2, photo_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client import (
    Explanation,
    MoveCause,
    NotFound,
    ProductOutcome,
    ScoreFeature,
    SightlineClient,
)
from sightline_client.cli import app
from sightline_client.cli.show import explained, page
from sightline_client.convert import from_wire
from sightline_client.values.controls import ControlKind, ControlResult
from tests.fakes import gateway_messages as fakes
from tests.fakes.gateway import FakeGateway


def rendered(renderable: object) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(renderable)
    return " ".join(console.export_text().split())


def explanation(**fields: object) -> Explanation:
    message = fakes.explanation()
    for name in fields:
        message.ClearField(cast(Any, name))
    message.MergeFrom(rec.ExplainRecommendationResponse(**cast(Any, fields)))
    return from_wire.explanation(message)


def test_an_explanation_keeps_every_figure() -> None:
    value = explanation()
    assert (value.outcome, value.rank) == (ProductOutcome.OUTRANKED, 12)
    assert value.product is not None
    assert value.product.title == "Nebbiolo"
    assert value.rejection is not None
    assert value.rejection.held == ("price: 12.50 EUR",)
    assert value.score is not None
    assert value.score.parts[0].features[0] == ScoreFeature("brand=Aurora", 1.0)
    assert (value.score.moves[0].cause, value.score.moves[0].places) == (MoveCause.BRAND_CAP, -9)
    assert value.last_shown is not None
    visual, collaborative = value.branches
    assert (visual.signal, visual.similarity, visual.last_similarity) == (0, 0.5, 0.25)
    assert (collaborative.signal, collaborative.similarity) == (None, None)
    assert value.degradations
    assert value.versions.model_version == "m1"


def test_an_explanation_has_the_controls_and_limits_that_concern_the_product() -> None:
    value = explanation(excluded_category_paths=["Wine > Red"])
    (control,), (limit,) = value.product_controls, value.place_limits
    assert (control.control, control.kind, control.outcome) == (
        "hero",
        ControlKind.EXCLUDE,
        ControlResult.APPLIED,
    )
    assert (limit.cause, limit.value, limit.product_count) == (MoveCause.BRAND_CAP, "Aurora", 2)
    assert value.excluded_category_paths == ("Wine > Red",)
    shown = rendered(explained.explanation(value))
    for text in ("hero home leaves it out yes words: red brand = Aurora 4 / 9", "Aurora 2 10 2"):
        assert text in shown, shown


def test_an_explanation_has_the_lines_of_labels_and_the_photos_that_were_not_read() -> None:
    line = photo_pb2.LabelLine(text="Origem Merlot", corners=[photo_pb2.PhotoPoint(x=0.25, y=0.5)])
    value = explanation(
        labels=[rec.SignalLabel(signal=1, lines=[line]), rec.SignalLabel(signal=2, left_out=True)]
    )
    ((place, (read,)),) = value.labels.items()
    assert (place, read.text, read.corners[0].x, read.corners[0].y) == (1, line.text, 0.25, 0.5)
    assert value.unread_labels == (2,)
    shown = rendered(explained.explanation(value))
    assert "signals[1] reads: Origem Merlot" in shown
    assert "signals[2]: the label was left out" in shown


def test_an_explanation_says_that_a_label_has_no_text_and_how_many_lines_are_unsure() -> None:
    line = photo_pb2.LabelLine(text="Merlot")
    value = explanation(
        labels=[
            rec.SignalLabel(signal=0),
            rec.SignalLabel(signal=1, unsure_line_count=1),
            rec.SignalLabel(signal=2, lines=[line], unsure_line_count=2),
        ]
    )
    assert [len(value.labels[place]) for place in range(3)] == [0, 0, 1]
    assert value.unsure_label_lines == {1: 1, 2: 2}
    shown = explained.classified.label_lines(value)
    assert shown == [
        "signals[0]: no text was read",
        "signals[1]: no text was read; 1 line was not readable",
        "signals[2] reads: Merlot; 2 lines were not readable",
    ]


def test_what_was_not_sent_is_none() -> None:
    value = from_wire.explanation(rec.ExplainRecommendationResponse())
    assert (value.product, value.rejection, value.score, value.last_shown) == (None,) * 4
    assert value.outcome is ProductOutcome.UNKNOWN


def test_names_of_a_newer_suite_are_unknown_and_no_error() -> None:
    newer = cast(Any, 99)
    assert explanation(outcome=newer).outcome is ProductOutcome.UNKNOWN
    moved = rec.ExplainedScore(moves=[answer_pb2.Move(cause=newer, places=1)])
    score = from_wire.explanation(rec.ExplainRecommendationResponse(score=moved)).score
    assert score is not None
    assert score.moves[0].cause is MoveCause.UNKNOWN


def test_every_value_of_the_contracts_enums_has_a_name_and_words_here() -> None:
    def names(enum: Any, prefix: str) -> set[str]:
        return {name.removeprefix(prefix) for name in enum.keys()} - {"UNSPECIFIED"}  # noqa: SIM118

    assert names(answer_pb2.Move.Cause, "CAUSE_") == set(MoveCause) - {"UNKNOWN"}
    outcomes = names(rec.ExplainRecommendationResponse.Outcome, "OUTCOME_")
    assert outcomes == set(ProductOutcome) - {"UNKNOWN"}
    assert set(explained.CAUSES) == set(MoveCause)


def test_the_table_says_what_each_part_comes_from_and_what_moved_it() -> None:
    text = rendered(explained.explanation(explanation()))
    assert "wine-2 Nebbiolo It stands at place 12. [OUTRANKED]" in text
    assert "Degraded: rank:" in text
    assert "taste fits this customer's history +0.7500" in text
    assert "brand=Aurora +1.0000" in text
    assert "place 3 by its score alone; moved -9 (limit of products per brand) [BRAND_CAP]" in text
    assert "visual, signals[0] 100 yes 0.5000 0.2500" in text
    assert "collaborative 7 no – –" in text
    assert "the last product shown, wine-1: 1.0000" in text


def test_a_filtered_product_shows_what_it_has() -> None:
    value = explanation(score=None, last_shown=None, branches=[])
    text = rendered(explained.explanation(value))
    assert "it has price: 12.50 EUR the condition: filter.comparison" in text


async def test_a_question_takes_what_a_recommendation_takes(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    found = await client.explain("wine-2", products="wine-1", user="ann", page_size=3, timeout=5)
    assert found.text == "It stands at place 12."
    (request,) = gateway.requests["ExplainRecommendation"]
    assert request.product_id == "wine-2"
    assert request.request.signals[0].product_id == "wine-1"
    assert (request.request.shopper.user_id, request.request.page_size) == ("ann", 3)


async def test_an_error_is_typed(client: SightlineClient, gateway: FakeGateway) -> None:
    gateway.fail("ExplainRecommendation", fakes.status(5, "no", reason="SCENE_NOT_FOUND"))
    with pytest.raises(NotFound):
        await client.explain("wine-2", scene="nope")


def test_the_command_asks_and_shows(gateway: FakeGateway) -> None:
    to = ("--target", gateway.target)
    found = CliRunner().invoke(
        app,
        ["explain", "wine-2", "--user", "ann", "--filter", "brand = A", "--language", "zh", *to],
    )
    assert found.exit_code == 0, found.output
    assert "It stands at place 12." in found.output
    (request,) = gateway.requests["ExplainRecommendation"]
    assert request.request.HasField("filter")
    assert request.request.language_code == "zh"
    as_json = CliRunner().invoke(app, ["explain", "wine-2", "--json", *to])
    assert '"outcome": "OUTCOME_OUTRANKED"' in as_json.output
    both = CliRunner().invoke(app, ["explain", "wine-2", "--user", "a", "--visitor", "b", *to])
    assert both.exit_code == 2


def test_a_recommendation_and_its_page_show_the_labels_that_were_read(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    lines = [photo_pb2.LabelLine(text="Origem Merlot")]
    gateway.recommendation.labels.add(signal=0, lines=lines)
    html = tmp_path / "page.html"
    line = ["recommend", "--product", "a", "--target", gateway.target]
    assert "signals[0] reads: Origem Merlot" in CliRunner().invoke(app, line).output
    assert CliRunner().invoke(app, [*line, "--html", str(html)]).exit_code == 0
    assert "signals[0] reads: Origem Merlot" in html.read_text("utf-8")


def test_a_recommendation_shows_features_and_moves_when_asked(gateway: FakeGateway) -> None:
    item = gateway.recommendation.results[0]
    item.parts[0].features.add(name="signals[0]", value=1.0)
    item.score_rank = 2
    item.moves.add(cause=answer_pb2.Move.CAUSE_DIVERSITY, places=1)
    to = ("--product", "a", "--target", gateway.target)

    plain = CliRunner().invoke(app, ["recommend", *to]).output
    split = CliRunner().invoke(app, ["recommend", "--explain", *to]).output

    assert [request.explain for request in gateway.requests["Recommend"]] == [False, True]
    assert "signals[0]" not in plain
    assert "signals[0]" in split
    assert "+1 (a more diverse list) [DIVERSITY]" in " ".join(split.split())


def test_the_page_shows_features_and_moves(tmp_path: Any) -> None:
    message = fakes.answer()
    item = message.results[0]
    item.parts[0].features.add(name="signals[<0>]", value=1.0)
    item.score_rank = 2
    item.moves.add(cause=answer_pb2.Move.CAUSE_EXPLORATION, places=1)
    path = tmp_path / "a.html"
    answer = from_wire.recommendations(message)
    page.write(path, page.Head("t"), [page.Section(answer)], {})
    text = path.read_text()
    assert "signals[&lt;0&gt;]" in text
    assert "place 2 by its score alone" in text


def test_a_heat_map_is_drawn_beside_the_explanation(gateway: FakeGateway, tmp_path: Path) -> None:
    photo, picture = tmp_path / "a.jpg", tmp_path / "out.png"
    photo.write_bytes(b"jpeg")
    line = ["explain", "wine-1", "--target", gateway.target, "--heat-map", str(picture)]
    done = CliRunner().invoke(app, [*line, "--image", str(photo), "--box", "0,0,0.5,1"])
    assert done.exit_code == 0, done.stderr
    assert picture.read_bytes() == b"a picture"
    said = " ".join(done.stderr.split())
    assert "sum to the similarity 0.6250, except -0.1250 without a region" in said
    (sent,) = gateway.requests["DrawHeatMap"]
    assert (sent.image, sent.product_id, sent.box.right) == (b"jpeg", "wine-1", 0.5)
    assert CliRunner().invoke(app, [*line, "--user", "u"]).exit_code == 2

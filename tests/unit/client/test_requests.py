"""Requests have the values of the arguments."""

from dataclasses import fields

import pytest

from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import control_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client import AnswerQuality, Control, ControlKind, F, RecommendOptions
from sightline_client.cli.base.query import RequestGroup, _options
from sightline_client.convert import requests
from sightline_client.convert.writing import options_writer, writer


def test_a_mixed_query_has_a_signal_for_each_thing() -> None:
    request = requests.recommend(
        catalog="shop",
        images=[b"1", b"2"],
        text="dry",
        products=["a", "b"],
        visitor="v",
        session="s",
        filter=F.category == "Red",
        page_size=5,
        page_token="p",
        scene="home",
        language="de",
        exclude="x",
        min_index_token="i",
        min_quality=0.5,
        min_answer_quality=AnswerQuality.REDUCED,
        explain=True,
        anchors=["c"],
        followed="ann",
        audiences="vip",
        controls=[Control("hero", ControlKind.PIN, ["p1"], place=1)],
        not_personal=True,
        as_typed=True,
    )
    assert [signal.WhichOneof("content") for signal in request.signals] == [
        *("image", "image", "text", "product_id", "product_id")
    ]
    assert request.shopper == event_pb2.Shopper(visitor_id="v")
    assert request.exclude_product_ids == ["x"]
    assert (request.anchor_product_ids, request.followed) == (["c"], ["ann"])
    assert request.audiences == ["vip"]
    unset = {field.name for field in rec.RecommendRequest.DESCRIPTOR.fields} - {
        field.name for field, _ in request.ListFields()
    }
    assert unset == {"request_id", "priority", "candidates"}


def test_candidates_are_ids_or_a_mapping_of_scores() -> None:
    request = requests.recommend(candidates={"a": 0.5, "b": None, "c": 0.0})
    assert [(each.product_id, each.score) for each in request.candidates] == [
        ("a", 0.5),
        ("b", 0.0),
        ("c", 0.0),
    ]
    assert [each.HasField("score") for each in request.candidates] == [True, False, True]
    request = requests.recommend(candidates=["b", "a"])
    assert [each.product_id for each in request.candidates] == ["b", "a"]


def test_a_search_has_the_language_of_its_text() -> None:
    assert requests.search(text="Karotten", language="de").language_code == "de"
    assert not requests.search(text="carrots").language_code


def test_a_lone_id_is_one_product_and_not_its_letters() -> None:
    request = requests.recommend(products="abc")
    assert [signal.product_id for signal in request.signals] == ["abc"]


def test_an_empty_text_is_sent_to_be_refused_and_not_dropped() -> None:
    assert requests.recommend(text="").signals[0].WhichOneof("content") == "text"


def test_an_unknown_option_is_a_type_error_as_for_any_parameter() -> None:
    with pytest.raises(TypeError, match="'pagesize'"):
        requests.recommend(pagesize=5)  # type: ignore[call-arg]


def test_a_field_without_a_counterpart_fails_when_its_writer_is_made() -> None:
    with pytest.raises(TypeError, match=r"RecommendRequest has no pagesize"):
        options_writer(["pagesize"], rec.RecommendRequest)
    with pytest.raises(TypeError, match="Control has no until"):
        writer(Control, control_pb2.Control, products="product_ids", until="end_time")


@pytest.mark.parametrize("option", sorted(RecommendOptions.__annotations__))
def test_every_option_is_on_the_command_line_or_known_not_to_be(option: str) -> None:
    elsewhere = {"images", "explain", "min_answer_quality", "unlike", "controls", "timeout"}
    not_there = {"session", "min_index_token", "min_quality"}
    shown = {*_options(RequestGroup(product=[], text="", anchor=[], exclude=[], followed=[]))}
    shown |= {field.name for field in fields(RequestGroup)}
    assert option in shown | elsewhere | not_there

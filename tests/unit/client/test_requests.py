"""Requests say what the arguments say."""

from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client import AnswerQuality, Control, ControlKind, F
from sightline_client.convert import requests


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
        controls=[Control("hero", ControlKind.PIN, ["p1"], place=1)],
    )
    assert [signal.WhichOneof("content") for signal in request.signals] == [
        *("image", "image", "text", "product_id", "product_id")
    ]
    assert request.shopper == event_pb2.Shopper(visitor_id="v")
    assert request.exclude_product_ids == ["x"]
    assert (request.anchor_product_ids, request.followed) == (["c"], ["ann"])
    unset = {field.name for field in rec.RecommendRequest.DESCRIPTOR.fields} - {
        field.name for field, _ in request.ListFields()
    }
    assert unset == {"request_id", "priority"}


def test_a_lone_id_is_one_product_and_not_its_letters() -> None:
    request = requests.recommend(products="abc")
    assert [signal.product_id for signal in request.signals] == ["abc"]


def test_an_empty_text_is_sent_to_be_refused_and_not_dropped() -> None:
    assert requests.recommend(text="").signals[0].WhichOneof("content") == "text"

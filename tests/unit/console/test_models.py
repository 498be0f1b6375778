"""The screen "Models and indexes", and the changes that it leads to."""

import html
import re
from typing import Any

import pytest
from google.rpc import code_pb2

from sightline.ranker.v1 import model_service_pb2
from sightline.retriever.v1 import index_service_pb2 as index
from sightline_console.screens.changes import CHANGES
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import FITTED, status
from tests.fakes.scenes import scene_difference
from tests.unit.console.conftest import Browser

DENIED = status(code_pb2.PERMISSION_DENIED, "needs the role models", reason="ROLE_MISSING")
CALLS = {
    "train-model": ("TrainModel", {}),
    "evaluate-model": ("EvaluateModel", {"model_version": "x"}),
    "promote-model": ("PromoteModel", {"model_version": "x", "force": False}),
    "roll-back-model": ("RollbackModel", {}),
    "demote-model": ("DemoteModel", {}),
    "promote-space": ("PromoteSpace", {"version": "x", "force": False}),
    "retire-space": ("RetireSpace", {"version": "x"}),
    "activate-generation": ("ActivateGeneration", {"name": "x", "force": False}),
    "roll-back-generation": ("RollbackGeneration", {"space": "x"}),
    "cancel-job": ("CancelJob", {"job_id": "x"}),
}
"""Change → its call with the fields of the request."""


def links(page: str) -> list[str]:
    """Return the addresses of the changes that a page offers."""
    return [html.unescape(each) for each in re.findall(r'href="(/models/change[^"]+)"', page)]


async def test_the_newest_model_begins_with_a_sentence_and_plots(
    web: Browser, gateway: FakeGateway
) -> None:
    page = (await web.open("/models")).text
    sentence = "Do not promote: no difference is proven by 56 returning shoppers."
    assert page.count(sentence) == 1
    assert page.index(sentence) < page.index("<table>")
    assert gateway.requests["GetEvaluation"][0].model_version == "m0"
    assert page.count("<svg") == 7, "three differences and four figures"
    assert "&lt;b&gt;EASE" in page
    assert "<b>EASE" not in page
    assert "trained by an older release" in page


async def test_another_model_is_chosen(web: Browser, gateway: FakeGateway) -> None:
    page = (await web.open("/models?model=m1")).text
    assert gateway.requests["GetEvaluation"][0].model_version == "m1"
    assert "Contribution of each part" in page
    assert "user_ids" in page


async def test_only_what_can_be_changed_is_offered(web: Browser, gateway: FakeGateway) -> None:
    for name, previous in (("old", True), ("next", False)):
        gateway.generations[name] = index.Generation(
            name=name,
            space="visual",
            state=index.Generation.STATE_READY,
            previous=previous,
        )
    offered = links((await web.open("/models")).text)
    assert offered == [
        "/models/change?do=promote-model&of=m1",
        "/models/change?do=train-model",
        "/models/change?do=evaluate-model&of=m0",
        "/models/change?do=roll-back-model",
        "/models/change?do=demote-model",
        f"/models/change?do=promote-space&of={FITTED.version}",
        "/models/change?do=roll-back-generation&of=visual",
        "/models/change?do=activate-generation&of=next",
    ]
    gateway.job_states = gateway.job_states[:1]
    page = (await web.open("/models")).text
    assert links(page)[-1] == "/models/change?do=cancel-job&of=ranker%2F1"
    assert "1 of 2" in page
    assert '<section id="jobs" data-again="5"' in page, "a script shows its progress"


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """List no models. Request it before the gateway, which keeps the methods that it finds."""

    def none(_admin: Any, _request: Any, _context: Any) -> model_service_pb2.ListModelsResponse:
        return model_service_pb2.ListModelsResponse()

    monkeypatch.setattr("tests.fakes.gateway_admin.Admin.ListModels", none)


async def test_without_models_the_page_says_what_to_do(no_models: None, web: Browser) -> None:
    page = (await web.open("/models")).text
    assert "No models: <code>sightline models train</code> makes one." in page
    assert "/models/change?do=train-model" in links(page)


async def test_a_model_that_was_not_evaluated(web: Browser, gateway: FakeGateway) -> None:
    missing = status(code_pb2.NOT_FOUND, "not evaluated", reason="EVALUATION_NOT_FOUND")
    gateway.fail("GetEvaluation", missing)
    page = await web.open("/models")
    assert page.status_code == 200
    assert "EVALUATION_NOT_FOUND" in page.text
    assert "do=evaluate-model" in page.text


async def test_each_list_that_the_key_may_not_see_is_told(
    web: Browser, gateway: FakeGateway
) -> None:
    for method in ("ListModels", "ListSpaces", "ListGenerations", "ListJobs"):
        gateway.after[method] = (0, DENIED)
    page = await web.open("/models")
    assert page.status_code == 200
    assert page.text.count("Your key does not allow this.") == 4


def test_each_change_is_tested() -> None:
    assert CALLS.keys() == CHANGES.keys()


@pytest.mark.parametrize("do", CALLS)
async def test_a_change_is_made_after_a_question(
    web: Browser, gateway: FakeGateway, do: str
) -> None:
    method, fields = CALLS[do]
    asked = await web.open(f"/models/change?do={do}&of=x")
    assert asked.status_code == 200
    assert CHANGES[do].effect in html.unescape(asked.text)
    assert not gateway.requests[method], "asking changes nothing"
    await web.send("/models/change", {"do": do, "of": "x"})
    (sent,) = gateway.requests[method]
    assert {name: getattr(sent, name) for name in fields} == fields


async def test_a_change_leads_back_and_is_told(web: Browser) -> None:
    sent = await web.send("/models/change", {"do": "promote-model", "of": "m1"})
    assert sent.headers["location"] == "/models?done=promote-model"
    assert "The model serves." in (await web.follow(sent)).text


async def test_a_promotion_against_the_evidence_is_offered_after_the_refusal(
    web: Browser, gateway: FakeGateway
) -> None:
    unproven = status(code_pb2.FAILED_PRECONDITION, "37 of 100", reason="MODEL_UNPROVEN")
    gateway.fail("PromoteModel", unproven)
    asked = await web.open("/models/change?do=promote-model&of=m1")
    assert 'name="force"' not in asked.text
    refused = await web.send("/models/change", {"do": "promote-model", "of": "m1"})
    assert refused.status_code == 400
    assert "37 of 100" in refused.text
    assert 'name="force"' in refused.text
    await web.send("/models/change", {"do": "promote-model", "of": "m1", "force": "1"})
    assert gateway.requests["PromoteModel"][-1].force


async def test_a_change_that_the_key_does_not_allow(web: Browser, gateway: FakeGateway) -> None:
    gateway.fail("CancelJob", DENIED)
    page = await web.send("/models/change", {"do": "cancel-job", "of": "ranker/1"})
    assert page.status_code == 403
    assert "Your key does not allow this." in page.text
    assert 'name="force"' not in page.text


async def test_a_change_that_does_not_exist(web: Browser, gateway: FakeGateway) -> None:
    assert (await web.open("/models/change?do=drop&of=x")).status_code == 404
    assert (await web.send("/models/change", {"do": "drop", "of": "x"})).status_code == 404
    assert not gateway.requests


async def test_a_change_without_the_token_of_the_form(web: Browser, gateway: FakeGateway) -> None:
    headers = {"origin": "http://127.0.0.1:8695"}
    sent = await web.web.post("/models/change", data={"do": "demote-model"}, headers=headers)
    assert sent.status_code == 403
    assert not gateway.requests["DemoteModel"]


async def test_two_models_are_compared_on_the_last_requests(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.scene_diff = scene_difference()
    page = (await web.open("/models?model=m1")).text
    assert 'href="/models/compare?after=m1"' in page
    page = (await web.open("/models/compare")).text
    assert "DiffScene" not in gateway.requests
    assert '<option value="m0">m0 (it serves)</option>' in page
    page = (await web.open("/models/compare?before=m0&after=m1&scene=home")).text
    (asked,) = gateway.requests["DiffScene"]
    assert (asked.scene, asked.current_model_version, asked.model_version) == ("home", "m0", "m1")
    assert "2 of 4 answers would change" in page
    first, second = page.partition("Request 1")[2].split('<ol class="side">')[1:3]
    assert first.index("p1") < first.index("p2")
    assert "&lt;script&gt;" in second
    assert "<script>alert" not in page
    assert page.index("<h4>m0</h4>") < page.index("<h4>m1</h4>")


@pytest.mark.parametrize("query", ["before=m1&after=m1", "after=m0"])
async def test_one_model_is_not_compared_with_itself(
    web: Browser, gateway: FakeGateway, query: str
) -> None:
    page = await web.open(f"/models/compare?{query}")
    assert page.status_code == 400
    assert "Choose two different models." in page.text
    assert not gateway.requests["DiffScene"]


@pytest.mark.parametrize(
    ("skipped", "text"),
    [(0, "no request to this scene in the last hour"), (3, "load the page again in a minute")],
)
async def test_a_comparison_without_answers_says_why(
    web: Browser, gateway: FakeGateway, skipped: int, text: str
) -> None:
    gateway.scene_diff.Clear()
    gateway.scene_diff.skipped_count = skipped
    assert text in (await web.open("/models/compare?after=m1")).text


async def test_a_model_that_is_gone_is_told_on_the_page(web: Browser, gateway: FakeGateway) -> None:
    gateway.fail("DiffScene", status(code_pb2.INVALID_ARGUMENT, "model_version: is no model"))
    page = await web.open("/models/compare?after=gone")
    assert page.status_code == 200
    assert "is no model" in page.text


async def compared_for(web: Browser, **fields: str) -> str:
    """Return the page that compares the models m0 and m1 for shoppers."""
    chosen = {"before": "m0", "after": "m1", "scene": "home"}
    sent = await web.send("/models/compare", {**chosen, **fields})
    assert "ann" not in sent.headers["location"]
    page = await web.follow(sent)
    assert page.status_code == 200, page.text
    return page.text


async def test_two_models_are_compared_for_five_typed_shoppers(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.scene_diff = scene_difference()
    page = await compared_for(web, kind="user", shoppers="ann b,c d e f ann")
    asked = gateway.requests["DiffScene"]
    assert sorted(each.shopper.user_id for each in asked) == ["", "ann", "b", "c", "d", "e"]
    versions = {(each.scene, each.current_model_version, each.model_version) for each in asked}
    assert versions == {("home", "m0", "m1")}
    titles = re.findall("<h3><bdi>(.*?)</bdi></h3>", page)
    assert titles == ["ann", "b", "c", "d", "e", "Request 1"]
    of_ann = page.partition("<bdi>ann</bdi>")[2].partition("<h3>")[0]
    assert "Places with another product: 2 of 2. Products that only one side has: 2." in of_ann
    assert "only here" in of_ann
    assert "there 2" in of_ann
    assert of_ann.index("<h4>m0</h4>") < of_ann.index("<h4>m1</h4>")
    assert 'value="ann b c d e"' in page, "they can be compared by another model"


async def test_a_visitor_whom_both_models_answer_alike(web: Browser, gateway: FakeGateway) -> None:
    gateway.scene_diff.Clear()
    gateway.scene_diff.answer_count = 1
    page = await compared_for(web, shoppers="ann")
    assert {each.shopper.visitor_id for each in gateway.requests["DiffScene"]} == {"", "ann"}
    assert "Nothing changes." in page.partition("<bdi>ann</bdi>")[2]
    gateway.scene_diff.Clear()
    gateway.scene_diff.skipped_count = 1
    page = await compared_for(web, shoppers="ann")
    assert "load the page again in a minute" in page.partition("<bdi>ann</bdi>")[2]


async def test_a_key_that_may_not_read_compares_for_no_shopper(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.after["DiffScene"] = (0, DENIED)
    page = await compared_for(web, shoppers="ann")
    told = page.partition("<bdi>ann</bdi>")[2].partition("<h2>")[0]
    assert "Your key does not allow this. needs the role models" in told


async def test_shoppers_that_are_not_kept_any_more_are_asked_for_again(
    web: Browser, gateway: FakeGateway
) -> None:
    page = await web.open("/models/compare?after=m1&group=gone")
    assert "not kept any more" in page.text
    assert len(gateway.requests["DiffScene"]) == 1


async def test_shoppers_are_named_by_a_form_of_the_console_alone(
    web: Browser, gateway: FakeGateway
) -> None:
    headers = {"origin": "http://127.0.0.1:8695"}
    data = {"after": "m1", "shoppers": "ann"}
    assert (await web.web.post("/models/compare", data=data, headers=headers)).status_code == 403
    assert not gateway.requests["DiffScene"]

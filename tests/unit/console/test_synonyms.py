"""The screen "Synonyms"."""

import re
from typing import Any

import pytest
from google.rpc import code_pb2

from sightline.gateway.v1 import admin_service_pb2 as pb
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.unit.console.conftest import Browser

MISMATCH = status(code_pb2.ABORTED, "changed", reason="ETAG_MISMATCH")
MISSING = status(code_pb2.NOT_FOUND, "no", reason="SCENE_DOCUMENT_NOT_FOUND")
DENIED = status(code_pb2.PERMISSION_DENIED, "no", reason="ROLE_MISSING")
INVALID = status(
    code_pb2.INVALID_ARGUMENT,
    "1 rule is wrong",
    reason="SYNONYMS_INVALID",
    violations=(("toml.line 3.terms", "needs two terms, unlike line 1"),),
)
DRAFT = "# wines\nvino, vin => wine\nsofa, couch\n"
SENT = {"act": "draft", "toml": "a, b\r\n\r\nalone <b>", "etag": "older", "comment": "mine"}


@pytest.fixture(autouse=True)
def _record(gateway: FakeGateway) -> None:
    gateway.scene_document.CopyFrom(
        pb.SceneDocument(
            scene="_synonyms",
            draft={"toml": DRAFT, "author": "ben <b>", "comment": "Christmas"},
            versions=[
                {"number": 2, "toml": "vino => wine\n", "author": "ann"},
                {"number": 1, "toml": "sofa, couch\n", "comment": "a start"},
            ],
            etag="e2",
        )
    )


def last(gateway: FakeGateway, call: str) -> Any:
    found = gateway.requests[call][-1]
    assert found.scene == "_synonyms"
    return found


async def test_the_draft_and_the_versions_are_shown(web: Browser, gateway: FakeGateway) -> None:
    page = await web.open("/synonyms")
    assert page.status_code == 200, page.text
    for text in (
        "# wines\nvino, vin =&gt; wine\nsofa, couch\n</textarea>", "By ben &lt;b&gt;",
        'name="etag" value="e2"', "Version 2", "in use", "a start", "ann", "unknown",
        "Publish version 1 again", "Publish the draft", "Discard the draft",
    ):  # fmt: skip
        assert text in page.text, text
    assert 'name="at"' not in page.text, "synonyms are not planned"
    last(gateway, "GetSceneDocument")


async def test_synonyms_that_were_never_set_begin_with_an_empty_draft(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("GetSceneDocument", MISSING)
    page = await web.open("/synonyms")
    assert page.status_code == 200
    assert 'name="etag" value="none"' in page.text
    assert "The record has none." in page.text
    assert "Publish the draft" not in page.text


async def test_a_draft_is_stored_published_and_discarded(
    web: Browser, gateway: FakeGateway
) -> None:
    answer = await web.send("/synonyms", {**SENT, "toml": "# shoes\r\na, b\r\n"})
    assert answer.headers["location"] == "/synonyms#text-title"
    stored = last(gateway, "WriteSceneDraft")
    assert (stored.toml, stored.etag, stored.comment) == ("# shoes\na, b\n", "older", "mine")
    fields = {"act": "publish", "number": "0", "etag": "e2", "comment": "go"}
    answer = await web.send("/synonyms", fields)
    assert answer.headers["location"] == "/synonyms#versions"
    sent = last(gateway, "PublishScene")
    assert (sent.number, sent.etag, sent.comment) == (0, "e2", "go")
    await web.send("/synonyms", {**fields, "number": "1"})
    assert last(gateway, "PublishScene").number == 1
    await web.send("/synonyms", {"act": "discard", "etag": "e2"})
    deleted = last(gateway, "DeleteSceneDocument")
    assert (deleted.draft_only, deleted.etag) == (True, "e2")
    assert (await web.send("/synonyms", {"act": "?"})).headers["location"] == "/synonyms"


async def test_a_wrong_rule_is_told_by_its_line_and_nothing_typed_is_lost(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("WriteSceneDraft", INVALID)
    answer = await web.send("/synonyms", SENT)
    assert answer.status_code == 400
    assert 'name="etag" value="older"' in answer.text, "rules of another person stay protected"
    assert "line 3.terms: needs two terms, unlike line 1" in answer.text
    assert "alone &lt;b&gt;</textarea>" in answer.text
    assert 'value="mine"' in answer.text


async def test_two_people_on_one_draft_choose_line_by_line(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("WriteSceneDraft", MISMATCH)
    mine = DRAFT.replace("sofa", "settee")
    page = await web.send("/synonyms", {**SENT, "toml": mine})
    assert page.status_code == 409
    assert "the draft of Synonyms" in page.text
    assert 'action="/synonyms"' in page.text
    (number,) = set(re.findall(r'name="hunk-(\d+)"', page.text))
    chosen = {**SENT, "toml": mine, "theirs": DRAFT, "etag": "e2", f"hunk-{number}": "theirs"}
    assert (await web.send("/synonyms", chosen)).status_code == 303
    assert last(gateway, "WriteSceneDraft").toml == DRAFT
    gateway.fail("GetSceneDocument", DENIED)
    assert (await web.send("/synonyms", chosen)).status_code == 403, "before texts are merged"


async def test_a_publication_of_a_changed_draft_is_told(web: Browser, gateway: FakeGateway) -> None:
    gateway.fail("PublishScene", MISMATCH)
    fields = {"act": "publish", "number": "0", "etag": "e1", "comment": "typed"}
    answer = await web.send("/synonyms", fields)
    assert answer.status_code == 409
    assert "Another person changed the draft" in answer.text
    assert 'value="typed"' in answer.text

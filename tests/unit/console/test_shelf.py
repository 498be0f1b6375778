"""The screen "Shelf editor", and its comparison."""

import html
import re
from typing import Any

import pytest
from google.rpc import code_pb2

from sightline.gateway.v1 import admin_service_pb2 as pb
from sightline.gateway.v1 import control_pb2
from sightline_console.screens import merging, steering
from sightline_console.screens.visit import Console
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status, wine
from tests.unit.console.conftest import Browser

LIVE = '[[controls]]\nname = "hero"\nkind = "pin"\nproduct_ids = ["wine-7"]\nplace = 1\n'
DRAFT = (
    LIVE + '\n[[controls]]\nname = "reds"\nkind = "boost"\nfilter = "brand = Aurora"\nboost = 0.5\n'
)
MISMATCH = status(code_pb2.ABORTED, "was changed", reason="ETAG_MISMATCH")
ENDED = status(code_pb2.UNAUTHENTICATED, "who?", reason="TOKEN_INVALID")
GONE = status(code_pb2.UNAVAILABLE, "gone", reason="RETRIEVER_UNAVAILABLE")


@pytest.fixture(autouse=True)
def _record(gateway: FakeGateway) -> None:
    """Steer the catalog by the record, which has a draft and two versions."""
    gateway.steered_by = 2
    gateway.scene.toml, gateway.scene.number = LIVE, 2
    gateway.scene_document.CopyFrom(
        pb.SceneDocument(
            scene="home",
            draft={"toml": DRAFT, "author": "ben <b>", "comment": "Christmas"},
            versions=[
                {"number": 2, "toml": LIVE, "author": "ann"},
                {"number": 1, "toml": "views = 1\n", "author": "ann"},
            ],
            etag="e2",
        )
    )
    gateway.checked_scene.valid = True
    gateway.recommendation.results.add(rank=2).product.CopyFrom(wine("wine/2 \"'<b>", "Second"))


def written(gateway: FakeGateway) -> Any:
    """Return the last draft that was written."""
    return gateway.requests["WriteSceneDraft"][-1]


def added(gateway: FakeGateway) -> dict[str, Any]:
    """Return the control by which the last draft differs from the one before."""
    return dict(steering.scene_text.controls(written(gateway).toml)[-1])


async def test_the_shelf_is_that_of_the_draft_beside_the_live_one(
    web: Browser, gateway: FakeGateway
) -> None:
    fields = {"act": "show", "scene": "home", "shopper": "ann", "kind": "user"}
    page = await web.follow(await web.send("/shelf", fields))
    assert page.status_code == 200, page.text
    for text in (
        "Barolo", "The shelf with the draft", "hero", "pins wine-7 to place 1", "reds",
        "moves up brand = Aurora by 0.5", "By ben &lt;b&gt;", "Version 2", "in use",
        "Publish version 1 again", "The check finds nothing wrong.",
    ):  # fmt: skip
        assert text in page.text, text
    asked = gateway.requests["Recommend"]
    assert {each.shopper.user_id for each in asked} == {"ann"}
    assert {each.scene for each in asked} == {"home"}
    with_draft = [each for each in asked if each.controls]
    (reds,) = with_draft[0].controls
    assert (reds.name, reds.kind, reds.boost) == ("reds", control_pb2.Control.KIND_BOOST, 0.5)
    assert len(asked) == 2


async def test_a_catalog_that_files_steer_is_read_only_until_the_record_steers_it(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.steered_by = 1
    page = (await web.open("/shelf?scene=home")).text
    assert "This catalog is steered by files" in page
    assert "Publish the draft" not in page
    assert "<textarea" not in page
    assert "data-handle" not in page
    refused = await web.send("/shelf", {"act": "change", "do": "bury", "subject": "a"})
    assert refused.status_code == 400
    typed = {"act": "draft", "toml": "views = 3", "etag": "e2"}
    assert (await web.send("/shelf", typed)).status_code == 400
    assert not gateway.requests["WriteSceneDraft"]
    copied = {"act": "copy", "scene": "home", "scenes": "home  other home"}
    assert (await web.send("/shelf", copied)).status_code == 303
    assert [each.scene for each in gateway.requests["WriteSceneDraft"]] == ["home", "other"]
    assert written(gateway).etag == "none"
    assert all(each.in_advance for each in gateway.requests["PublishScene"])
    assert (await web.send("/shelf", {"act": "steer", "scene": "home"})).status_code == 303
    (steered,) = gateway.requests["UpdateCatalog"]
    assert list(steered.update_mask.paths) == ["steered_by"]
    assert steered.catalog.steered_by == 2


async def test_a_scene_that_the_record_has_is_not_copied_over(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("WriteSceneDraft", MISMATCH)
    await web.send("/shelf", {"act": "copy", "scenes": "home other"})
    assert [each.scene for each in gateway.requests["PublishScene"]] == ["other"]


@pytest.mark.parametrize(
    ("fields", "made"),
    [
        ({"do": "pin", "place": "4"}, {"kind": "pin", "place": 4}),
        ({"do": "up", "rank": "2", "place": "9"}, {"kind": "pin", "place": 1}),
        ({"do": "down", "rank": "2"}, {"kind": "pin", "place": 3}),
        ({"do": "boost", "boost": "0.3"}, {"kind": "boost", "boost": 0.3}),
        ({"do": "bury", "daily": "7"}, {"kind": "bury"}),
        ({"do": "exclude"}, {"kind": "exclude"}),
    ],
)
async def test_a_product_of_the_shelf_is_steered(
    web: Browser, gateway: FakeGateway, fields: dict[str, str], made: dict[str, Any]
) -> None:
    product_id = "wine/2 \"'<b>"
    answer = await web.send(
        "/shelf", {"act": "change", "scene": "home", "subject": product_id, **fields}
    )
    assert answer.headers["location"] == "/shelf?scene=home#shelf"
    control = added(gateway)
    assert control.pop("name").startswith(made["kind"])
    assert control == {"product_ids": [product_id], **made}
    assert written(gateway).toml.startswith(LIVE.partition("place")[0])
    assert (written(gateway).etag, written(gateway).comment) == ("e2", "Christmas")


async def test_a_rule_has_a_filter_dates_and_a_daily_count(
    web: Browser, gateway: FakeGateway
) -> None:
    fields = {
        "act": "change", "scene": "home", "do": "boost", "condition": "tags:Beef", "boost": "1",
        "start": "2026-12-01T08:00", "end": "2026-12-26T00:00", "daily": "500",
    }  # fmt: skip
    assert (await web.send("/shelf", fields)).status_code == 303
    control = added(gateway)
    assert (control["filter"], control["daily_budget"]) == ("tags:Beef", 500)
    assert str(control["start_time"]) == "2026-12-01 08:00:00+00:00"
    edited = {
        "act": "change", "scene": "home", "do": "change", "name": "hero", "place": "2",
        "end": "2026-12-26T00:00",
    }  # fmt: skip
    await web.send("/shelf", edited)
    hero = steering.scene_text.controls(written(gateway).toml)[0]
    assert (hero["place"], str(hero["end_time"])) == (2, "2026-12-26 00:00:00+00:00")
    await web.send("/shelf", {"act": "change", "do": "remove", "name": "hero"})
    assert "hero" not in written(gateway).toml


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"do": "pin", "subject": "a", "place": "0"}, "from 1 to 200"),
        ({"do": "pin", "subject": "a", "place": "²"}, "from 1 to 200"),
        ({"do": "boost", "condition": "price <", "boost": "1"}, "^"),
        ({"do": "boost", "condition": "tags:a", "boost": "nan"}, "above 0"),
        ({"do": "bury", "condition": "tags:a", "start": "soon"}, "Write a date"),
        (
            {"do": "bury", "condition": "tags:a", "start": "2026-12-02", "end": "2026-12-01"},
            "after the start",
        ),
        ({"do": "change", "name": "gone"}, "no rule gone"),
        ({"do": "nothing"}, "Choose"),
    ],
)
async def test_a_wrong_rule_is_told_and_stays_in_its_form(
    web: Browser, gateway: FakeGateway, fields: dict[str, str], said: str
) -> None:
    answer = await web.send("/shelf", {"act": "change", "scene": "home", **fields})
    assert answer.status_code == 400
    assert said in html.unescape(answer.text)
    if "condition" in fields:
        assert f'value="{html.escape(fields["condition"])}"' in answer.text
    assert not gateway.requests["WriteSceneDraft"]


async def test_a_rule_is_added_to_what_another_person_wrote_meanwhile(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("WriteSceneDraft", MISMATCH)
    answer = await web.send("/shelf", {"act": "change", "do": "bury", "subject": "a"})
    assert answer.status_code == 303
    assert len(gateway.requests["WriteSceneDraft"]) == 2
    gateway.fail("WriteSceneDraft", *[MISMATCH] * steering.TRIES)
    answer = await web.send("/shelf", {"act": "change", "do": "bury", "subject": "a"})
    assert "Send it again" in answer.text


async def test_findings_are_at_their_lines(web: Browser, gateway: FakeGateway) -> None:
    gateway.checked_scene.valid = False
    gateway.checked_scene.problems.add(
        path="controls", text="Value error, [1].boost must be more than 0"
    )
    page = (await web.open("/shelf?scene=home")).text
    assert "Line 11" in page
    assert "<pre>boost = 0.5</pre>" in page
    assert "The shelf with the draft" in page


async def test_a_draft_that_contradicts_itself_leaves_the_live_shelf(
    web: Browser, gateway: FakeGateway
) -> None:
    why = status(
        code_pb2.INVALID_ARGUMENT, "bad", reason="REQUEST_INVALID",
        violations=(("controls[0].place", "is taken"),),
    )  # fmt: skip
    gateway.after["Recommend"] = (1, why)
    page = await web.open("/shelf?scene=home")
    assert page.status_code == 200


async def test_a_text_is_stored_as_it_was_typed(web: Browser, gateway: FakeGateway) -> None:
    typed = "# 酒\r\nviews = 3\r\n"
    fields = {"act": "draft", "scene": "home", "toml": typed, "etag": "e1", "comment": "é"}
    assert (await web.send("/shelf", fields)).status_code == 303
    stored = written(gateway)
    assert (stored.toml, stored.etag, stored.comment) == ("# 酒\nviews = 3\n", "e1", "é")
    large = "# 酒酒酒\n" * 5_300
    assert 60_000 < len(large.encode()) < 65_536
    assert (await web.send("/shelf", {**fields, "toml": large})).status_code == 303
    assert written(gateway).toml == large


async def test_two_people_on_one_draft_see_both_texts_and_choose(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("WriteSceneDraft", MISMATCH)
    mine = DRAFT.replace("0.5", "0.9")
    fields = {"act": "draft", "scene": "home", "toml": mine, "etag": "old", "comment": "mine"}
    page = await web.send("/shelf", fields)
    assert page.status_code == 409
    assert "boost = 0.9" in page.text
    assert "boost = 0.5" in page.text
    assert 'name="etag" value="e2"' in page.text
    (number,) = set(re.findall(r'name="hunk-(\d+)"', page.text))
    chosen = {**fields, "theirs": DRAFT, "etag": "e2", f"hunk-{number}": "theirs"}
    assert (await web.send("/shelf", chosen)).status_code == 303
    assert (written(gateway).toml, written(gateway).etag) == (DRAFT, "e2")
    await web.send("/shelf", {**chosen, f"hunk-{number}": "mine"})
    assert written(gateway).toml == mine


async def test_a_draft_is_planned(web: Browser, gateway: FakeGateway) -> None:
    fields = {"act": "publish", "scene": "home", "number": "0", "etag": "e2"}
    page = await web.send("/shelf", {**fields, "at": "tomorrow"})
    assert (page.status_code, "Write a date and a time" in page.text) == (400, True)
    page = await web.send("/shelf", {**fields, "at": "2020-01-02T03:04"})
    assert (page.status_code, "has passed" in page.text) == (400, True)
    assert not gateway.requests["PublishScene"], "a mistyped year publishes nothing at once"
    await web.send("/shelf", {**fields, "at": "2030-01-02T03:04"})
    (sent,) = gateway.requests["PublishScene"]
    assert sent.publish_time.ToJsonString() == "2030-01-02T03:04:00Z"


@pytest.mark.parametrize("versions", [0, 2])
async def test_what_is_planned_is_cancelled(
    web: Browser, gateway: FakeGateway, versions: int
) -> None:
    del gateway.scene_document.versions[versions:]
    assert "Cancel the planned" not in (await web.open("/shelf?scene=home")).text
    gateway.scene_document.planned.CopyFrom(pb.SceneText(number=versions + 1, toml=DRAFT))
    assert "Cancel the planned" in (await web.open("/shelf?scene=home")).text
    fields = {"act": "cancel", "scene": "home", "etag": "e2"}
    assert (await web.send("/shelf", fields)).status_code == 303
    (sent,) = gateway.requests["CancelPlannedScene"]
    assert (sent.scene, sent.etag) == ("home", "e2")
    assert not gateway.requests["PublishScene"]
    gateway.fail("CancelPlannedScene", MISMATCH)
    answer = await web.send("/shelf", fields)
    assert (answer.status_code, "Another person changed" in answer.text) == (409, True)


async def test_a_draft_is_published_and_an_earlier_version_again(
    web: Browser, gateway: FakeGateway
) -> None:
    fields = {"act": "publish", "scene": "home", "number": "0", "etag": "e2", "comment": "go"}
    assert (await web.send("/shelf", fields)).status_code == 303
    await web.send("/shelf", {**fields, "number": "1"})
    first, second = gateway.requests["PublishScene"]
    assert (first.scene, first.number, first.etag, first.comment) == ("home", 0, "e2", "go")
    assert second.number == 1
    await web.send("/shelf", {**fields, "number": "x"})
    assert gateway.requests["PublishScene"][-1].number < 0, "no number is not the draft"
    await web.send("/shelf", {"act": "discard", "scene": "home", "etag": "e2"})
    (deleted,) = gateway.requests["DeleteSceneDocument"]
    assert (deleted.draft_only, deleted.etag) == (True, "e2")


async def test_a_publication_that_is_refused_is_told_and_keeps_its_comment(
    web: Browser, gateway: FakeGateway
) -> None:
    fields = {"act": "publish", "scene": "home", "number": "0", "etag": "e1", "comment": "typed"}
    gateway.fail("PublishScene", MISMATCH)
    answer = await web.send("/shelf", fields)
    assert answer.status_code == 409
    assert "Another person changed the draft" in answer.text
    assert 'value="typed"' in answer.text
    invalid = status(
        code_pb2.INVALID_ARGUMENT, "bad", reason="SCENE_INVALID",
        violations=(("toml.plce", "is no entry"),),
    )  # fmt: skip
    gateway.fail("PublishScene", invalid)
    answer = await web.send("/shelf", fields)
    assert answer.status_code == 400
    assert "toml.plce: is no entry" in answer.text


@pytest.mark.parametrize("way", ["session", "gateway", "restart"])
async def test_nothing_typed_is_lost(
    console: Console, web: Browser, gateway: FakeGateway, way: str
) -> None:
    await web.send("/sign-in", {"key": "slk_mine"})
    typed = "views = 3  # </textarea><b>\n"
    fields = {"act": "draft", "scene": "home", "toml": typed, "etag": "e2", "comment": "c"}
    if way == "restart":
        page = await web.send("/shelf", {**fields, "csrf": "of the process before"})
        assert page.status_code == 403
    else:
        gateway.after["ListScenes"] = (0, ENDED if way == "session" else GONE)
        page = await web.send("/shelf", fields)
        del gateway.after["ListScenes"]
        assert page.status_code == (401 if way == "session" else 503)
    assert not gateway.requests["WriteSceneDraft"]
    assert "</textarea><b>" not in page.text
    if way == "session":
        gateway.fail("GetImage", ENDED)
        kept = hidden(page.text)
        page = await web.send("/sign-in", {**kept, "key": "slk_old"})
        assert page.status_code == 401
        page = await web.send("/sign-in", {**hidden(page.text), "key": "slk_new"})
        assert page.status_code == 200
    assert "slk_" not in page.text
    assert 'action="/shelf"' in page.text
    again = hidden(page.text.partition("is still here")[2])
    assert (await web.send("/shelf", again)).status_code == 303
    assert (written(gateway).toml, written(gateway).comment) == (typed, "c")


def hidden(page: str) -> dict[str, str]:
    """Return the hidden fields of the main part of a page, without its token."""
    main = page.partition("<main")[2] or page
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', main)
    return {name: html.unescape(value) for name, value in found if name != "csrf"}


async def test_a_key_without_the_role_is_told(web: Browser, gateway: FakeGateway) -> None:
    gateway.fail("ListScenes", status(code_pb2.PERMISSION_DENIED, "no", reason="ROLE_MISSING"))
    page = await web.open("/shelf")
    assert page.status_code == 403
    assert "Your key does not allow this" in page.text


async def test_a_scene_that_only_the_record_has_is_drafted(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("GetScene", status(code_pb2.NOT_FOUND, "no", reason="SCENE_NOT_FOUND"))
    page = await web.open("/shelf?scene=home")
    assert page.status_code == 200
    assert "publish its draft" in page.text
    assert not gateway.requests["Recommend"]


async def test_a_scene_without_a_document_starts_from_the_text_in_use(
    web: Browser, gateway: FakeGateway
) -> None:
    missing = status(code_pb2.NOT_FOUND, "no", reason="SCENE_DOCUMENT_NOT_FOUND")
    gateway.fail("GetSceneDocument", missing)
    await web.send("/shelf", {"act": "change", "do": "bury", "subject": "a"})
    assert written(gateway).toml.startswith(LIVE)
    assert written(gateway).etag == "none"


def test_a_preview_has_what_a_request_can_have() -> None:
    live = LIVE + '[[controls]]\nname = "old"\nkind = "bury"\nproduct_ids = ["x"]\n'
    draft = """views = 2
[[controls]]
name = "hero"
kind = "pin"
product_ids = ["wine-7"]
place = 2
[[controls]]
name = "soon"
kind = "exclude"
filter = "tags:Beef"
start_time = 2100-01-01T00:00:00Z
[[controls]]
name = "over"
kind = "bury"
product_ids = ["y"]
end_time = 2020-01-01T00:00:00Z
[[controls]]
name = "vips"
kind = "bury"
product_ids = ["z"]
[controls.when]
audiences = ["vip"]
[[controls]]
name = "broken"
kind = "bury"
filter = "price <"
"""
    found = steering.preview(live, draft)
    assert [each.name for each in found.controls] == ["hero", "soon"]
    assert all(each.start_time is None for each in found.controls)
    assert found.unseen == ("old", "vips", "broken", "entries that are no controls")
    assert not steering.preview(live, live).unseen


@pytest.mark.parametrize(("by", "said"), [(1, "steered by files"), (2, "steered by the record")])
async def test_the_comparison_says_what_steers_the_catalog(
    web: Browser, gateway: FakeGateway, by: int, said: str
) -> None:
    gateway.steered_by = by
    assert f"This catalog is {said}" in (await web.open("/shelf/compare?scene=home")).text


async def test_five_shoppers_and_a_visitor_are_compared(web: Browser, gateway: FakeGateway) -> None:
    gateway.scene_diff.CopyFrom(
        pb.DiffSceneResponse(
            answer_count=9, changed_count=3, anew_count=9,
            answers=[{"before_product_ids": ["wine-1", "gone"], "after_product_ids": ["wine-1"]}],
            expected=[
                {
                    "name": "revenue", "currency_code": "EUR",
                    "before": {"value": 10, "lower": 8, "upper": 12},
                    "after": {"value": 11, "lower": 9, "upper": 13},
                    "change": {"value": 1, "lower": 0.5, "upper": 1.5},
                }
            ],
        )
    )  # fmt: skip
    fields = {"scene": "home", "kind": "user", "shoppers": "ann b,c d e f ann"}
    sent = await web.send("/shelf/compare", fields)
    assert "ann" not in sent.headers["location"]
    page = await web.follow(sent)
    assert page.status_code == 200, page.text
    asked = gateway.requests["Recommend"]
    assert sorted({each.shopper.user_id for each in asked}) == ["", "ann", "b", "c", "d", "e"]
    assert sum(bool(each.controls) for each in asked) == 6
    assert "+1.00 (+0.50 to +1.50)" in page.text
    assert "<bdi>gone</bdi>" in page.text
    assert "Barolo" in page.text
    (compared,) = gateway.requests["DiffScene"]
    assert (compared.scene, compared.toml) == ("home", DRAFT)


async def test_a_comparison_that_fails_leaves_the_shoppers(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.after["DiffScene"] = (0, status(code_pb2.UNAVAILABLE, "no ranker", reason="X"))
    page = await web.open("/shelf/compare?scene=home")
    assert page.status_code == 200
    assert "no ranker" in page.text
    assert "a visitor" in page.text


@pytest.mark.parametrize(
    "entry",
    [
        "place = inf",
        f"place = {10**30}",
        "place = nan",
        f"boost = 1{'0' * 350}",
        "boost = 1e300",
        "boost = -inf",
        "start_time = 0001-01-01T00:00:00+01:00",
        "end_time = 9999-12-31T23:59:59-01:00",
    ],
)
async def test_a_draft_with_impossible_numbers_is_shown(
    web: Browser, gateway: FakeGateway, entry: str
) -> None:
    odd = f'\n[[controls]]\nname = "odd"\nkind = "pin"\nproduct_ids = ["a"]\n{entry}\n'
    gateway.scene_document.draft.toml = LIVE + odd
    gateway.checked_scene.valid = False
    gateway.checked_scene.problems.add(path="controls", text="Value error, [1].place is wrong")
    page = await web.open("/shelf?scene=home")
    assert page.status_code == 200
    assert "[1].place" in page.text
    assert "odd" in page.text
    assert (await web.open("/shelf/compare?scene=home")).status_code == 200


async def test_dates_that_nobody_touches_stay_as_they_are(
    web: Browser, gateway: FakeGateway
) -> None:
    dates = "start_time = 2026-12-01T08:00:30Z\nend_time = 2100-01-01T00:00:00Z\n"
    gateway.scene_document.draft.toml = LIVE + dates + "daily_budget = 7\n"
    fields = {
        "act": "change", "scene": "home", "do": "change", "name": "hero", "place": "2",
        "start": "2026-12-01T08:00", "end": "2099-01-01T01:00+01:00", "daily": "",
    }  # fmt: skip
    assert (await web.send("/shelf", fields)).status_code == 303
    toml = written(gateway).toml
    assert "start_time = 2026-12-01T08:00:30Z" in toml
    assert "end_time = 2099-01-01T00:00:00Z" in toml, "a typed offset counts"
    assert "daily_budget" not in toml


async def test_texts_are_merged_for_callers_that_the_suite_admits_alone(
    web: Browser, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged: list[str] = []

    def merge(theirs: str, *_given: object) -> str:
        merged.append(theirs)
        return theirs

    monkeypatch.setattr(merging, "merged", merge)
    gateway.after["ListScenes"] = (0, ENDED)
    fields = {"act": "draft", "scene": "home", "toml": "a", "theirs": "b"}
    assert (await web.send("/shelf", fields)).status_code == 401
    assert not merged


async def test_no_address_of_the_shelf_has_the_id_of_a_shopper(
    web: Browser, gateway: FakeGateway
) -> None:
    fields = {"act": "show", "scene": "home", "shopper": "zoe-77", "kind": "user"}
    sent = await web.send("/shelf", fields)
    assert "zoe-77" not in sent.headers["location"]
    page = await web.follow(sent)
    assert gateway.requests["Recommend"][-1].shopper.user_id == "zoe-77"
    assert 'method="post" action="/shelf" class="ask"' in page.text
    links = re.findall(r'(?:href|action)="([^"]*)"', page.text)
    assert not [each for each in links if "zoe-77" in each]
    who = hidden(page.text)["who"]
    changed = {"act": "change", "scene": "home", "do": "bury", "subject": "a", "who": who}
    sent = await web.send("/shelf", changed)
    assert sent.headers["location"] == f"/shelf?who={who}&scene=home#shelf"
    # The comparison is of the same shopper, and leads back to them.
    page = await web.open(f"/shelf/compare?scene=home&who={who}")
    assert gateway.requests["Recommend"][-1].shopper.user_id in ("zoe-77", "")
    assert 'value="zoe-77"' in page.text
    assert f'href="/shelf?who={who}&amp;scene=home' in page.text
    assert 'method="post" action="/shelf/compare"' in page.text
    for address in ("/shelf?scene=home&who=gone", "/shelf/compare?scene=home&group=gone"):
        assert "not kept any more" in (await web.open(address)).text
    assert (
        (await web.send("/shelf/compare", {"scene": "home"}))
        .headers["location"]
        .endswith("?scene=home")
    )


async def test_a_remedy_of_why_leads_to_the_shelf_of_its_shopper(
    web: Browser, gateway: FakeGateway
) -> None:
    sent = await web.send("/", {"shopper": "zoe-77", "kind": "user"})
    who = sent.headers["location"].partition("who=")[2]
    assert (await web.open(f"/shelf?who={who}")).status_code == 200
    assert gateway.requests["Recommend"][-1].shopper.user_id == "zoe-77"

"""The screen "Shopper"."""

import html
import json
import re
from typing import Any

import pytest
from google.rpc import code_pb2

from sightline.ranker.v1 import privacy_service_pb2 as pb
from sightline.ranker.v1 import profile_service_pb2 as profiles
from sightline_console.screens.visit import Console
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.unit.console.conftest import Browser

ID = "Zoë/\"'<b>7</b>"
ESCAPED = "Zoë/&#34;&#39;&lt;b&gt;7&lt;/b&gt;"
DENIED = status(code_pb2.PERMISSION_DENIED, "needs the role privacy", reason="ROLE_MISSING")


async def found(web: Browser, kind: str = "user") -> str:
    """Find the shopper. Return the address of the page."""
    sent = await web.send("/shopper", {"kind": kind, "shopper": f" {ID} "})
    assert sent.status_code == 303, sent.text
    address: str = sent.headers["location"]
    return address


async def done(web: Browser, do: str, **fields: str) -> Any:
    """Send a form of the page of the shopper."""
    reference = (await found(web)).partition("=")[2]
    return await web.send("/shopper", {"do": do, "of": reference, **fields})


async def test_the_form_alone_asks_for_nothing(web: Browser, gateway: FakeGateway) -> None:
    page = await web.open("/shopper")
    assert page.status_code == 200
    assert "Timeline" not in page.text
    assert not gateway.requests


async def test_a_shopper_is_found_and_no_address_has_the_id(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.shopper_profile = profiles.ShopperProfile(attributes={})
    gateway.consents.states.add(purpose=pb.PURPOSE_TRAIN, granted=True, by_default=True)
    address = await found(web)
    assert "Zo" not in address
    assert "7" not in address.partition("=")[0]
    page = (await web.open(address)).text
    for text in (ESCAPED, "No events.", "train", "granted", "events", "answers"):
        assert text in page, text
    assert ID not in page
    for method in ("GetShopperProfile", "ExportUser", "GetConsent", "GetErasure"):
        assert gateway.requests[method][0].shopper.user_id == ID, method


async def test_a_visitor_is_no_customer(web: Browser, gateway: FakeGateway) -> None:
    await web.open(await found(web, "visitor"))
    asked = gateway.requests["GetConsent"][-1].shopper
    assert (asked.visitor_id, asked.user_id) == (ID, "")


@pytest.fixture
def many_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store 150 events on three days. Request it before the gateway, which keeps the methods that
    it finds."""
    events = [
        {"time_micros": f"2026-01-0{day}T10:00:00+00:00", "type": "CLICK", "product_id": f"w{day}"}
        for day in (1, 3, 2)
    ]

    def export(_admin: Any, _request: Any, _context: Any) -> pb.ExportUserResponse:
        records = [pb.PersonalRecord(store="events", json=json.dumps(each)) for each in events]
        return pb.ExportUserResponse(records=records * 50)

    monkeypatch.setattr("tests.fakes.gateway_admin.Admin.ExportUser", export)


async def test_the_timeline_has_the_newest_events_first(many_events: None, web: Browser) -> None:
    page = (await web.open(await found(web))).text
    timeline = page.partition("<h2>Timeline</h2>")[2].partition("</table>")[0]
    assert timeline.index("w3") < timeline.index("w2")
    assert "w1" not in timeline
    assert "2026-01-03 10:00:00" in timeline
    assert "The copy has all 150 events." in page


async def test_their_page_is_tried_with_the_shopper_filled_in(
    web: Browser, gateway: FakeGateway
) -> None:
    page = (await web.open(await found(web))).text
    assert f'name="kind" value="user"><input type="hidden" name="shopper" value="{ESCAPED}"' in page
    sent = await web.send("/", {"kind": "user", "shopper": ID, "text": "red"})
    assert sent.headers["location"].startswith("/?text=red&who=")
    page = (await web.follow(sent)).text
    assert 'value="user" selected' in page
    assert f'name="shopper" value="{ESCAPED}"' in page
    assert gateway.requests["Recommend"][-1].shopper.user_id == ID


async def test_why_asks_for_the_shopper_that_no_address_names(
    web: Browser, gateway: FakeGateway
) -> None:
    sent = await web.send("/", {"kind": "user", "shopper": ID})
    page = (await web.follow(sent)).text
    link = html.unescape(re.findall(r'class="why" href="([^"]+)"', page)[0])
    assert "Zo" not in link
    page = (await web.open(link)).text
    assert gateway.requests["ExplainRecommendation"][-1].request.shopper.user_id == ID
    assert f"<dd><bdi>{ESCAPED}</bdi></dd>" in page


async def test_a_request_of_a_shopper_who_is_not_kept_any_more(
    web: Browser, gateway: FakeGateway
) -> None:
    page = await web.open("/?text=red&who=gone")
    assert page.status_code == 400
    assert 'id="shopper-says" class="wrong"' in page.text
    assert not gateway.requests["Recommend"]


async def test_a_copy_is_a_file_with_all_pages(web: Browser) -> None:
    sent = await done(web, "export")
    assert sent.headers["content-disposition"] == 'attachment; filename="shopper.json"'
    assert sent.headers["cache-control"] == "no-store"
    assert sent.json() == {
        "events": [{"event_id": "e1"}, {"event_id": "e2"}],
        "answers": [{"answer_id": "a1"}],
    }


async def test_a_decision_is_stored_with_its_source(web: Browser, gateway: FakeGateway) -> None:
    sent = await done(web, "consent", purpose="TRAIN", granted="", source=" letter ")
    assert sent.status_code == 303
    (asked,) = gateway.requests["SetConsent"]
    assert (asked.source, list(asked.withdrawn)) == ("letter", [pb.PURPOSE_TRAIN])
    assert not asked.given
    await done(web, "consent", purpose="PHOTOS", granted="1", source="letter")
    assert list(gateway.requests["SetConsent"][-1].given) == [pb.PURPOSE_PHOTOS]
    missing = await done(web, "consent", purpose="TRAIN", granted="1", source=" ")
    assert missing.status_code == 400
    assert 'id="source-says" class="wrong"' in missing.text
    assert len(gateway.requests["SetConsent"]) == 2


async def test_an_erasure_needs_the_id_typed_and_leaves_a_receipt(
    web: Browser, gateway: FakeGateway
) -> None:
    refused = await done(web, "erase", typed="Zoë")
    assert refused.status_code == 400
    assert 'id="typed-says" class="wrong"' in refused.text
    assert not gateway.requests["EraseUser"]
    sent = await done(web, "erase", typed=f"{ID} ")
    assert gateway.requests["EraseUser"][0].shopper.user_id == ID
    gateway.erasure.request_time.seconds = gateway.erasure.complete_time.seconds = 1_790_000_000
    gateway.erasure.stores.add(store="events", erased_count=4_321)
    page = (await web.follow(sent)).text
    assert "Receipt of the erasure" in page
    assert "Erased what was stored until" in page
    assert "4,321" in page


async def test_a_shopper_of_whom_nothing_is_stored(web: Browser, gateway: FakeGateway) -> None:
    missing = status(code_pb2.NOT_FOUND, "nothing", reason="SHOPPER_NOT_FOUND")
    gateway.after["ExportUser"] = (0, missing)
    gateway.after["GetErasure"] = (
        0, status(code_pb2.NOT_FOUND, "none", reason="ERASURE_NOT_FOUND"),
    )  # fmt: skip
    page = await web.open(await found(web))
    assert page.status_code == 200
    assert "Nothing is stored on this shopper." in page.text
    assert "Erase for good" not in page.text
    assert "Receipt" not in page.text


async def test_a_key_without_the_role_is_told_and_offered_nothing(
    web: Browser, gateway: FakeGateway
) -> None:
    for method in ("GetShopperProfile", "ExportUser", "GetConsent", "GetErasure", "EraseUser"):
        gateway.after[method] = (0, DENIED)
    page = (await web.open(await found(web))).text
    assert "Your key does not allow this." in page
    assert "needs the role privacy" in page
    assert "Erase for good" not in page
    assert "Store the decision" not in page
    sent = await done(web, "erase", typed=ID)
    assert sent.status_code == 403
    assert "Your key does not allow this" in sent.text


@pytest.mark.parametrize("fields", [{"shopper": " "}, {"do": "erase", "of": "gone", "typed": ID}])
async def test_a_form_without_a_known_shopper_asks_for_one(
    web: Browser, gateway: FakeGateway, fields: dict[str, str]
) -> None:
    page = await web.send("/shopper", fields)
    assert page.status_code == 400
    assert 'id="shopper-says" class="wrong"' in page.text
    assert (await web.open("/shopper?of=gone")).status_code == 400
    assert not gateway.requests


async def test_another_browser_does_not_see_the_shopper(web: Browser, gateway: FakeGateway) -> None:
    address = await found(web)
    web.web.cookies.clear()
    assert ESCAPED not in (await web.open(address)).text


async def test_no_session_begins_for_a_caller_who_is_not_admitted(
    console: Console, web: Browser, gateway: FakeGateway
) -> None:
    who = status(code_pb2.UNAUTHENTICATED, "who?", reason="TOKEN_MISSING")
    gateway.after["GetImage"] = (0, who)
    sent = await web.send("/shopper", {"kind": "user", "shopper": "a"})
    assert sent.status_code == 401
    assert not console.sessions._open

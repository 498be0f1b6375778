"""The screen "Products to decide on"."""

import html
import re

import pytest
from google.rpc import code_pb2

from sightline.common.v1 import product_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client import SightlineClient
from sightline_console.screens import undecided_groups
from sightline_console.screens.visit import Console
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status, wine
from tests.unit.console.conftest import ADDRESS, JPEG, Browser, browser

PATH = "/import/undecided"
HOSTILE = "<b>/\"'é 🍷"
PICTURE = product_pb2.ProductImage(image_id="a" * 64)


def bare(product_id: str, title: str = "Bare", etag: str = "e1") -> product_pb2.Product:
    """Return a product without a photo."""
    return product_pb2.Product(product_id=product_id, title=title, etag=etag)


@pytest.fixture
def gateway(gateway: FakeGateway) -> FakeGateway:
    """Return a gateway whose catalog leaves much to decide."""
    doubted = wine("doubted", "Doubted")
    doubted.category_doubt.probability = 0.02
    doubted.category_doubt.instead.probability = 0.9
    doubted.category_doubt.instead.category_path.extend(["Juice", "Red & white"])
    strange = wine("strange", "Strange")
    strange.category_doubt.probability = 0.01
    one, other, variant = wine("one", "One"), wine("two", "Two"), wine("three", "Three")
    variant.parent_id = "one"
    made = [bare(HOSTILE), bare("bare-2"), doubted, strange, one, other, variant]
    gateway.products = {each.product_id: each for each in made}
    results = [
        rec.RecommendedProduct(product=one, rank=1, collapsed_product_ids=["two", "three", "gone"]),
        rec.RecommendedProduct(product=variant, rank=2, collapsed_product_ids=["one"]),
        rec.RecommendedProduct(product=strange, rank=3),
    ]
    gateway.recommendation.CopyFrom(rec.RecommendResponse(results=results))
    gateway.pages = 1
    return gateway


def forms(page: str) -> dict[str, dict[str, str]]:
    """Return the hidden fields of each group's forms, by its key."""
    found: dict[str, dict[str, str]] = {}
    for form in re.findall(r'<form method="post" action="/import/undecided".*?</form>', page, re.S):
        hidden = re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form)
        fields = {name: html.unescape(value) for name, value in hidden if name != "csrf"}
        found[fields["of"]] = {**found.get(fields["of"], {}), **fields}
    return found


async def group(web: Browser, name: str, of: str) -> dict[str, str]:
    """Return the hidden fields of a group of a list."""
    return forms((await web.open(f"{PATH}?list={name}")).text)[of]


async def test_products_without_a_photo_are_given_one(web: Browser, gateway: FakeGateway) -> None:
    page = await web.open(PATH)
    assert page.status_code == 200, page.text
    assert [*forms(page.text)] == [HOSTILE, "bare-2"]
    assert "<b>/" not in page.text
    assert gateway.requests["ListProducts"][0].without_photo_only
    sent = await web.send(PATH, {**forms(page.text)[HOSTILE], "do": "set"}, JPEG)
    page = await web.follow(sent)
    assert "It is decided." in page.text
    assert [*forms(page.text)] == ["bare-2"]
    (update,) = gateway.requests["UpdateProducts"][0].updates
    assert (update.product.product_id, update.product.etag) == (HOSTILE, "e1")
    assert [*update.update_mask.paths] == ["images"]
    assert gateway.products[HOSTILE].images[0].content == JPEG
    sent = await web.send(
        PATH, {**forms(page.text)["bare-2"], "do": "set", "typed": " https://shop.example/2.jpg "}
    )
    page = await web.follow(sent)
    assert "Every product has a photo." in page.text
    assert gateway.products["bare-2"].images[0].uri == "https://shop.example/2.jpg"


async def test_a_photo_that_the_suite_refuses_is_told_at_its_product(
    web: Browser, gateway: FakeGateway
) -> None:
    why = status(code_pb2.INVALID_ARGUMENT, "has over 50 megapixels", reason="IMAGE_TOO_LARGE")
    gateway.refused["bare-2"] = why
    fields = {**(await group(web, "photo", "bare-2")), "do": "set"}
    page = await web.send(PATH, fields, JPEG)
    assert page.status_code == 400
    told = re.findall(r'<p id="says2" class="wrong" role="alert">([^<]+)', page.text)
    assert [each.strip() for each in told] == ["The request was rejected. has over 50 megapixels"]
    page = await web.send(PATH, {**fields, "typed": "http://10.0.0.1/<x>"})
    assert 'value="http://10.0.0.1/&lt;x&gt;"' in page.text, "what was typed is still there"
    assert await group(web, "photo", "bare-2")


@pytest.mark.parametrize(("size", "expected"), [(10 * 2**20 + 1, 413), (11 * 2**20, 413)])
async def test_a_photo_that_is_too_large_is_not_sent(
    web: Browser, gateway: FakeGateway, size: int, expected: int
) -> None:
    fields = {**(await group(web, "photo", "bare-2")), "do": "set"}
    page = await web.send(PATH, fields, bytes(size))
    assert (page.status_code, "A photo may have 10 MiB" in page.text) == (expected, True)
    assert not gateway.requests["UpdateProducts"]


async def test_a_decision_without_what_it_needs_is_told(web: Browser) -> None:
    page = await web.send(PATH, {**(await group(web, "photo", "bare-2")), "do": "set"})
    assert (page.status_code, "Choose a photo, or type its address." in page.text) == (400, True)
    fields = {**(await group(web, "category", "strange")), "do": "set", "typed": " > "}
    page = await web.send(PATH, fields)
    assert (page.status_code, "Type a category." in page.text) == (400, True)
    fields = {**(await group(web, "category", "strange")), "do": "accept"}
    assert (await web.send(PATH, fields)).status_code == 400, "nothing is proposed"


async def test_a_doubted_category_is_accepted_or_changed(
    web: Browser, gateway: FakeGateway
) -> None:
    page = await web.open(f"{PATH}?list=category")
    assert gateway.requests["ListProducts"][0].doubted_only
    assert "The photo more likely shows Juice › Red &amp; white (90%)." in page.text
    assert "The photo shows none of the catalog&#39;s categories." in page.text
    sent = await web.send(PATH, {**forms(page.text)["doubted"], "do": "accept", "typed": ""})
    page = await web.follow(sent)
    assert [*forms(page.text)] == ["strange"]
    assert [*gateway.products["doubted"].category_path] == ["Juice", "Red & white"]
    sent = await web.send(
        PATH, {**forms(page.text)["strange"], "do": "set", "typed": "Wine > Rosé"}
    )
    assert "No photo contradicts a category." in (await web.follow(sent)).text
    assert [*gateway.products["strange"].category_path] == ["Wine", "Rosé"]
    assert gateway.products["strange"].title == "Strange", "no other field is written"


async def test_one_picture_is_one_group_of_variants(web: Browser, gateway: FakeGateway) -> None:
    page = await web.open(f"{PATH}?list=alike")
    (asked,) = gateway.requests["Recommend"]
    assert {each.product_id for each in asked.candidates} == {
        *("doubted", "strange", "one", "two", "three")
    }
    assert asked.not_personal
    assert [*forms(page.text)] == ["one\ntwo"], "a variant is decided on already"
    fields = forms(page.text)["one\ntwo"]
    # As browsers end lines.
    fields = {name: value.replace("\n", "\r\n") for name, value in fields.items()}
    sent = await web.send(PATH, {**fields, "do": "set"})
    assert sent.status_code == 303, sent.text
    (update,) = gateway.requests["UpdateProducts"][0].updates
    assert (update.product.product_id, update.product.parent_id) == ("two", "one")
    assert "No two of the newest 1,000 products" in (await web.follow(sent)).text


async def test_variants_join_the_family_that_one_of_them_has(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.products["two"].parent_id = "family"
    fields = await group(web, "alike", "one\ntwo")
    await web.send(PATH, {**fields, "do": "set"})
    (call,) = gateway.requests["UpdateProducts"]
    assert {each.product.product_id for each in call.updates} == {"one", "two"}
    assert {each.product.parent_id for each in call.updates} == {"family"}


@pytest.mark.parametrize(("name", "of"), [("photo", HOSTILE), ("category", "doubted")])
async def test_what_is_left_as_it_is_stays_out_for_its_user_alone(
    console: Console, web: Browser, gateway: FakeGateway, name: str, of: str
) -> None:
    sent = await web.send(PATH, {**(await group(web, name, of)), "do": "leave"})
    assert of not in forms((await web.follow(sent)).text)
    assert not gateway.requests["UpdateProducts"]
    async with browser(console) as other:
        assert of in forms((await other.get(f"{PATH}?list={name}")).text)


async def test_different_products_stay_out_for_all_users_until_that_is_taken_back(
    console: Console, web: Browser, gateway: FakeGateway
) -> None:
    sent = await web.send(PATH, {**(await group(web, "alike", "one\ntwo")), "do": "different"})
    assert "No two of the newest 1,000" in (await web.follow(sent)).text
    async with browser(console) as other:
        assert not forms((await other.get(f"{PATH}?list=alike")).text)
    page = await web.open(f"{PATH}?list=different")
    assert "By ann, 2023-11-14 22:13 UTC" in page.text
    sent = await web.send(PATH, {**forms(page.text)["one\ntwo"], "do": "again"})
    assert "No products of one picture were decided" in (await web.follow(sent)).text
    assert await group(web, "alike", "one\ntwo")
    assert not gateway.requests["UpdateProducts"]


async def test_of_one_picture_only_those_are_shown_on_which_nothing_is_decided(
    web: Browser, gateway: FakeGateway
) -> None:
    names = ["one", *(f"p{at}" for at in range(4))]
    gateway.products = {each: wine(each) for each in names}
    results = [{"product": gateway.products["one"], "collapsed_product_ids": names[1:]}]
    gateway.recommendation.CopyFrom(rec.RecommendResponse(results=results))
    gateway.distinct = {("one", each) for each in names[1:]} | {("p0", "p1")}
    assert [*forms((await web.open(f"{PATH}?list=alike")).text)] == ["p0\np2\np3\np1"]


async def test_decisions_about_many_products_of_one_picture_come_to_an_end(
    web: Browser, gateway: FakeGateway
) -> None:
    names = [f"p{at:02}" for at in range(30)]
    gateway.products = {each: wine(each) for each in names}
    results = [{"product": gateway.products["p00"], "collapsed_product_ids": names[1:]}]
    gateway.recommendation.CopyFrom(rec.RecommendResponse(results=results))
    while shown := [*forms((await web.open(f"{PATH}?list=alike")).text)]:
        (named,) = shown
        assert len(named.split("\n")) <= undecided_groups.MOST_ALIKE
        before = len(gateway.distinct)
        await web.send(PATH, {**(await group(web, "alike", named)), "do": "different"})
        assert len(gateway.distinct) > before
    assert len(gateway.distinct) == 30 * 29 // 2


@pytest.mark.parametrize("code", [code_pb2.PERMISSION_DENIED, code_pb2.UNIMPLEMENTED])
async def test_where_decisions_can_not_be_read_all_of_one_picture_are_shown(
    web: Browser, gateway: FakeGateway, code: int
) -> None:
    gateway.distinct = {("one", "two")}
    gateway.after["ListDistinctProducts"] = (0, status(code, "no", reason="X"))
    assert await group(web, "alike", "one\ntwo")
    assert "<code>X</code>" in (await web.open(f"{PATH}?list=different")).text


async def test_decided_products_that_are_gone_are_left_out(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.distinct = {("one", "gone"), ("doubted", "two"), ("one", "two")}
    page = await web.open(f"{PATH}?list=different")
    assert [*forms(page.text)] == ["one\ntwo", "doubted\ntwo"], "the newest first"


async def test_a_decision_that_the_suite_has_no_room_for_is_told(
    web: Browser, gateway: FakeGateway
) -> None:
    fields = {**(await group(web, "alike", "one\ntwo")), "do": "different"}
    full = status(code_pb2.RESOURCE_EXHAUSTED, "take some back", reason="DISTINCT_PAIRS_FULL")
    gateway.fail("MarkDistinctProducts", full)
    page = await web.send(PATH, fields)
    assert (page.status_code, "DISTINCT_PAIRS_FULL" in page.text) == (429, True)
    assert "one\ntwo" in forms(page.text)


async def test_a_page_is_bounded(
    web: Browser, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undecided_groups, "MOST_READ", 30)
    gateway.products = {f"p{at:03}": bare(f"p{at:03}") for at in range(60)}
    page = await web.open(PATH)
    assert len(forms(page.text)) == undecided_groups.SHOWN
    assert len(gateway.requests["ListProducts"]) <= 25
    gateway.requests["ListProducts"].clear()
    gateway.products = {f"p{at:03}": wine(f"p{at:03}") for at in range(60)}
    await web.open(f"{PATH}?list=alike")
    assert len(gateway.requests["ListProducts"]) <= 31
    assert len(gateway.requests["Recommend"][-1].candidates) == 30


async def test_a_suite_that_knows_no_such_list_shows_no_product_with_a_photo(
    client: SightlineClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = SightlineClient.list_products
    monkeypatch.setattr(client, "list_products", lambda **_asked: whole(client), raising=False)
    found = [each.key async for each in undecided_groups.LISTS["photo"].find(client)]
    assert found == [HOSTILE, "bare-2"]


async def test_a_key_that_may_not_write_is_told_and_nothing_is_lost(
    web: Browser, gateway: FakeGateway
) -> None:
    fields = {**(await group(web, "category", "strange")), "do": "set", "typed": "Wine > Rosé"}
    why = status(code_pb2.PERMISSION_DENIED, "no catalog role", reason="ROLE_MISSING")
    gateway.fail("UpdateProducts", why)
    page = await web.send(PATH, fields)
    assert (page.status_code, "no catalog role" in page.text) == (403, True)
    assert 'value="Wine &gt; Rosé"' in page.text


async def test_a_product_that_was_changed_meanwhile_is_told(
    web: Browser, gateway: FakeGateway
) -> None:
    fields = {**(await group(web, "photo", "bare-2")), "do": "set", "typed": "https://a.example/b"}
    gateway.refused["bare-2"] = status(code_pb2.ABORTED, "changed", reason="ETAG_MISMATCH")
    page = await web.send(PATH, fields)
    assert "ETAG_MISMATCH" in page.text
    gateway.refused["bare-2"] = status(code_pb2.NOT_FOUND, "gone", reason="PRODUCT_NOT_FOUND")
    del gateway.products["bare-2"]
    page = await web.send(PATH, fields)
    assert "gone" in page.text, "also of a product that is not on the page any more"


async def test_a_list_that_fails_is_told(web: Browser, gateway: FakeGateway) -> None:
    gateway.fail("ListProducts", status(code_pb2.PERMISSION_DENIED, "no", reason="ROLE_MISSING"))
    page = await web.open(PATH)
    assert (page.status_code, "Your key does not allow this" in page.text) == (200, True)
    gateway.fail("Recommend", status(code_pb2.RESOURCE_EXHAUSTED, "busy", reason="QUOTA_EXCEEDED"))
    assert "Too much at once" in (await web.open(f"{PATH}?list=alike")).text


async def test_forms_of_other_pages_and_nonsense_are_refused(
    web: Browser, gateway: FakeGateway
) -> None:
    fields = {**(await group(web, "photo", "bare-2")), "do": "set", "typed": "https://a.example"}
    headers = {"origin": ADDRESS}
    answer = await web.web.post(PATH, data=fields, headers=headers)
    assert answer.status_code == 403, "without the token"
    answer = await web.web.post(PATH, data={**fields, "csrf": await web.csrf()})
    assert answer.status_code == 403, "from nowhere"
    for odd in ({"list": "x"}, {"of": ""}, {"list": "", "of": "\n"}):
        assert (await web.send(PATH, {**fields, **odd})).status_code == 400
    assert not gateway.requests["UpdateProducts"]


async def test_what_was_typed_outlives_the_session(web: Browser, gateway: FakeGateway) -> None:
    await web.send("/sign-in", {"key": "slk_mine"})
    fields = {**(await group(web, "category", "strange")), "do": "set", "typed": "Wine > Rosé"}
    gateway.after["GetImage"] = (
        0, status(code_pb2.UNAUTHENTICATED, "who?", reason="TOKEN_EXPIRED")
    )  # fmt: skip
    page = await web.send(PATH, fields)
    assert page.status_code == 401
    assert 'name="unsent-typed" value="Wine &gt; Rosé"' in page.text

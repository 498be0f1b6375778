"""The screen "Synonyms"."""

from google.rpc import code_pb2

from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.unit.console.conftest import Browser

MISMATCH = status(code_pb2.ABORTED, "changed", reason="ETAG_MISMATCH")
INVALID = status(
    code_pb2.INVALID_ARGUMENT,
    "1 rule is wrong",
    reason="SYNONYMS_INVALID",
    violations=(("rules[1].terms", "needs two terms, unlike rules[0]"),),
)


async def test_the_stored_rules_are_shown_a_rule_a_line(web: Browser) -> None:
    page = await web.open("/synonyms")
    assert page.status_code == 200
    assert "vino, vin =&gt; wine\n</textarea>" in page.text
    assert 'name="etag" value="e0"' in page.text


async def test_the_rules_of_the_form_are_stored(web: Browser, gateway: FakeGateway) -> None:
    rules = "# shoes\r\nsneaker, running shoe\r\n\r\nvino => wine, red wine\r\n"
    sent = await web.send("/synonyms", {"rules": rules, "etag": "e0"})
    assert "The synonyms are stored" in (await web.follow(sent)).text
    (asked,) = gateway.requests["SetSynonyms"]
    assert [(list(each.terms), list(each.replacements)) for each in asked.rules] == [
        (["sneaker", "running shoe"], []),
        (["vino"], ["wine", "red wine"]),
    ]
    assert asked.etag == "e0"


async def test_a_wrong_rule_is_told_by_its_line_and_nothing_typed_is_lost(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("SetSynonyms", INVALID)
    answer = await web.send("/synonyms", {"rules": "a, b\n\nalone <b>", "etag": "older"})
    assert answer.status_code == 400
    assert 'name="etag" value="older"' in answer.text, "rules of another person stay protected"
    assert "line 3.terms: needs two terms, unlike line 1" in answer.text
    assert "alone &lt;b&gt;</textarea>" in answer.text


async def test_a_wrong_rule_does_not_hide_what_another_person_stored_meanwhile(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("SetSynonyms", INVALID)
    answer = await web.send("/synonyms", {"rules": "a, b\nalone", "etag": "older"})
    assert answer.status_code == 400
    assert 'name="etag" value="older"' in answer.text


async def test_two_people_see_each_others_rules(web: Browser, gateway: FakeGateway) -> None:
    gateway.fail("SetSynonyms", MISMATCH)
    answer = await web.send("/synonyms", {"rules": "mine, own", "etag": "older"})
    assert answer.status_code == 409
    assert "vino, vin =&gt; wine\n</pre>" in answer.text
    assert "mine, own</textarea>" in answer.text
    assert 'name="etag" value="e0"' in answer.text

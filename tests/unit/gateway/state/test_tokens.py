"""Tokens and digests."""

import base64
import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.messages import Box
from gateway.model.query import CallersFilter, Identity, Query, Shopper, Signal
from gateway.state.tokens import (
    Attributed,
    Attribution,
    Page,
    answer_of,
    attribution_token,
    digests,
    page_token,
    read_attribution_token,
    read_page_token,
    seed_of,
)
from servicekit.requests import PageTokenInvalid
from tests.fakes.gateway_values import ANN, address, near, photo, words

SAID = Attribution("a1", "default", "default", "abc", "m1", 2**64 - 1, 1_790_000_000_000_000)
PAGE = Page("a1", 20, 18, b"d" * 32, True)
BASE = Query(signals=(photo(),), shopper=ANN)
CHANGES = {
    "catalog_id": "other",
    "language_code": "zh",
    "scene": "home",
    "signals": (photo(image=b"other"),),
    "filter": CallersFilter("f", b"f", False),
    "min_index_token": "t",
    "min_quality": 0.5,
    "exclude_product_ids": ("p1",),
}
OF_THE_SHOPPER = {"shopper": Shopper(Identity.VISITOR, "ann"), "session_id": "s"}
NOT_ASKED = {
    "page_size": 5,
    "page_token": "t",
    "priority": 2,
    "request_id": "r",
    "explain": True,
}


def test_every_field_of_a_query_is_known_to_count_or_not():
    known = {*CHANGES, *OF_THE_SHOPPER, *NOT_ASKED}

    assert known == {field.name for field in fields(Query)}


@pytest.mark.parametrize("name", list(CHANGES))
def test_another_question_has_other_digests(name):
    other = digests(replace(BASE, **{name: CHANGES[name]}))

    assert other.stored != digests(BASE).stored
    assert other.callers != digests(BASE).callers


@pytest.mark.parametrize("name", list(OF_THE_SHOPPER))
def test_another_shopper_changes_only_the_digest_that_is_never_stored(name):
    other = digests(replace(BASE, **{name: OF_THE_SHOPPER[name]}))

    assert other.stored == digests(BASE).stored
    assert other.callers != digests(BASE).callers


@pytest.mark.parametrize("name", list(NOT_ASKED))
def test_paging_and_request_ids_change_no_digest(name):
    assert digests(replace(BASE, **{name: NOT_ASKED[name]})) == digests(BASE)


def test_a_text_is_not_taken_for_a_product_or_photo_of_the_same_bytes():
    alike: list[Signal] = [photo(image=b"x"), words("x"), near("x"), address(0, "x")]

    assert len({digests(Query(signals=(signal,))).stored for signal in alike}) == 4


def test_weights_count_and_0_is_1():
    def of(weight: float) -> bytes:
        return digests(Query(signals=(photo(weight=weight),))).stored

    assert of(0.0) == of(1.0)
    assert of(2.0) != of(1.0)


def test_a_seed_fits_64_bits():
    assert 0 <= seed_of(b"\xff" * 32) < 2**64


def test_an_attribution_token_says_what_it_was_made_of():
    token = attribution_token(SAID)

    assert read_attribution_token(token) == SAID
    assert len(token) <= 1024
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_an_event_is_joined_to_the_answer_that_its_token_names():
    token, last = attribution_token(SAID), SAID.expire_micros - 1

    assert answer_of(token, "default", last) == ("a1", Attributed.NAMED)
    assert answer_of(token, "default", last + 1) == ("", Attributed.EXPIRED)
    assert answer_of(token, "other", last) == ("", Attributed.FOREIGN)


@pytest.mark.parametrize("answer_id", ["", "a b", "a" * 65, "ä"])
def test_what_could_be_no_answers_id_joins_nothing(answer_id):
    token = attribution_token(replace(SAID, answer_id=answer_id))

    assert answer_of(token, "default", 0) == ("", Attributed.UNREADABLE)


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda b: base64.b64encode(b).decode()))
def test_whatever_is_no_token_joins_nothing(text):
    assert answer_of(text, "default", 0) == ("", Attributed.UNREADABLE)


def test_a_token_has_room_for_a_signature():
    said = json.loads(base64.urlsafe_b64decode(attribution_token(SAID) + "=="))

    assert said["v"] == 1
    assert (said["k"], said["m"]) == ("", "")


def test_a_page_token_says_what_it_was_made_of():
    assert read_page_token(page_token(PAGE), PAGE.digest) == PAGE


def test_a_page_token_of_another_request_is_refused():
    with pytest.raises(PageTokenInvalid):
        read_page_token(page_token(PAGE), b"e" * 32)


@given(
    st.one_of(
        st.text(max_size=300),
        st.binary(max_size=300).map(lambda data: base64.urlsafe_b64encode(data).decode()),
    )
)
def test_whatever_is_no_token_of_ours_is_refused_as_such(text):
    with pytest.raises(PageTokenInvalid):
        read_page_token(text, b"d" * 32)
    with pytest.raises(ValueError):  # noqa: PT011
        read_attribution_token(text)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"o": -1},
        {"o": 2001},
        {"o": True},
        {"o": 1.5},
        {"r": "1"},
        {"a": 1},
        {"a": ""},
        {"a": "\ud800"},
        {"a": "a" * 65},
        {"a": "a b"},
        {"d": "zz"},
        {"g": 2},
    ],
)
def test_a_page_token_with_a_twisted_field_is_refused(change):
    said = json.loads(base64.urlsafe_b64decode(page_token(PAGE) + "=="))
    twisted = base64.urlsafe_b64encode(json.dumps({**said, **change}).encode()).decode()

    with pytest.raises(PageTokenInvalid):
        read_page_token(twisted.rstrip("="), PAGE.digest)


def test_what_is_not_wanted_and_which_part_of_a_photo_is_meant_make_other_requests():
    signal = photo()
    asked = [
        signal,
        replace(signal, negative=True),
        replace(signal, find_subject=True),
        replace(signal, box=Box(left=0, top=0, right=1, bottom=1)),
        replace(signal, box=Box(left=0, top=0, right=1, bottom=0.5)),
        replace(signal, box=Box(left=0, top=0, right=1, bottom=0.5), negative=True),
    ]
    found = {digests(Query(signals=(each,))).stored for each in asked}

    assert len(found) == len(asked)

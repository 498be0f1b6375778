"""Tokens and digests."""

import base64
import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.controls import ControlRule
from gateway.model.errors import AnswerMissing
from gateway.model.filters import CallersFilter
from gateway.model.query import GivenCandidate, RequestQuery, Signal, ValueGrouping
from gateway.state.tokens import (
    SKEW_SECONDS,
    AnswerAttribution,
    Attributed,
    PageStart,
    attributed,
    attribution_token,
    digests,
    mark_of,
    page_token,
    read_attribution_token,
    read_page_token,
    seed_of,
)
from servicekit.keys.keyring import KeyRing
from servicekit.rpc.requests import PageTokenInvalid
from sightline.common.v1.facet_pb2 import FacetRequest
from sightline.common.v1.photo_pb2 import Box
from sightline_core.shoppers import Identity, Shopper
from sightline_rules.controls import ControlKind
from tests.fakes.gateway_values import ANN, address, near, photo, words

SAID = AnswerAttribution("a1", "default", "default", "abc", "m1", 2**64 - 1)
RING, END = KeyRing([b"k" * 32]), 1_790_000_000_000_000
PAGE = PageStart("a1", 20, 18, b"d" * 32, True)
BASE = RequestQuery(signals=(photo(),), shopper=ANN)
CHANGES = {
    "catalog_id": "other",
    "language_code": "zh",
    "scene": "home",
    "signals": (photo(image=b"other"),),
    "filter": CallersFilter("f", b"f", False),
    "min_index_token": "t",
    "min_quality": 0.5,
    "exclude_product_ids": ("p1",),
    "anchors": ("p1",),
    "followed": ("ann",),
    "audiences": ("vip",),
    "controls": (ControlRule("hero", ControlKind.PIN, ("p1",), place=1),),
    "listed": True,
    "text": "merlot",
    "candidates": (GivenCandidate("p1", 0.5),),
    "grouping": ValueGrouping("brand"),
    "as_typed": True,
    "read_labels": True,
}
OF_THE_SHOPPER = {"shopper": Shopper(Identity.VISITOR, "ann"), "session_id": "s"}
NOT_ASKED = {
    "says_language": False,  # a page of 0.39 goes on in 0.40
    "page_size": 5,
    "page_token": "t",
    "priority": 2,
    "request_id": "r",
    "explain": True,
    "min_answer_quality": 3,
    "not_personal": True,
    "facets": (FacetRequest(field="brand"),),
    "sort": "NEWEST",
    "if_none_match": "7.0",
}


def answer_of(
    token: str, catalog_id: str, micros: int, keys: KeyRing, shopper: Shopper | None = ANN
) -> tuple[str, Attributed]:
    found, outcome = attributed(token, catalog_id, micros, shopper, keys)
    return "" if found is None else found.answer_id, outcome


def test_every_field_of_a_query_is_known_to_count_or_not():
    known = {*CHANGES, *OF_THE_SHOPPER, *NOT_ASKED}

    assert known == {field.name for field in fields(RequestQuery)}


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


def test_no_list_is_taken_for_another_one():
    alike = (
        {"followed": ("x",)},
        {"audiences": ("x",)},
        {"anchors": ("x",)},
        {"exclude_product_ids": ("anchors", "followed", "x")},
        {"anchors": ("followed", "x")},
        {"exclude_product_ids": ("(0, 1, 0)", "x")},
        {"candidates": (GivenCandidate("x"),)},
        {"candidates": (GivenCandidate("x", 0.0),)},
    )
    assert len({digests(RequestQuery(**fields)).stored for fields in alike}) == len(alike)


@pytest.mark.parametrize("name", list(NOT_ASKED))
def test_paging_and_request_ids_change_no_digest(name):
    assert digests(replace(BASE, **{name: NOT_ASKED[name]})) == digests(BASE)


def test_a_text_is_not_taken_for_a_product_or_photo_of_the_same_bytes():
    alike: list[Signal] = [photo(image=b"x"), words("x"), near("x"), address(0, "x")]

    assert len({digests(RequestQuery(signals=(signal,))).stored for signal in alike}) == 4


def test_weights_count_and_0_is_1():
    def of(weight: float) -> bytes:
        return digests(RequestQuery(signals=(photo(weight=weight),))).stored

    assert of(0.0) == of(1.0)
    assert of(2.0) != of(1.0)


def test_a_seed_fits_64_bits():
    assert 0 <= seed_of(b"\xff" * 32) < 2**64


def test_an_attribution_token_says_what_it_was_made_of():
    token = attribution_token(SAID, RING, END)

    assert read_attribution_token(token, RING, END - 1) == SAID
    assert len(token) <= 400


def test_an_event_is_joined_to_the_answer_that_its_token_names():
    token = attribution_token(SAID, RING, END)

    assert answer_of(token, "default", END - 1, RING) == ("a1", Attributed.NAMED)
    assert answer_of(token, "default", END, RING) == ("", Attributed.EXPIRED)
    assert answer_of(token, "other", END - 1, RING) == ("", Attributed.FOREIGN)


USER, VISITOR = (Shopper(kind, "1") for kind in (Identity.USER, Identity.VISITOR))
OTHERS = tuple(replace(each, id="2") for each in (USER, VISITOR))


@pytest.mark.parametrize(
    ("whose", "shopper", "joined"),
    [
        (USER, USER, True),
        (USER, OTHERS[0], False),
        (USER, VISITOR, False),
        (USER, None, False),
        (VISITOR, VISITOR, True),
        (VISITOR, OTHERS[1], False),
        (VISITOR, USER, True),
        (VISITOR, None, False),
        (None, USER, True),
        (None, VISITOR, True),
    ],
)
def test_an_event_is_joined_to_an_answer_of_its_own_shopper(whose, shopper, joined):
    """Check also a visitor who has logged in since the answer."""
    said = replace(SAID, shopper=mark_of(whose, "default", RING))
    token = attribution_token(said, RING, END)
    expected = ("a1", Attributed.NAMED) if joined else ("", Attributed.OTHER_SHOPPER)
    assert answer_of(token, "default", 0, RING, shopper) == expected


def test_a_mark_outlives_a_rotation_of_keys_and_names_nobody_without_them():
    rotated = KeyRing([b"l" * 32, b"k" * 32])
    said = replace(SAID, shopper=mark_of(USER, "default", RING))
    token = attribution_token(said, RING, END)
    assert answer_of(token, "default", 0, rotated, USER) == ("a1", Attributed.NAMED)
    assert mark_of(USER, "default", RING) != mark_of(USER, "default", rotated)
    assert mark_of(USER, "default", RING) != mark_of(USER, "other", RING)


def test_an_event_from_before_the_answer_joins_nothing():
    made = 1_780_000_000
    token = attribution_token(replace(SAID, made_seconds=made), RING, END)
    earliest = (made - SKEW_SECONDS) * 1_000_000
    assert answer_of(token, "default", earliest, RING) == ("a1", Attributed.NAMED)
    assert answer_of(token, "default", earliest - 1, RING) == ("", Attributed.EARLY)


@given(st.data())
def test_a_token_with_any_bit_flipped_joins_nothing_and_is_no_page(data):
    bit = 1 << data.draw(st.integers(0, 6))
    for token in (attribution_token(SAID, RING, END), page_token(PAGE, RING, END)):
        place = data.draw(st.integers(0, len(token) - 1))
        other = token[:place] + chr(ord(token[place]) ^ bit) + token[place + 1 :]

        assert answer_of(other, "default", 0, RING) == ("", Attributed.UNREADABLE)
        with pytest.raises(PageTokenInvalid):
            read_page_token(other, PAGE.digest, RING, 0)


def test_a_token_of_one_kind_is_none_of_the_other():
    assert answer_of(page_token(PAGE, RING, END), "default", 0, RING)[0] == ""
    with pytest.raises(PageTokenInvalid):
        read_page_token(attribution_token(SAID, RING, END), PAGE.digest, RING, 0)


@pytest.mark.parametrize("other", [KeyRing([b"l" * 32]), KeyRing()])
def test_a_token_of_other_keys_joins_nothing(other):
    token = attribution_token(SAID, other, END)

    assert answer_of(token, "default", 0, RING) == ("", Attributed.UNREADABLE)
    assert answer_of(token, "default", 0, other) == ("a1", Attributed.NAMED)


def test_tokens_from_before_there_were_signatures_join_nothing():
    said = {"v": 1, "k": "", "m": "", "a": "a1", "c": "default", "s": "", "sv": "", "mv": ""}
    page = {"v": 1, "k": "", "m": "", "a": "a1", "o": 0, "r": 0, "d": PAGE.digest.hex(), "g": 0}
    former, paged = (
        base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")
        for fields in ({**said, "n": 1, "x": END}, page)
    )

    for ring in (RING, KeyRing()):
        assert answer_of(former, "default", 0, ring) == ("", Attributed.UNREADABLE)
        with pytest.raises(PageTokenInvalid):
            read_page_token(paged, PAGE.digest, ring, 0)


@pytest.mark.parametrize("answer_id", ["", "a b", "a" * 65, "ä"])
def test_what_could_be_no_answers_id_joins_nothing(answer_id):
    token = attribution_token(replace(SAID, answer_id=answer_id), RING, END)

    assert answer_of(token, "default", 0, RING) == ("", Attributed.UNREADABLE)


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda b: base64.b64encode(b).decode()))
def test_whatever_is_no_token_of_ours_joins_nothing_and_is_no_page(text):
    assert answer_of(text, "default", 0, RING) == ("", Attributed.UNREADABLE)
    with pytest.raises(PageTokenInvalid):
        read_page_token(text, b"d" * 32, RING, 0)


def test_a_page_token_says_what_it_was_made_of():
    assert read_page_token(page_token(PAGE, RING, END), PAGE.digest, RING, END - 1) == PAGE


def test_a_page_token_of_another_request_is_refused():
    with pytest.raises(PageTokenInvalid):
        read_page_token(page_token(PAGE, RING, END), b"e" * 32, RING, 0)


def test_a_page_token_ends_with_its_answer():
    with pytest.raises(AnswerMissing):
        read_page_token(page_token(PAGE, RING, END), PAGE.digest, RING, END)


def test_what_is_not_wanted_and_which_part_of_a_photo_is_meant_make_other_requests():
    signal = photo()
    asked = [
        signal,
        replace(signal, negative=True),
        replace(signal, box=Box(left=0, top=0, right=1, bottom=1)),
        replace(signal, box=Box(left=0, top=0, right=1, bottom=0.5)),
        replace(signal, box=Box(left=0, top=0, right=1, bottom=0.5), negative=True),
    ]
    found = {digests(RequestQuery(signals=(each,))).stored for each in asked}

    assert len(found) == len(asked)

"""Signing keys: signatures of these keys are valid, and no others."""

import hashlib
import os
import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.keys.keyring import KeyRing, SignatureInvalid, TokenExpired, open_keys, signing_keys
from servicekit.watched_files import Unreadable
from tests.waiting import until

ONE, TWO = hashlib.sha256(b"1").digest(), hashlib.sha256(b"2").digest()
RING = KeyRing([ONE])
END = 1_000
TOKEN = RING.seal(("page",), b"content", END)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.binary(max_size=200), st.lists(st.text(), max_size=3))
def test_a_token_holds_what_was_put_in(content: bytes, about: list[str]) -> None:
    token = RING.seal(about, content, END)
    assert set(token) <= set(LETTERS)
    assert RING.open(about, token, END - 1) == content


def test_a_token_ends() -> None:
    with pytest.raises(TokenExpired):
        RING.open(("page",), TOKEN, END)


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from(LETTERS + "+/= \n\0ä"))
def test_a_token_with_any_other_letter_is_none(place: int, letter: str) -> None:
    other = TOKEN[:place] + letter + TOKEN[place + 1 :]
    if other != TOKEN:
        with pytest.raises(SignatureInvalid):
            RING.open(("page",), other, 0)


@given(st.text(max_size=100))
def test_what_is_added_or_made_up_is_no_token(text: str) -> None:
    for other in (text, TOKEN + (text or "="), TOKEN[: -1 - len(text)]):
        with pytest.raises(SignatureInvalid):
            RING.open(("page",), other, 0)


@pytest.mark.parametrize("about", [(), ("page", ""), ("pag", "e"), ("attribution",)])
def test_a_token_is_good_for_what_it_was_made_for_alone(about: tuple[str, ...]) -> None:
    with pytest.raises(SignatureInvalid):
        RING.open(about, TOKEN, 0)


def test_a_new_key_signs_and_an_older_one_is_good_until_it_is_gone() -> None:
    rotated = KeyRing([TWO, ONE])
    newer = rotated.seal((), b"", END)
    assert rotated.open(("page",), TOKEN, 0) == b"content"
    assert KeyRing([TWO]).open((), newer, 0) == b""
    for ring, token, about in ((KeyRing([TWO]), TOKEN, ("page",)), (RING, newer, ())):
        with pytest.raises(SignatureInvalid):
            ring.open(about, token, 0)


def test_what_has_no_secret_is_no_good_where_there_is_one() -> None:
    anybodys = open_keys().seal(("page",), b"content", END)
    assert (open_keys().secret, RING.secret) == (False, True)
    assert KeyRing().open(("page",), anybodys, 0) == b"content"
    with pytest.raises(SignatureInvalid):
        RING.open(("page",), anybodys, 0)


def test_a_signature_is_good_for_its_content_alone() -> None:
    signature = RING.sign(("backup",), b"content")
    RING.check(("backup",), b"content", signature)
    KeyRing([TWO, ONE]).check(("backup",), b"content", signature)
    for ring, about, content in (
        (RING, ("space",), b"content"),
        (RING, ("backup",), b"other"),
        (KeyRing([TWO]), ("backup",), b"content"),
    ):
        with pytest.raises(SignatureInvalid):
            ring.check(about, content, signature)


@given(st.integers(0, 72), st.sampled_from("0123456789abcdef:g"))
def test_a_signature_with_any_other_letter_is_none(place: int, letter: str) -> None:
    signature = RING.sign((), b"content")
    other = signature[:place] + letter + signature[place + 1 :]
    if other != signature:
        with pytest.raises(SignatureInvalid):
            RING.check((), b"content", other)


@pytest.mark.parametrize("signature", ["", ":", "ä:00", "00:", RING.sign((), b"")[:-2]])
def test_what_is_no_signature_is_refused_as_such(signature: str) -> None:
    with pytest.raises(SignatureInvalid):
        RING.check((), b"", signature)


async def test_the_first_key_of_a_file_signs_and_a_changed_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "tokens.keys"
    path.write_text(f"# of November\n{ONE.hex()}\n\n{TWO.hex()}\n")
    keys = signing_keys(path)
    assert KeyRing([ONE]).open((), keys().seal((), b"", END), 0) == b""
    assert keys().open((), KeyRing([TWO]).seal((), b"", END), 0) == b""

    path.write_text(f"{secrets.token_hex(32)}\n{ONE.hex()}\n")
    os.utime(path, ns=(1, 1))
    former = keys()
    await until(lambda: keys() is not former)
    keys().open(("page",), TOKEN, 0)
    with pytest.raises(SignatureInvalid):
        keys().open((), KeyRing([TWO]).seal((), b"", END), 0)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "# none\n",
        "00\n",
        "ä\n",
        "00" * 33,
        "00" * 32,
        "6b65790a" * 8,
        f"{ONE.hex()}\n" * 2,
        "zz" * 32,
    ],
)
def test_a_bad_file_is_refused_without_a_word_of_its_keys(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "tokens.keys"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Unreadable) as caught:
        signing_keys(path)
    assert str(path) in str(caught.value)
    assert ONE.hex() not in str(caught.value)


def test_without_a_file_there_is_a_ring_without_a_secret() -> None:
    assert signing_keys(None) is open_keys


def test_derived_keys_differ_by_purpose_and_stay_with_their_key() -> None:
    ring = KeyRing([b"a" * 32])
    derived = ring.derive(("webhook", "ops"))
    assert derived is not None
    key_id, secret = derived
    assert len(secret) == 32
    assert ring.derive(("webhook", "ops")) == derived
    assert ring.derive(("webhooko", "ps")) != derived
    rotated = KeyRing([b"b" * 32, b"a" * 32])
    assert rotated.derive(("webhook", "ops")) != derived
    assert rotated.derive(("webhook", "ops"), key_id) == derived
    assert KeyRing([b"b" * 32]).derive(("webhook", "ops"), key_id) is None

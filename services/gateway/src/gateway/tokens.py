"""Attribution tokens, page tokens and the digests of requests. Pure.

Both tokens are opaque to callers: base64url of a short JSON object, with the token's version first.
They carry a key id and a MAC so that signing changes no shape; until there is a key both are empty
and a token proves nothing. So nothing that a token says is believed beyond what the caller may ask
anyway: a page is served only when the request itself has the token's digest.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gateway.model import Query, Signal
from gateway.plan import MOST_RANKED
from servicekit.requests import PageTokenInvalid

VERSION = 1
KEY_ID = ""
MAC = ""

_ANSWER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Attribution:
    """What an attribution token says of its answer."""

    answer_id: str
    catalog_id: str
    scene: str
    scene_version: str
    model_version: str
    seed: int
    expire_micros: int
    """When it stops being good, microseconds since 1970 (UTC)."""


class Attributed(StrEnum):
    """What an event's attribution token came to."""

    NAMED = "named"
    UNREADABLE = "unreadable"
    FOREIGN = "foreign"
    """Of another catalog."""
    EXPIRED = "expired"
    """It had expired when the event happened."""


@dataclass(frozen=True, slots=True)
class Page:
    """Where a later page begins."""

    answer_id: str
    offset: int
    """Products of the answer's order that earlier pages went through, served or not."""
    served: int
    """Products that earlier pages served; the next one's rank is one more."""
    digest: bytes
    """Digest of the request, the shopper included."""
    no_good_match: bool


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 of what is asked: everything but page, request id, priority and explain.

    Photos go in as their own hashes.
    """

    stored: bytes
    """Without the shopper: may be stored and logged."""
    callers: bytes
    """With the shopper, so that one shopper's page token is no good for another. It goes to the
    caller only: a hash of a user's id can be guessed."""


def digests(query: Query) -> Digests:
    """The digests of a request."""
    whole = hashlib.sha256()
    _add(whole, _asked(query))
    stored = whole.digest()
    _add(whole, _texts("shopper", query.session_id))
    if query.shopper is not None:
        _add(whole, _texts(query.shopper.kind, query.shopper.id))
    return Digests(stored, whole.digest())


def seed_of(request_digest: bytes) -> int:
    """The seed, 0 to 2⁶⁴ − 1, of everything drawn by chance in answering that request."""
    return int.from_bytes(request_digest[:8], "big")


def _add(whole: "hashlib._Hash", fields: Iterator[bytes]) -> None:
    """Each field goes in with its length, so that no two requests are spelt alike."""
    for field in fields:
        whole.update(len(field).to_bytes(4, "big"))
        whole.update(field)


def _asked(query: Query) -> Iterator[bytes]:
    yield from _texts(query.catalog_id, query.language_code, query.scene or "default")
    yield len(query.signals).to_bytes(4, "big")
    for signal in query.signals:
        yield _content(signal)
        yield (repr(signal.strength) + _how(signal)).encode()
    yield query.filter.content if query.filter is not None else b""
    yield from _texts(query.min_index_token, repr(query.min_quality))
    yield from _texts(*sorted(set(query.exclude_product_ids)))


def _texts(*texts: str) -> Iterator[bytes]:
    for text in texts:
        yield text.encode("utf-8", "surrogatepass")


def _content(signal: Signal) -> bytes:
    text = (signal.text or signal.image_uri or signal.product_id).encode("utf-8", "surrogatepass")
    return signal.kind.encode() + b":" + hashlib.sha256(signal.image or text).digest()


def _how(signal: Signal) -> str:
    """Empty for a signal that is wanted, of all of its photo: its digest is as it always was."""
    away = "|away" if signal.negative else ""
    box = f"|{signal.box}" if signal.box is not None else ""
    return away + box + ("|find" if signal.find_subject else "")


def attribution_token(said: Attribution) -> str:
    """The token; at most about 400 characters."""
    return _encode(
        {
            "v": VERSION,
            "k": KEY_ID,
            "a": said.answer_id,
            "c": said.catalog_id,
            "s": said.scene,
            "sv": said.scene_version,
            "mv": said.model_version,
            "n": said.seed,
            "x": said.expire_micros,
            "m": MAC,
        }
    )


def read_attribution_token(token: str) -> Attribution:
    """What a token says; raises ValueError when it is not one of ours."""
    said = _decode(token)
    return Attribution(
        answer_id=_answer_id(said),
        catalog_id=_text(said, "c"),
        scene=_text(said, "s"),
        scene_version=_text(said, "sv"),
        model_version=_text(said, "mv"),
        seed=_number(said, "n", 2**64 - 1),
        expire_micros=_number(said, "x", 2**63 - 1),
    )


def answer_of(token: str, catalog_id: str, happened_micros: int) -> tuple[str, Attributed]:
    """The answer that an event of this catalog is joined to, empty for none, and why.

    `happened_micros`: when the event happened, microseconds since 1970 (UTC). What is late on its
    way to us is joined; what happened after the token's end is not.
    """
    try:
        said = read_attribution_token(token)
    except ValueError:
        return "", Attributed.UNREADABLE
    if said.catalog_id != catalog_id:
        return "", Attributed.FOREIGN
    if happened_micros >= said.expire_micros:
        return "", Attributed.EXPIRED
    return said.answer_id, Attributed.NAMED


def page_token(page: Page) -> str:
    """The token of a later page."""
    return _encode(
        {
            "v": VERSION,
            "k": KEY_ID,
            "a": page.answer_id,
            "o": page.offset,
            "r": page.served,
            "d": page.digest.hex(),
            "g": int(page.no_good_match),
            "m": MAC,
        }
    )


def read_page_token(token: str, request: bytes) -> Page:
    """Where the page begins; raises PageTokenInvalid.

    `request` is the digest of the request that the token came with: it must be the one that the
    token was made for.
    """
    try:
        said = _decode(token)
        page = Page(
            answer_id=_answer_id(said),
            offset=_number(said, "o", MOST_RANKED),
            served=_number(said, "r", MOST_RANKED),
            digest=bytes.fromhex(_text(said, "d")),
            no_good_match=bool(_number(said, "g", 1)),
        )
    except ValueError as error:
        raise PageTokenInvalid("is not one that this service gave") from error
    if page.digest != request:
        raise PageTokenInvalid("belongs to another request: send the same one, or no token")
    return page


def _encode(said: dict[str, str | int]) -> str:
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=True)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(token: str) -> dict[str, object]:
    """Raises ValueError."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        said = json.loads(data)
    except (binascii.Error, UnicodeError, RecursionError) as error:
        raise ValueError("not a token") from error
    if not isinstance(said, dict) or said.get("v") != VERSION:
        raise ValueError("not a token of this version")
    return said


def _text(said: dict[str, object], key: str) -> str:
    value = said.get(key)
    if not isinstance(value, str) or len(value) > 1024:
        raise ValueError(f"{key} is no text")
    return value


def _answer_id(said: dict[str, object]) -> str:
    """An id that a record can have: nothing else is asked of the ranker."""
    value = _text(said, "a")
    if not _ANSWER_ID.fullmatch(value):
        raise ValueError("a is no answer's id")
    return value


def _number(said: dict[str, object], key: str, most: int) -> int:
    value = said.get(key)
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{key} is no number from 0 to {most}")
    return value

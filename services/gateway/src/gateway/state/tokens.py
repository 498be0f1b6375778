"""Attribution tokens, page tokens and the digests of requests. Pure.

Both tokens are opaque to callers: base64url of a short JSON object, with the token's version first.
They carry a key id and a MAC so that signing changes no shape; until there is a key both are empty
and a token proves nothing. So a token gives nothing beyond what the caller may ask
anyway: a page is served only when the request itself has the token's digest.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, PlainSerializer, Strict, StringConstraints, TypeAdapter

from gateway.model.plan import MOST_RANKED
from gateway.model.query import Query, Signal
from servicekit.requests import PageTokenInvalid

VERSION: Literal[1] = 1
KEY_ID = ""
MAC = ""

AnswerId = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]{1,64}$"), Field(alias="a")]
"""An id that a record can have: nothing else is asked of the ranker."""
Text = Annotated[str, StringConstraints(max_length=1024)]
Count = Annotated[int, Field(ge=0, le=MOST_RANKED)]
Flag = Annotated[bool, Strict(False), Field(alias="g"), PlainSerializer(int)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    """What both tokens have; on the wire each field has a short name."""

    version: Annotated[Literal[1], Field(alias="v")] = VERSION
    key_id: Annotated[str, Field(alias="k")] = KEY_ID
    mac: Annotated[str, Field(alias="m")] = MAC

    __pydantic_config__ = ConfigDict(strict=True, ser_json_bytes="hex", val_json_bytes="hex")


@dataclass(frozen=True, slots=True)
class Attribution(_Token):
    """An attribution token's answer."""

    answer_id: AnswerId
    catalog_id: Annotated[Text, Field(alias="c")]
    scene: Annotated[Text, Field(alias="s")]
    scene_version: Annotated[Text, Field(alias="sv")]
    model_version: Annotated[Text, Field(alias="mv")]
    seed: Annotated[int, Field(alias="n", ge=0, lt=2**64)]
    expire_micros: Annotated[int, Field(alias="x", ge=0, lt=2**63)]
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
class Page(_Token):
    """Where a later page begins."""

    answer_id: AnswerId
    offset: Annotated[Count, Field(alias="o")]
    """Products of the answer's order that earlier pages went through, served or not."""
    served: Annotated[Count, Field(alias="r")]
    """Products that earlier pages served; the next one's rank is one more."""
    digest: Annotated[bytes, Field(alias="d")]
    """Digest of the request, the shopper included."""
    no_good_match: Flag


_ATTRIBUTION, _PAGE = TypeAdapter(Attribution), TypeAdapter(Page)


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
    part = signal.box
    box = ""
    if part is not None:
        box = f"|Box(left={part.left}, top={part.top}, right={part.right}, bottom={part.bottom})"
    return away + box + ("|find" if signal.find_subject else "")


def attribution_token(attribution: Attribution) -> str:
    """The token; at most about 400 characters."""
    return _text(_ATTRIBUTION.dump_json(attribution, by_alias=True))


def read_attribution_token(token: str) -> Attribution:
    """A token's content; raises ValueError when it is not one of ours."""
    return _ATTRIBUTION.validate_json(_json(token))


def answer_of(token: str, catalog_id: str, happened_micros: int) -> tuple[str, Attributed]:
    """The answer that an event of this catalog is joined to, empty for none, and why.

    `happened_micros`: when the event happened, microseconds since 1970 (UTC). An event that
    arrives late is joined; one that happened after the token's end is not.
    """
    try:
        token_content = read_attribution_token(token)
    except ValueError:
        return "", Attributed.UNREADABLE
    if token_content.catalog_id != catalog_id:
        return "", Attributed.FOREIGN
    if happened_micros >= token_content.expire_micros:
        return "", Attributed.EXPIRED
    return token_content.answer_id, Attributed.NAMED


def page_token(page: Page) -> str:
    """The token of a later page."""
    return _text(_PAGE.dump_json(page, by_alias=True))


def read_page_token(token: str, request: bytes) -> Page:
    """Where the page begins; raises PageTokenInvalid.

    `request` is the digest of the request that the token came with: it must be the one that the
    token was made for.
    """
    try:
        page = _PAGE.validate_json(_json(token))
    except ValueError as error:
        raise PageTokenInvalid("is not one that this service gave") from error
    if page.digest != request:
        raise PageTokenInvalid("belongs to another request: send the same one, or no token")
    return page


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _json(token: str) -> bytes:
    """Raises ValueError."""
    return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)

"""Attribution tokens, page tokens and digests of requests. Pure.

Both tokens are opaque to callers: a short JSON object signed by a key of the ring, with an expiry.
An invalid token joins no events and gives no page. A page also requires that the request has the
token's digest.
"""

import hashlib
import struct
from collections.abc import Sequence
from enum import StrEnum
from itertools import chain
from operator import methodcaller
from typing import Annotated

from pydantic import ConfigDict, Field, PlainSerializer, Strict, StringConstraints, TypeAdapter

from gateway.model.errors import AnswerMissing
from gateway.model.plan import MOST_RANKED
from gateway.model.query import RequestQuery, Signal
from servicekit.keys.keyring import KeyRing, TokenExpired
from servicekit.rpc.requests import PageTokenInvalid
from sightline_core.shoppers import Identity, Shopper
from sightline_rules.fast_dataclass import fast_dataclass

AnswerId = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]{1,64}$"), Field(alias="a")]
"""A valid id of a record: no other is requested from the ranker."""
Text = Annotated[str, StringConstraints(max_length=1024)]
Arm = Annotated[str, StringConstraints(pattern="^[a-z0-9_-]{1,40}/[a-z0-9_-]{1,20}$")]
"""EXPERIMENT/ARM."""
Count = Annotated[int, Field(ge=0, le=MOST_RANKED)]
Flag = Annotated[bool, Strict(False), Field(alias="g"), PlainSerializer(int)]

SKEW_SECONDS = 300
"""How far a caller's clock may be behind: events count as early only beyond it."""

_FOR_EVENTS, _FOR_PAGES = ("attribution",), ("page",)
"""Purpose for which each token is signed."""


@fast_dataclass(frozen=True, slots=True)
class AnswerAttribution:
    """Content of an attribution token."""

    answer_id: AnswerId
    catalog_id: Annotated[Text, Field(alias="c")]
    scene: Annotated[Text, Field(alias="s")]
    scene_version: Annotated[Text, Field(alias="sv")]
    model_version: Annotated[Text, Field(alias="mv")]
    seed: Annotated[int, Field(alias="n", ge=0, lt=2**64)]
    arms: Annotated[tuple[Arm, ...], Field(alias="x", max_length=16)] = ()
    made_seconds: Annotated[int, Field(alias="t", ge=0)] = 0
    """When the answer was made, seconds since 1970 (UTC). 0 in tokens of 0.15."""
    shopper: Annotated[str, StringConstraints(max_length=32), Field(alias="w")] = ""
    """Whose answer it is (see `mark_of`). Empty: anonymous, or a token of 0.15."""

    __pydantic_config__ = ConfigDict(strict=True)


class Attributed(StrEnum):
    """Result of reading an event's attribution token."""

    NAMED = "named"
    UNREADABLE = "unreadable"
    """Not signed by a key of the ring: forged, changed, or signed by a removed key."""
    FOREIGN = "foreign"
    """Belongs to another catalog."""
    EXPIRED = "expired"
    """Had expired when the event happened."""
    EARLY = "early"
    """The event happened before the answer was made."""
    OTHER_SHOPPER = "other_shopper"
    """The answer was another shopper's."""


@fast_dataclass(frozen=True, slots=True)
class PageStart:
    """Start of a later page."""

    answer_id: AnswerId
    offset: Annotated[Count, Field(alias="o")]
    """Number of products of the answer's order processed by earlier pages, served or not."""
    served: Annotated[Count, Field(alias="r")]
    """Number of products served by earlier pages; the next rank is one more."""
    digest: Annotated[bytes, Field(alias="d")]
    """Digest of the request including the shopper."""
    no_good_match: Flag
    match: Annotated[bytes, Field(alias="m")] = b""
    """The first page's Match without its sentence; empty if there is none."""

    __pydantic_config__ = ConfigDict(strict=True, ser_json_bytes="hex", val_json_bytes="hex")


_ATTRIBUTION, _PAGE = TypeAdapter(AnswerAttribution), TypeAdapter(PageStart)


@fast_dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 digests of a request without page, request id, priority, explain and minimum quality.

    Photos are included by their hashes.
    """

    stored: bytes
    """Without the shopper: may be stored and logged."""
    callers: bytes
    """With the shopper, so that a page token is invalid for other shoppers. Sent to the caller
    only, because the hash of a user's id can be guessed."""


def digests(query: RequestQuery) -> Digests:
    """Return the digests of a request."""
    whole = hashlib.sha256(_framed(_asked(query)))
    stored = whole.digest()
    callers = _texts("shopper", query.session_id)
    if query.shopper is not None:
        callers += _texts(query.shopper.kind, query.shopper.id)
    whole.update(_framed(callers))
    return Digests(stored, whole.digest())


def seed_of(request_digest: bytes) -> int:
    """Return the random seed of the answer to a request, 0 to 2⁶⁴ − 1."""
    return int.from_bytes(request_digest[:8], "big")


def _framed(fields: Sequence[bytes]) -> bytes:
    """Join fields, each with its length, so that no two requests have the same bytes."""
    framed = zip(map(_LENGTH, map(len, fields)), fields, strict=True)
    return b"".join(chain.from_iterable(framed))


def _asked(query: RequestQuery) -> list[bytes]:
    found = _texts(query.catalog_id, query.language_code, query.scene or "default")
    found.append(len(query.signals).to_bytes(4, "big"))
    for signal in query.signals:
        found += _content(signal), (repr(signal.strength) + _how(signal)).encode()
    found.append(query.filter.content if query.filter is not None else b"")
    found += _texts(query.min_index_token, repr(query.min_quality))
    if query.exclude_product_ids:
        found += _texts(*sorted(set(query.exclude_product_ids)))
    # A request without them keeps its earlier digest; no id looks like their counts.
    if query.anchors or query.followed or query.controls:
        counts = len(query.anchors), len(query.followed), len(query.controls)
        found.append(f"\0{counts}".encode())
        found += _texts(*query.anchors, *sorted(query.followed))
        found += (control.content for control in query.controls)
    if query.listed or query.text:
        found += _texts("\0list", query.text, query.sort)
    if query.as_typed or query.read_labels or query.audiences:
        found += _options(query)
    if query.candidates:
        found.append(b"\0candidates")
        for each in query.candidates:
            found += _texts(each.product_id, repr(each.score))
    if query.grouping is not None:
        found += _texts("\0values", repr(query.grouping))
    return found


def _options(query: RequestQuery) -> list[bytes]:
    flags = ("as_typed", "read_labels")
    found = [f"\0{name}".encode() for name in flags if getattr(query, name)]
    if query.audiences:
        found += _texts("\0audiences", *sorted(set(query.audiences)))
    return found


_encoded = methodcaller("encode", "utf-8", "surrogatepass")
_LENGTH = struct.Struct(">I").pack


def _texts(*texts: str) -> list[bytes]:
    return [*map(_encoded, texts)]


def _content(signal: Signal) -> bytes:
    text = (signal.text or signal.image_uri or signal.product_id).encode("utf-8", "surrogatepass")
    return signal.kind.encode() + b":" + hashlib.sha256(signal.image or text).digest()


def _how(signal: Signal) -> str:
    """Encode a signal's sign and box for its digest.

    Empty for a positive signal of a whole photo, which keeps digests of earlier versions valid.
    """
    away = "|away" if signal.negative else ""
    part = signal.box
    box = ""
    if part is not None:
        box = f"|Box(left={part.left}, top={part.top}, right={part.right}, bottom={part.bottom})"
    return away + box


def attribution_token(attribution: AnswerAttribution, keys: KeyRing, expire_micros: int) -> str:
    """Return the token, at most some 400 characters, valid until `expire_micros`."""
    content = _ATTRIBUTION.dump_json(attribution, by_alias=True, exclude_defaults=True)
    return keys.seal(_FOR_EVENTS, content, expire_micros)


def read_attribution_token(token: str, keys: KeyRing, now_micros: int) -> AnswerAttribution:
    """Return a token's content. Raises ValueError, of which TokenExpired is one."""
    return _ATTRIBUTION.validate_json(keys.open(_FOR_EVENTS, token, now_micros))


def mark_of(shopper: Shopper | None, catalog_id: str, keys: KeyRing) -> str:
    """Return what binds a token to its shopper: the kind's first letter and a mark under the keys,
    from which the id can't be guessed. Empty for an anonymous request."""
    if shopper is None:
        return ""
    return shopper.kind[0] + keys.mark(_marked(shopper, catalog_id))


def _marked(shopper: Shopper, catalog_id: str) -> tuple[str, str, str]:
    return catalog_id, shopper.kind, shopper.id


def _is_theirs(mark: str, shopper: Shopper | None, catalog_id: str, keys: KeyRing) -> bool:
    """Return whether an answer is the shopper's, or a visitor's who may have logged in since."""
    if shopper is None:
        return False
    if mark[0] == Identity.VISITOR[0] and shopper.kind is Identity.USER:
        return True
    return keys.has_mark(_marked(shopper, catalog_id), mark[1:])


def attributed(
    token: str,
    catalog_id: str,
    happened_micros: int,
    shopper: Shopper | None,
    keys: KeyRing,
) -> tuple[AnswerAttribution | None, Attributed]:
    """Return the answer that a shopper's event of this catalog is joined to, None for none, and
    why.

    `happened_micros`: when the event happened, microseconds since 1970 (UTC). An event that arrives
    late is joined; one that happened before the answer or after the token's end is not.
    """
    try:
        content = read_attribution_token(token, keys, happened_micros)
    except TokenExpired:
        return None, Attributed.EXPIRED
    except ValueError:
        return None, Attributed.UNREADABLE
    if content.catalog_id != catalog_id:
        return None, Attributed.FOREIGN
    if happened_micros < (content.made_seconds - SKEW_SECONDS) * 1_000_000:
        return None, Attributed.EARLY
    if content.shopper and not _is_theirs(content.shopper, shopper, catalog_id, keys):
        return None, Attributed.OTHER_SHOPPER
    return content, Attributed.NAMED


def page_token(page: PageStart, keys: KeyRing, expire_micros: int) -> str:
    """Return the token of a later page, valid until `expire_micros`."""
    return keys.seal(_FOR_PAGES, _PAGE.dump_json(page, by_alias=True), expire_micros)


def read_page_token(token: str, request: bytes, keys: KeyRing, now_micros: int) -> PageStart:
    """Return the start of the page. Raises PageTokenInvalid, and AnswerMissing if it has expired.

    `request`: digest of the current request, which must equal the token's.
    """
    try:
        page = _PAGE.validate_json(keys.open(_FOR_PAGES, token, now_micros))
    except TokenExpired as error:
        raise AnswerMissing from error
    except ValueError as error:
        raise PageTokenInvalid("is not a token of this service") from error
    if page.digest != request:
        raise PageTokenInvalid("belongs to another request: repeat that request, or omit the token")
    return page

"""Intake of events: validation, pseudonyms, record."""

import hashlib
import json
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ranker.domain.errors import EventConflict, EventInvalid, EventTimeInvalid
from ranker.domain.events import Event, EventType, Identity, Shopper, StoredAs, StoredEvent, Written
from ranker.domain.pseudonyms import Pseudonyms
from servicekit.errors import FieldViolation, ServiceError
from sightline_rules.ids import MAX_ID_BYTES, IdInvalidError, check_id
from sightline_rules.placeholders import is_placeholder

AHEAD_MICROS = 5 * 60 * 1_000_000
"""Tolerated time in the future, in microseconds."""

MOST_QUANTITY = 1_000_000
MOST_VALUE = 1_000_000.0
MOST_RATING = 5.0
CURRENCY = re.compile(r"[A-Z]{3}")
MOST_ARM = 64
ANSWER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Appended:
    """Results of a batch."""

    errors: tuple[ServiceError | None, ...]
    """One for each event; `None` if stored, or stored before with the same content."""
    written_count: int
    duplicate_count: int
    withheld_count: int


@dataclass(frozen=True, slots=True)
class StoredTexts:
    """How texts of events that may name a person are stored."""

    queries: StoredAs = StoredAs.PLAIN
    order_ids: StoredAs = StoredAs.PLAIN
    sealed: bool = False
    """Whether queries are encrypted: their digests are then keyed, so that none can be guessed."""

    def of(self, catalog_id: str, event: Event, pseudonyms: Pseudonyms) -> Event:
        """Return the event as it is stored: hashed texts are equal where the given ones are."""
        ways = {"query": self.queries, "order_id": self.order_ids}
        changed: dict[str, Any] = {
            name: pseudonyms.hashed(catalog_id, text) if way is StoredAs.HASHED else ""
            for name, way in ways.items()
            if way is not StoredAs.PLAIN and (text := getattr(event, name))
        }
        return replace(event, **changed) if changed else event


PLAIN = StoredTexts()


async def append(
    catalog_id: str,
    events: Sequence[Event | ServiceError],
    pseudonyms: Pseudonyms,
    write: Callable[[Sequence[StoredEvent]], Awaitable[tuple[Written, ...]]],
    now_micros: Callable[[], int],
    *,
    impression_share: float = 1.0,
    texts: StoredTexts = PLAIN,
) -> Appended:
    """Store the valid events; an invalid one does not fail the others. Events are as durable as
    `write` makes them when this returns.

    An entry that is an error (its message could not be read) stays one. Impressions are stored of
    a share `impression_share` of the shoppers; the others are reported as written (see `sampled`).
    """
    now = now_micros()
    checked = [event if isinstance(event, ServiceError) else check(event, now) for event in events]
    stored = [
        _stored(catalog_id, texts.of(catalog_id, event, pseudonyms), pseudonyms, now, texts)
        for event, error in zip(events, checked, strict=True)
        if error is None and isinstance(event, Event)
    ]
    kept = [sampled(one, impression_share, pseudonyms) for one in stored]
    fresh = [one for one in kept if one is not None]
    written = iter(await write(fresh) if fresh else ())
    results = iter([Written.NEW if one is None else next(written) for one in kept])
    outcomes = [next(results) if error is None else None for error in checked]
    return Appended(
        errors=tuple(
            EventConflict() if outcome is Written.CONFLICT else error
            for error, outcome in zip(checked, outcomes, strict=True)
        ),
        written_count=outcomes.count(Written.NEW),
        duplicate_count=outcomes.count(Written.DUPLICATE),
        withheld_count=outcomes.count(Written.WITHHELD),
    )


def check(event: Event, now_micros: int) -> ServiceError | None:
    """Return the error of an event outside the limits of the Event message, else None."""
    violations = tuple(FieldViolation(*pair) for pair in _problems(event))
    if violations:
        return EventInvalid(*violations)
    if event.time_micros is not None and event.time_micros > now_micros + AHEAD_MICROS:
        return EventTimeInvalid.at("event_time", "is more than 5 minutes in the future")
    return None


def _problems(event: Event) -> list[tuple[str, str]]:
    found = [
        *_text("event_id", event.event_id, 128, required=True),
        *_product_id(event),
        *_text("session_id", event.session_id, 128),
        *_text("order_id", event.order_id, 128),
        *_text("attribution_token", event.attribution_token, 1024),
        *_text("scene", event.scene, 64, unit="characters"),
        *_text("query", event.query, 512, unit="characters", control=True),
        *_value(event),
        *_shopper(event.shopper),
    ]
    if event.answer_id and not ANSWER_ID.fullmatch(event.answer_id):
        found.append(("answer_id", "is not 1 to 64 of A-Z, a-z, 0-9, _ and -"))
    if len(event.arm) > MOST_ARM or not event.arm.isprintable():
        found.append(("arm", f"is not up to {MOST_ARM} printable characters"))
    if event.type is None:
        found.append(("type", "is required"))
    if not 0 <= event.quantity <= MOST_QUANTITY:
        found.append(("quantity", f"is not within 0 and {MOST_QUANTITY}"))
    if event.position < 0:
        found.append(("position", "is negative"))
    if event.unit_price is not None:
        if event.unit_price.micros < 0:
            found.append(("unit_price", "is negative"))
        if not CURRENCY.fullmatch(event.unit_price.currency):
            found.append(("unit_price.currency_code", "is not a three-letter ISO 4217 code"))
    return found


_NO_VALUE = "stands for no value, as programs write it (null, undefined, (not set), …)"


def _shopper(shopper: Shopper | None) -> list[tuple[str, str]]:
    if shopper is None:
        return [("shopper", "is required")]
    path = f"shopper.{shopper.kind}_id"
    if is_placeholder(shopper.id):
        return [(path, _NO_VALUE)]
    return _text(path, shopper.id, 128, required=True)


def _product_id(event: Event) -> list[tuple[str, str]]:
    if not event.product_id and event.type is EventType.SEARCH:
        return []
    item = event.product_id
    if is_placeholder(item):
        return [("product_id", _NO_VALUE)]
    if item.isascii() and item.isprintable() and 0 < len(item) <= MAX_ID_BYTES:
        return []  # a fast path of the check, ten times faster
    try:
        check_id(event.product_id)
    except IdInvalidError as error:
        return [("product_id", str(error))]
    return []


def _text(
    path: str,
    text: str,
    most: int,
    *,
    required: bool = False,
    unit: str = "bytes",
    control: bool = False,
) -> list[tuple[str, str]]:
    """Return the problems of a text of at most `most` bytes of UTF-8, or characters."""
    if not text:
        return [(path, "is required")] if required else []
    if len(text) <= most and text.isascii() and text.isprintable():
        return []  # a fast path for valid events, ten times faster
    size = len(text.encode()) if unit == "bytes" else len(text)
    if size > most:
        return [(path, f"is longer than {most} {unit}")]
    if not control and any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in text):
        return [(path, "holds control characters")]
    if "\0" in text:  # PostgreSQL can't store it
        return [(path, "holds a NUL character")]
    return []


def _value(event: Event) -> list[tuple[str, str]]:
    if event.value is None:
        return [("value", "is required for a rating")] if event.type is EventType.RATING else []
    most = MOST_RATING if event.type is EventType.RATING else MOST_VALUE
    if not (math.isfinite(event.value) and 0 <= event.value <= most):
        return [("value", f"is not within 0 and {most:g}")]
    return []


def _stored(
    catalog_id: str, event: Event, pseudonyms: Pseudonyms, now: int, texts: StoredTexts = PLAIN
) -> StoredEvent:
    if event.shopper is None:
        raise ValueError("an event that passed the check has a shopper")
    timed = event if event.time_micros is not None else replace(event, time_micros=now)
    actor = pseudonyms.of(catalog_id, event.shopper)
    session = pseudonyms.of_session(catalog_id, event.session_id)
    # Of pseudonyms under the first key, so that a retry after a renewal has the same digest.
    first = pseudonyms.first(catalog_id, event.shopper.kind, event.shopper.id)
    visit = event.session_id and pseudonyms.first(catalog_id, Identity.SESSION, event.session_id)
    query = pseudonyms.hashed(catalog_id, event.query) if texts.sealed else event.query
    return StoredEvent(
        catalog_id=catalog_id,
        event=timed,
        actor=actor,
        session=session,
        key_id=pseudonyms.key_id,
        digest=digest(replace(event, query=query), first, visit),
        received_micros=now,
    )


def digest(event: Event, actor: str, session: str) -> bytes:
    """Return the SHA-256 of the content as given, 32 bytes.

    An omitted time stays omitted, so that a retry without one has the same digest. Values read
    from a token are left out, so that a retry after its expiry has the same digest.
    """
    price = event.unit_price
    content = [
        event.event_id,
        actor,
        session,
        event.type,
        event.product_id,
        event.time_micros,
        event.value,
        event.quantity,
        None if price is None else [price.micros, price.currency],
        event.order_id,
        event.position,
        event.scene,
        event.attribution_token,
        event.query,
    ]
    return hashlib.sha256(json.dumps(content).encode()).digest()


def sampled(
    stored: StoredEvent, share: float, pseudonyms: Pseudonyms | None = None
) -> StoredEvent | None:
    """Return the event with its sample share (above 0, at most 1), or None if it is sampled out.

    Only impressions are sampled: all of a shopper or none, so that shoppers who see more answers
    are not more often among those stored. A shopper is drawn by the pseudonym under the first key,
    so that a renewal changes nothing; without `pseudonyms`, by the stored one.
    """
    shopper = stored.event.shopper
    if stored.event.type is not EventType.IMPRESSION or share >= 1:
        return stored
    unit = stored.actor
    if pseudonyms is not None and shopper is not None:
        unit = pseudonyms.first(stored.catalog_id, shopper.kind, shopper.id)
    return replace(stored, sample_share=share) if _draw(stored.catalog_id, unit) < share else None


def _draw(catalog_id: str, unit: str) -> float:
    """Draw a number from 0 to 1, always the same for a unit of a catalog."""
    digest = hashlib.sha256(f"{catalog_id} {unit}".encode()).digest()
    return float(int.from_bytes(digest[:8]) / 2**64)

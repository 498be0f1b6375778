"""Events as messages of a log, which other systems may read too: docs/operate/events-at-scale.md.

Shoppers appear as pseudonyms only: `shopper` and `session_id` are not among the fields.
"""

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ranker.domain.events import Event, StoredEvent
from servicekit.keys.keyring import SignatureInvalid, SigningKeys

FORMAT = 1
"""Version of the format; raised by incompatible changes. Additional fields are compatible."""

_OF_EVENT = [one.name for one in fields(Event) if one.name not in {"shopper", "session_id"}]
_OF_STORED = [
    one.name for one in fields(StoredEvent) if one.name not in {"event", "digest", "sequence"}
]
_STORED = TypeAdapter(StoredEvent)
_ABOUT = "event log"
SIGNATURE = "signature"
"""Header of a message: its signature, as servicekit.keys.keyring writes it."""
_WHO = re.compile(r"[a-z0-9_-]{1,63} [0-9a-f]{64} ([0-9a-f]{64})? [0-9a-f]{16}")
"""Fields for catalog, shopper, visit and key."""


class Illegible(Exception):
    """A message that is not a valid event. The error does not contain its content."""


class Forged(Exception):
    """A message that no ranker signed. The error does not contain its content."""


class OfLaterRelease(Exception):
    """An event in a later format, which this release would misread."""


@dataclass(frozen=True, slots=True)
class LogSignatures:
    """Signatures of messages, by which the worker knows what rankers wrote."""

    topic: str
    """A signature is valid in this topic only."""
    keys: SigningKeys | None = None
    """`None`: messages are neither signed nor checked."""
    unsigned: bool = False
    """True: unsigned messages, as releases before 0.17 write them, are accepted too."""

    def sign(self, message: bytes) -> str:
        """Return the signature of a message; empty without keys."""
        return "" if self.keys is None else self.keys().sign((_ABOUT, self.topic), message)

    def check(self, message: bytes, signature: str) -> None:
        """Raise Forged unless a ranker signed the message, or no signature is required."""
        if self.keys is None or (self.unsigned and not signature):
            return
        if not signature:
            raise Forged("not signed")
        try:
            self.keys().check((_ABOUT, self.topic), message, signature)
        except SignatureInvalid:
            raise Forged("signed by another key, or changed since") from None


def key(stored: StoredEvent) -> bytes:
    """Return the message key: events of one key are read in the order written."""
    return f"{stored.catalog_id}/{stored.actor}".encode()


def packed(stored: StoredEvent) -> bytes:
    """Return the event as one line of JSON."""
    event, price = stored.event, stored.event.unit_price
    message: dict[str, Any] = {"format": FORMAT}
    message |= {name: getattr(stored, name) for name in _OF_STORED}
    message |= {name: getattr(event, name) for name in _OF_EVENT}
    message["unit_price"] = None if price is None else asdict(price)
    message["digest"] = stored.digest.hex()
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def unpacked(message: bytes) -> StoredEvent:
    """Return the event of a message from `packed`; Illegible, OfLaterRelease."""
    try:
        found = json.loads(message)
        if found["format"] > FORMAT:
            raise OfLaterRelease
        event = {name: found[name] for name in _OF_EVENT if name in found}
        stored = {name: found[name] for name in _OF_STORED if name in found}
        digest = bytes.fromhex(found["digest"])
        made = _STORED.validate_python(
            {**stored, "digest": digest, "event": {**event, "shopper": None}}
        )
    except ValidationError as error:
        paths = (".".join(map(str, one["loc"])) for one in error.errors(include_input=False))
        raise Illegible(f"wrong: {', '.join(paths)}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise Illegible(type(error).__name__) from None
    who = f"{made.catalog_id} {made.actor} {made.session} {made.key_id}"
    if not _WHO.fullmatch(who) or made.event.time_micros is None:
        raise Illegible("wrong: catalog_id, actor, session, key_id or time_micros")
    return made

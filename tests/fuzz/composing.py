"""Requests made from the contract's descriptors: nearly right, and wrong in every way."""

from __future__ import annotations

import random
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from sightline.common.v1.facet_pb2 import FacetRequest
from sightline.common.v1.filter_pb2 import Filter
from sightline.gateway.v1.catalog_service_pb2 import ImportProductsRequest, PurgeProductsRequest
from sightline.gateway.v1.control_pb2 import Control
from sightline.gateway.v1.user_event_service_pb2 import MergeShopperRequest
from tests.fuzz import conditions, pictures
from tests.fuzz.encoding import framed
from tests.fuzz.hostile_values import (
    FLOATS,
    HEADER_VALUES,
    HEADERS,
    HOSTILE,
    INTS,
    LENGTHS,
    SPECIAL,
)
from tests.fuzz.model import FUZZ, KEPT, PHOTOS
from tests.fuzz.surface import METHODS, READ_ONLY, Method
from tests.fuzz.vocabulary import FACETS, OFTEN, PATHS, POOLED, POOLS, SELDOM, WEIGHTS, WORDS

MAX_BYTES = 256_000
"""Maximum bytes of a request, not strict."""


class Composer:
    """Composer of requests, which also use ids and tokens of real answers."""

    def __init__(self, chance: random.Random, photos: Sequence[bytes]) -> None:
        self._chance = chance
        self._photos = photos
        self._methods = list(METHODS.values())
        self._weights = [WEIGHTS.get(method.name, 1.0) for method in self._methods]
        self._pools: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=200))
        self._hostility = 0.0
        self._left = MAX_BYTES
        self._count = 0

    def learn(self, message: Message) -> None:
        """Keep ids and tokens of an answer for later requests."""
        for field, value in message.ListFields():
            values = value if field.is_repeated else (value,)
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                for part in values[:20] if field.is_repeated else values:
                    self.learn(part)
            elif field.type == FieldDescriptor.TYPE_STRING:
                pool = _pool(field.name, message.DESCRIPTOR.name)
                if pool in POOLED:
                    self._pools[pool].extend(values)

    def newest_job(self) -> str:
        """Return the last job that an answer named; empty if there was none."""
        jobs = self._pools["job_id"]
        return jobs[-1] if jobs else ""

    def draw(self) -> tuple[Method, bytes]:
        """Return a call and its request."""
        (method,) = self._chance.choices(self._methods, self._weights)
        message = self.message(method)
        raw = message.SerializeToString()
        return method, self._harmed(raw) if self._chance.random() < 0.2 else raw

    def message(self, method: Method) -> Message:
        """Return a request for this call."""
        self._hostility = self._chance.choice((0.0, 0.0, 0.02, 0.02, 0.1, 0.4))
        self._left = MAX_BYTES
        message = method.request()
        self._fill(message, 0)
        if not self._hostile(0.5):
            self._fix(message)
        writes = method.name not in READ_ONLY
        catalogs, weights = (FUZZ, KEPT, PHOTOS, "", "nowhere"), (45, 30, 20, 1, 4)
        if method.name in {"UpsertProducts", "WriteEvents"}:
            weights = (60, 38, 0, 0, 2)
        elif writes:
            weights = (98, 0, 0, 0, 2)
        (catalog,) = self._chance.choices(catalogs, weights)
        if not self._hostile(0.2):
            own = "catalog_id" in message.DESCRIPTOR.fields_by_name
            asked: Any = message if own else getattr(message, "request")  # noqa: B009
            asked.catalog_id = catalog
        return message

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return headers; usually none."""
        if self._chance.random() < 0.95:
            return ()
        names = self._chance.sample(HEADERS, self._chance.choice((1, 2)))
        return tuple((name, self._chance.choice(HEADER_VALUES)) for name in names)

    def fresh(self, prefix: str) -> str:
        """Return an id that was not used before in this run."""
        self._count += 1
        return f"{prefix}-{self._count}"

    def _fix(self, message: Message) -> None:
        """Correct fields that are valid only together."""
        match message:
            case ImportProductsRequest():
                first = self._chance.randrange(1, 50)
                for number, row in enumerate(message.rows, start=first):
                    row.row_number = number
            case MergeShopperRequest():
                getattr(message, "from").visitor_id = self._chance.choice(WORDS["visitor_id"])
                message.to.user_id = self._chance.choice(WORDS["user_id"])
            case PurgeProductsRequest():
                self._fill_known(message.filter, 1)

    def _fill(self, message: Message, depth: int) -> None:
        self._left -= 2
        descriptor = message.DESCRIPTOR
        chosen = {self._one_of(oneof.fields) for oneof in descriptor.oneofs}
        for field in descriptor.fields:
            if field.containing_oneof is not None and field.name not in chosen:
                continue
            likely = SELDOM.get(field.name, 0.97 if field.name in OFTEN else 0.35)
            if field.containing_oneof is not None:
                likely = 1 - self._hostility / 2
            if self._left > 0 and self._chance.random() < likely:
                self._set(message, field, depth)

    def _one_of(self, fields: Sequence[FieldDescriptor]) -> str:
        weights = [SELDOM.get(field.name, 1.0) for field in fields]
        (chosen,) = self._chance.choices(fields, weights)
        return str(chosen.name)

    def _set(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        if field.is_repeated:
            many = getattr(message, field.name)
            for _ in range(self._length(field)):
                if self._left <= 0:
                    return
                if field.type == FieldDescriptor.TYPE_MESSAGE:
                    self._fill_known(many.add(), depth + 1)
                else:
                    many.append(self._scalar(field))
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            part = getattr(message, field.name)
            part.SetInParent()
            self._fill_known(part, depth + 1)
        else:
            setattr(message, field.name, self._scalar(field))

    def _length(self, field: FieldDescriptor) -> int:
        if self._hostile(0.2):
            return self._chance.choice((0, 9, 21, 65, 101, 129, 1_001))
        if field.name == "images":
            return self._chance.choice((0, 0, 0, 0, 1, 1, 2))
        return self._chance.choice((0, 1, 1, 1, 2, 3, 5))

    def _fill_known(self, message: Message, depth: int) -> None:
        """Fill the messages for which random values would hardly ever be valid."""
        by_grammar = not self._hostile()
        if isinstance(message, Filter) and by_grammar:
            now = int(time.time()) * 10**6
            condition = conditions.condition(self._chance, (0, now, now - 10**9))
            message.CopyFrom(conditions.sent(condition, self._chance))
            self._left -= message.ByteSize()
        elif isinstance(message, Timestamp) and by_grammar:
            ago = self._chance.choice((0, 1, 60, 86_400, 10**7))
            message.FromSeconds(int(time.time()) - ago)
        elif isinstance(message, Money) and by_grammar:
            money = conditions.money(
                self._chance.choice(conditions.CURRENCIES), self._chance.choice(conditions.AMOUNTS)
            )
            message.CopyFrom(money)
        elif isinstance(message, Control) and by_grammar:
            self._control(message)
        elif isinstance(message, FacetRequest) and by_grammar:
            message.field = self._chance.choice(FACETS)
        elif isinstance(message, FieldMask):
            paths = self._chance.choices(PATHS, k=self._chance.choice((0, 1, 1, 2, 4)))
            message.paths.extend(paths)
        elif depth < 12:
            self._fill(message, depth)

    def _control(self, message: Control) -> None:
        """Set the fields that the control's kind requires."""
        message.name = self._chance.choice(("hero", "clearance", "season", "recalled"))
        message.kind = self._chance.choice(Control.Kind.values()[1:])
        if message.kind != Control.KIND_PIN and self._chance.random() < 0.5:
            self._fill_known(message.filter, 2)
        else:
            ids = list(self._pools.get("product_id", ())) or ["kept-1"]
            message.product_ids.extend({*self._chance.choices(ids, k=2)})
        if message.kind == Control.KIND_PIN:
            message.place = self._chance.choice((1, 2, 5, 199))
        elif message.kind == Control.KIND_BOOST:
            message.boost = self._chance.choice((0.1, 1.0, 10.0))
        if message.kind in (Control.KIND_PIN, Control.KIND_BOOST):
            message.daily_budget = self._chance.choice((0, 0, 1, 10**12))

    def _scalar(self, field: FieldDescriptor) -> object:
        match field.type:
            case FieldDescriptor.TYPE_STRING:
                text = self._text(field.name, field.containing_type.name)
                self._left -= len(text) + 2
                return text
            case FieldDescriptor.TYPE_BYTES:
                data = self._bytes()
                self._left -= len(data)
                return data
            case FieldDescriptor.TYPE_BOOL:
                return self._chance.random() < 0.5
            case FieldDescriptor.TYPE_ENUM:
                if self._hostile():
                    return self._chance.choice((-1, 0, 99, 2**31 - 1, -(2**31)))
                return self._chance.choice(field.enum_type.values).number
            case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
                if self._hostile():
                    return self._chance.choice(FLOATS + SPECIAL)
                return self._chance.choice((0.0, 0.5, 1.0))
            case FieldDescriptor.TYPE_INT32 | FieldDescriptor.TYPE_SINT32:
                return self._whole(-(2**31), 2**31 - 1)
            case FieldDescriptor.TYPE_UINT32:
                return self._whole(0, 2**32 - 1)
            case _:
                return self._whole(-(2**63), 2**63 - 1)

    def _whole(self, low: int, high: int) -> int:
        if self._hostile():
            return min(max(self._chance.choice(INTS), low), high)
        return self._chance.choice((0, 1, 2, 3, 10, 50))

    def _text(self, name: str, message: str) -> str:
        pool = _pool(name, message)
        if self._hostile():
            return self._nasty(pool)
        makes = name == "event_id" or (message, name) == ("Product", "product_id")
        if makes and self._chance.random() < 0.6:
            return self.fresh("x")
        known = self._pools.get(pool)
        if name == "import_id":
            return self._import(known, opens=message == "OpenImportRequest")
        if known and (name not in WORDS or self._chance.random() < 0.7):
            return self._chance.choice(known)
        return self._chance.choice(WORDS.get(name, ("one", "two", "three")))

    def _import(self, known: Sequence[str] | None, *, opens: bool) -> str:
        """Return an import id: a new one, or one of the newest, because imports are soon closed."""
        if opens and self._chance.random() < 0.4:
            return self.fresh("i")
        return self._chance.choice(list(known or WORDS["import_id"])[-4:])

    def _nasty(self, pool: str) -> str:
        known = self._pools.get(pool)
        kind = self._chance.random()
        if known and kind < 0.4:
            return self._bent(self._chance.choice(known))
        if kind < 0.6:
            long = self._chance.choice(("a", "\N{GRINNING FACE}", "é", "\u202e", "\0", " ", '"'))
            return long * min(self._chance.choice(LENGTHS), max(1, self._left // 8))
        if kind < 0.7 and self._pools:
            return self._chance.choice(
                self._pools[self._chance.choice(sorted(self._pools))] or [""]
            )
        return self._chance.choice(HOSTILE)

    def _bent(self, token: str) -> str:
        """Return a real token with a small change."""
        at = self._chance.randrange(len(token) + 1)
        other = self._chance.choice("0aZ-_=./+ \0é")
        return self._chance.choice(
            (
                *(token[:at], token[at:], token[:at] + other + token[at + 1 :], token.upper()),
                *(token + other, token * 2, token[::-1], token + "=", f" {token}"),
            )
        )

    def _bytes(self) -> bytes:
        kind = self._chance.random()
        if kind < 0.6 or not self._hostility:
            return self._chance.choice(self._photos)
        if kind < 0.9:
            return pictures.mutated(self._chance, self._photos)[:30_000]
        return self._chance.randbytes(self._chance.choice((0, 1, 100, 4_000)))

    def _hostile(self, share: float = 1.0) -> bool:
        return self._chance.random() < self._hostility * share

    def _harmed(self, raw: bytes) -> bytes:
        """Return the bytes of a valid request, damaged."""
        data, chance = bytearray(raw), self._chance
        for _ in range(chance.choice((1, 1, 2, 5))):
            at = chance.randrange(len(data) + 1)
            match chance.randrange(9):
                case 0 if data:
                    data[at % len(data)] ^= 1 << chance.randrange(8)
                case 1:
                    del data[at:]
                case 2:
                    del data[at : at + chance.choice((1, 2, 8))]
                case 3:
                    data[at:at] = chance.randbytes(chance.choice((1, 4, 30)))
                case 4:
                    data[at:at] = data[at : at + chance.choice((4, 64, 512))]
                case 5:  # a number without an end, an unknown field, a group that is never closed
                    data[at:at] = chance.choice((b"\xff" * 11, b"\xf8\x07\x01", b"\x0b\x13\x1b"))
                case 6:
                    other = self.message(chance.choice(self._methods))
                    data[at:at] = other.SerializeToString()[:4_000]
                case 7:
                    data += _nest(chance.choice((5, 40, 99, 101, 3_000)))
                case _:
                    data += data[: MAX_BYTES - min(len(data), MAX_BYTES)]
        return bytes(data[: 2 * MAX_BYTES])


def _pool(name: str, message: str) -> str:
    """Return a value for a field of that name in a message of that name."""
    if name == "name" and "Generation" in message:
        return "generation"
    if name == "version" and "Space" in message:
        return "space_version"
    return POOLS.get(name, name)


def _nest(depth: int) -> bytes:
    """Return a filter (field 3, 4 or 8 of the requests that have one) of nested conjunctions."""
    inner = b""
    for _ in range(depth):
        inner = framed(1, framed(1, inner))
    return b"".join(framed(number, inner) for number in (3, 4, 8))

"""Requests made from the contract's descriptors: nearly right, and wrong in every way."""

from __future__ import annotations

import random
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from sightline.common.v1.facet_pb2 import FacetRequest
from sightline.common.v1.filter_pb2 import Filter
from sightline.common.v1.limits_pb2 import max_items
from sightline.common.v1.photo_pb2 import Box
from sightline.gateway.v1.catalog_service_pb2 import ImportProductsRequest, PurgeProductsRequest
from sightline.gateway.v1.control_pb2 import Control
from sightline.gateway.v1.recommendation_service_pb2 import RecommendShelvesRequest
from sightline.gateway.v1.user_event_service_pb2 import MergeShopperRequest
from tests.fuzz import conditions, pictures
from tests.fuzz.contract import accepted_values, either_of, field_rules
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
from tests.fuzz.model import FUZZ, KEPT, MADE, PHOTOS
from tests.fuzz.surface import METHODS, READ_ONLY, Method
from tests.fuzz.vocabulary import FACETS, OFTEN, PATHS, POOLED, POOLS, SELDOM, WEIGHTS, WORDS

MAX_BYTES = 256_000
"""Maximum bytes of a request, not strict."""
_LONGEST = 16
"""A list of a contract's maximum up to this is also filled to it."""
_FULL = 0.05
"""Share of numbers that have the greatest value of their range."""
_OF_CATALOGS = frozenset({"CreateCatalog", "UpdateCatalog", "DeleteCatalog", "UndeleteCatalog"})
"""Writes of a catalog itself."""
_QUOTED_SHARE = 0.5
"""Share of texts that are values which the contract quotes, where it does."""
_NOT_OF_SHELVES = ("page_token", "if_none_match")
"""Fields that no query of a shelf may have."""


class Composer:
    """Composer of requests, which also use ids and tokens of real answers."""

    def __init__(self, chance: random.Random, photos: Sequence[bytes]) -> None:
        self._chance = chance
        self._photos = photos
        self._methods = list(METHODS.values())
        self._weights = [WEIGHTS.get(method.name, 1.0) for method in self._methods]
        self._pools: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=200))
        self._named: dict[str, list[str]] = defaultdict(list)
        """Ids that parts of the request give one another, by field."""
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
        self._named.clear()
        message = method.request()
        self._fill(message, 0)
        if not self._hostile(0.5):
            self._fix(message)
        writes = method.name not in READ_ONLY
        catalogs, weights = (FUZZ, KEPT, PHOTOS, "", "nowhere"), (45, 30, 20, 1, 4)
        if method.name in {"UpsertProducts", "WriteEvents"}:
            weights = (60, 38, 0, 0, 2)
        elif method.name in _OF_CATALOGS:
            catalogs, weights = (*catalogs[:-1], MADE), (20, 0, 0, 0, 80)
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
            case RecommendShelvesRequest():
                for shelf in message.shelves:
                    _clear_shared(message, getattr(shelf, shelf.WhichOneof("query") or "list"))

    def _fill(self, message: Message, depth: int) -> None:
        self._left -= 2
        descriptor = message.DESCRIPTOR
        chosen = {self._one_of(oneof.fields) for oneof in descriptor.oneofs}
        either = () if self._hostile() else sorted(either_of(descriptor))
        one = self._chance.choice(either) if either else ""
        for field in descriptor.fields:
            if field.containing_oneof is not None and field.name not in chosen:
                continue
            if field.name in either and field.name != one:
                continue
            if self._left > 0 and (
                field.name == one or self._chance.random() < self._likely(field)
            ):
                self._set(message, field, depth)

    def _likely(self, field: FieldDescriptor) -> float:
        """Return the probability that a field is set."""
        rules = field_rules(field)
        if rules.given:
            return 0.05
        choice = field.containing_oneof is not None and len(field.containing_oneof.fields) > 1
        if rules.required or choice:
            return 1 - self._hostility / 2
        likely = 0.97 if rules.plain or rules.unique or field.name in OFTEN else 0.35
        return SELDOM.get(field.name, likely)

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
            if field.type == FieldDescriptor.TYPE_MESSAGE and not self._hostile():
                self._tell_apart(field, many)
            elif field.name.endswith("_ids") and not self._hostile():
                many[:] = dict.fromkeys(many)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            part = getattr(message, field.name)
            part.SetInParent()
            if isinstance(part, FieldMask):
                self._mask(part, field_rules(field).words)
            else:
                self._fill_known(part, depth + 1)
        else:
            setattr(message, field.name, self._scalar(field))

    def _tell_apart(self, field: FieldDescriptor, many: Any) -> None:
        """Have each id once among the entries of a list if the contract says so. Ids that the
        request itself gives are changed and kept for what refers to them; of entries about the
        same stored thing one stays."""
        name = field.message_type.fields[0]
        unique = field_rules(field).unique or field_rules(name).unique
        if not unique or name.type != FieldDescriptor.TYPE_STRING:
            return
        given, seen = name.name not in POOLED, set[str]()
        for number in reversed(range(len(many))):
            key = getattr(many[number], name.name)
            if key in seen and not given:
                del many[number]
            elif key in seen:
                key = f"{key}-{number}"
                setattr(many[number], name.name, key)
            seen.add(key)
        if given:
            self._named[name.name].extend(sorted(seen))

    def _length(self, field: FieldDescriptor) -> int:
        if self._hostile(0.2):
            return self._chance.choice((0, 9, 21, 65, 101, 129, 1_001))
        if field.message_type is not None and field.name == "images":
            return self._chance.choice((0, 0, 0, 0, 1, 1, 2))
        most = field.GetOptions().Extensions[max_items]
        full = most if 0 < most <= _LONGEST else 3
        fewest = 1 if field_rules(field).required else 0
        return self._chance.choice((fewest, 1, 1, 1, 2, 3, 5, full))

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
        elif isinstance(message, Duration) and by_grammar:
            message.FromSeconds(self._chance.choice((0, 0, 0, 1, 60, 86_400)))
        elif isinstance(message, Box) and by_grammar:
            message.left, message.top = self._chance.choices((0.0, 0.1, 0.4), k=2)
            message.right, message.bottom = self._chance.choices((0.5, 0.9, 1.0), k=2)
        elif isinstance(message, Money) and by_grammar:
            money = conditions.money(
                self._chance.choice(conditions.CURRENCIES), self._chance.choice(conditions.AMOUNTS)
            )
            message.CopyFrom(money)
        elif isinstance(message, Control) and by_grammar:
            self._control(message)
        elif isinstance(message, FacetRequest) and by_grammar:
            message.field = self._chance.choice(FACETS)
        elif depth < 12:
            self._fill(message, depth)

    def _mask(self, message: FieldMask, quoted: Sequence[str]) -> None:
        known = bool(quoted) and not self._hostile(0.5) and self._chance.random() < _QUOTED_SHARE
        paths = quoted if known else PATHS
        message.paths.extend(self._chance.choices(paths, k=self._chance.choice((0, 1, 1, 2, 4))))

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
                text = self._text(field)
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
                return self._chance.choice(accepted_values(field.enum_type))
            case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
                if self._hostile():
                    return self._chance.choice(FLOATS + SPECIAL)
                return float(self._within(field, (0.0, 0.5, 1.0)))
            case FieldDescriptor.TYPE_INT32 | FieldDescriptor.TYPE_SINT32:
                return self._whole(field, -(2**31), 2**31 - 1)
            case FieldDescriptor.TYPE_UINT32:
                return self._whole(field, 0, 2**32 - 1)
            case _:
                return self._whole(field, -(2**63), 2**63 - 1)

    def _whole(self, field: FieldDescriptor, low: int, high: int) -> int:
        if self._hostile():
            return min(max(self._chance.choice(INTS), low), high)
        return int(self._within(field, (0, 1, 2, 3, 10, 50)))

    def _within(self, field: FieldDescriptor, usual: Sequence[float]) -> float:
        """Return one of the usual numbers, or the greatest, within the contract's range."""
        rules = field_rules(field)
        if rules.span is None:
            return self._chance.choice((1, 1, 2) if rules.required else usual)
        least, most = rules.span
        if self._chance.random() < _FULL:
            return most
        fit = [each for each in usual if least <= each <= most or (rules.default and not each)]
        return self._chance.choice([*fit, least])

    def _text(self, field: FieldDescriptor) -> str:
        name, message = field.name, field.containing_type.name
        pool = _pool(name, message)
        if self._hostile():
            return self._nasty(pool)
        makes = name == "event_id" or (message, name) == ("Product", "product_id")
        if makes and self._chance.random() < 0.6:
            return self.fresh("x")
        known = self._named.get(pool) or self._pools.get(pool)
        if name == "import_id":
            return self._import(known, opens=message == "OpenImportRequest")
        if (quoted := field_rules(field).words) and self._chance.random() < _QUOTED_SHARE:
            return self._chance.choice(quoted)
        words = WORDS.get(f"{message}.{name}", WORDS.get(name))
        if known and (words is None or self._chance.random() < 0.7):
            return self._chance.choice(known)
        return self._chance.choice(words or ("one", "two", "three"))

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
    if name == "version":
        return "space_version" if "Space" in message else "reference_version"
    if name == "image_id" and "Alert" in message:
        return "alert_image_id"
    return POOLS.get(name, name)


def _clear_shared(message: RecommendShelvesRequest, query: Message) -> None:
    """Clear the fields of a shelf's query that the request has for all shelves, and of pages."""
    shared = {*(field.name for field in message.DESCRIPTOR.fields), *_NOT_OF_SHELVES}
    for field in query.DESCRIPTOR.fields:
        if field.name in shared:
            query.ClearField(field.name)


def _nest(depth: int) -> bytes:
    """Return a filter (field 3, 4 or 8 of the requests that have one) of nested conjunctions."""
    inner = b""
    for _ in range(depth):
        inner = framed(1, framed(1, inner))
    return b"".join(framed(number, inner) for number in (3, 4, 8))

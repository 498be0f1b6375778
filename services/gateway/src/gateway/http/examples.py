"""Examples of requests and answers for the description.

Requests are those that the pages show (`requests.json`, made by docs/requests.py); other messages
are made from the descriptors and the comments of their fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any, Final

import orjson
from google.protobuf.descriptor import FieldDescriptor

from gateway.http.contract import PublicMethod
from gateway.http.example_values import KNOWN, MEMBERS, TEXTS
from gateway.http.mapping import kinds
from gateway.http.schemas import EXAMPLE, Schemas

DEEPEST: Final = 3
"""Messages inside one another, in an answer."""
LEFT_OUT: Final = frozenset(("google.rpc.Status", kinds.ANY, "sightline.common.v1.Degradation"))
"""Messages about failures, which an example of a success has not."""
_WORD = re.compile(r'["`]([a-z][\w./-]*)["`]')


@cache
def shown() -> Mapping[str, Any]:
    """Return the requests of the pages by the names of their calls."""
    found: Mapping[str, Any] = orjson.loads(
        files(__package__).joinpath("requests.json").read_bytes()
    )
    return found


class Examples:
    """Makes messages in JSON."""

    def __init__(
        self, comments: Mapping[str, str], schemas: Schemas, shown: Mapping[str, Any]
    ) -> None:
        """`comments`: by full name of what they describe. `shown`: requests by call."""
        self._comments, self._schemas, self._shown = comments, schemas, shown

    def request(self, method: PublicMethod) -> dict[str, Any]:
        """Return a request of a call, with the fields that its address holds."""
        if (found := self._shown.get(method.name)) is not None:
            return dict(found)
        made = self._needed(method.descriptor.input_type)
        return made | dict(MEMBERS.get(method.descriptor.name, {}))

    def _needed(self, descriptor: Any) -> dict[str, Any]:
        """Return a message of the fields that are required or in an address."""
        return {
            field.json_name: self._value(field, self._inner)
            for field in self._fields(descriptor)
            if self._schemas.needs(field)
        }

    def _inner(self, descriptor: Any) -> dict[str, Any]:
        """Return a message inside a request: if it needs no field, with its first plain one."""
        plain = (field for field in self._fields(descriptor) if field.message_type is None)
        return self._needed(descriptor) or {
            field.json_name: self._value(field, self._inner) for field in islice(plain, 1)
        }

    def answer(self, descriptor: Any, depth: int = DEEPEST) -> dict[str, Any]:
        """Return a message of all fields, with one entry in each list.

        Messages deeper than `depth` are there only where they are required.
        """

        def inner(message: Any) -> dict[str, Any]:
            return self.answer(message, depth - 1)

        def shown(field: Any) -> bool:
            plain = field.message_type is None or field.message_type.full_name in KNOWN
            return depth > 1 or plain or self._schemas.requires(field)

        fields = filter(shown, self._fields(descriptor))
        made = {field.json_name: self._value(field, inner) for field in fields}
        return {name: [] for name in kinds.lists(descriptor) if name not in made} | made

    def _fields(self, descriptor: Any) -> Iterator[Any]:
        """Yield the fields of an example: of a oneof, the first."""
        for field in descriptor.fields:
            oneof = field.containing_oneof
            kind = field.message_type
            if (
                field.type != FieldDescriptor.TYPE_BYTES
                and not (kind is not None and kind.full_name in LEFT_OUT)
                and (oneof is None or oneof.fields[0] is field)
            ):
                yield field

    def _value(self, field: Any, inner: Any) -> Any:
        single = self._single(field, inner)
        return [single] if field.is_repeated else single

    def _single(self, field: Any, inner: Any) -> Any:
        if (kind := field.message_type) is not None:
            return KNOWN[kind.full_name] if kind.full_name in KNOWN else inner(kind)
        if field.enum_type is not None:
            values = field.enum_type.values
            return values[min(1, len(values) - 1)].name
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._text(field)
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return True
        return self._number(field)

    def _text(self, field: Any) -> str:
        comment = self._comments.get(field.full_name, "")
        if found := EXAMPLE.search(comment):
            return found[1] or found[2]
        if text := _named(field.name):
            return text
        word = _WORD.search(comment)
        return word[1] if word else field.name.replace("_", "-")

    def _number(self, field: Any) -> Any:
        if field.cpp_type in kinds.LONG:
            return "1"
        schema = self._schemas.field(field)
        least, most = schema.get("minimum", 0), schema.get("maximum", 1)
        if schema.get("type") == "number":
            return round((least + min(most, least + 1)) / 2, 3)
        return max(least, min(most, 1))


def _named(name: str) -> str:
    """Return the text for a name, or for its end: `other_product_ids` is `product_id`."""
    while name:
        if found := TEXTS.get(name) or TEXTS.get(name.removesuffix("s")):
            return found
        name = name.partition("_")[2]
    return ""

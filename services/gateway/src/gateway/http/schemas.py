"""JSON Schema of messages, from descriptors, options and comments."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from gateway.http.mapping import kinds
from sightline.common.v1 import limits_pb2

ITEMS = 5_000
"""Maximum length of a list whose proto declares none (servicekit.admission.entry_limits)."""
Schema = dict[str, Any]

RANGE = re.compile(r"(?<![\w.−-])(\d[\d,.]*) to (\d[\d,]*)(?=[.;,)]? |[.;]?$)(?! (?:of|×))")
"""The range of a number, in a comment."""
_LONGEST = re.compile(r"(?:[Uu]p to|at most|to) (\d[\d,]*) (?:characters|bytes)")
EXAMPLE = re.compile(r'e\.g\. "([^"]+)"|[Dd]efault: "([^"]+)"')
_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string", "examples": ["title,price"]},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "additionalProperties": True,
    },
}


class Schemas:
    """The schemas of the types that a description refers to."""

    def __init__(self, comments: Mapping[str, str], elsewhere: Collection[str] = ()) -> None:
        """`comments`: by full name of what they describe. `elsewhere`: full names of fields that a
        request may have outside its body, in its path."""
        self._comments, self._elsewhere = comments, elsewhere
        self.made: dict[str, Schema] = {}

    def ref(self, descriptor: Any) -> Schema:
        """Return a reference to the schema of a message or enum, which is made if it is not."""
        name = descriptor.full_name.removeprefix("sightline.")
        if descriptor.full_name in _KNOWN:
            return dict(_KNOWN[descriptor.full_name])
        if name not in self.made:
            self.made[name] = {}  # types may contain themselves
            is_enum = hasattr(descriptor, "values_by_name")
            made = self._enum(descriptor) if is_enum else self._message(descriptor)
            self.made[name] = made
        return {"$ref": f"#/components/schemas/{name}"}

    def described(self, descriptor: Any) -> Schema:
        """Return the comment of a field, message, enum or method as a member."""
        text = self._comments.get(descriptor.full_name, "")
        return {"description": text} if text else {}

    def field(self, field: Any) -> Schema:
        """Return the schema of a field."""
        described = self.described(field)
        text = described.get("description", "")
        if field.is_repeated:
            most = field.GetOptions().Extensions[limits_pb2.max_items] or ITEMS
            return {"type": "array", "items": self._single(field), "maxItems": most} | described
        return self._single(field) | _limits(field, text) | described

    def _single(self, field: Any) -> Schema:
        if field.message_type is not None or field.enum_type is not None:
            return self.ref(field.message_type or field.enum_type)
        return dict(_SCALARS[field.type])

    def _message(self, descriptor: Any) -> Schema:
        schema: Schema = {"type": "object"} | self.described(descriptor)
        schema["properties"] = {each.json_name: self.field(each) for each in descriptor.fields}
        if descriptor.full_name == kinds.MONEY:
            schema["properties"]["amount"] = dict(_AMOUNT)
        required = [each.json_name for each in descriptor.fields if self.requires(each)]
        if required := [*required, *kinds.lists(descriptor)]:
            schema["required"] = required
        schema["additionalProperties"] = False
        choices = [_choice(oneof) for oneof in descriptor.oneofs if len(oneof.fields) > 1]
        if len(choices) == 1:
            schema |= choices[0]
        elif choices:
            schema["allOf"] = choices
        return schema

    def needs_fields(self, descriptor: Any) -> bool:
        """Return whether a message has fields that are always required."""
        return any(map(self.requires, descriptor.fields))

    def needs(self, field: Any) -> bool:
        """Return whether a request has to have a field, in its body or in its address."""
        message = field.message_type
        inside = message.fields if message is not None and not field.is_repeated else ()
        addressed = any(each.full_name in self._elsewhere for each in (field, *inside))
        return addressed or self.requires(field)

    def requires(self, field: Any) -> bool:
        """Return whether a field's comment requires it, always and in JSON: photos may be parts of
        a form."""
        text = self._comments.get(field.full_name, "")
        always = " Required." in text and not text.startswith("For ")
        given = field.full_name in self._elsewhere or field.type == FieldDescriptor.TYPE_BYTES
        return always and not given

    def _enum(self, descriptor: Any) -> Schema:
        names = [value.name for value in descriptor.values]
        text = self._comments.get(descriptor.full_name, "")
        lines = [
            f"`{value.name}`: {self._comments.get(self._value_name(descriptor, value), '')}"
            for value in descriptor.values
        ]
        return {"type": "string", "enum": names, "description": "\n".join([text, *lines])}

    @staticmethod
    def _value_name(descriptor: Any, value: Any) -> str:
        return f"{descriptor.full_name}.{value.name}"


def _choice(oneof: Any) -> Schema:
    """Return that at most one of some members is there."""
    required = [{"required": [field.json_name]} for field in oneof.fields]
    return {"oneOf": [*required, {"not": {"anyOf": required}}]}


def _limits(field: Any, text: str) -> Schema:
    """Return the limits and the example that the comment of a field names."""
    found: Schema = {}
    if field.type == FieldDescriptor.TYPE_STRING:
        if (longest := _LONGEST.search(text)) and "in lines of" not in text:
            found["maxLength"] = _number(longest[1])
        if example := EXAMPLE.search(text):
            found["examples"] = [example[1] or example[2]]
    elif field.cpp_type in _NUMBERS and "−" not in text and (given := RANGE.search(text)):
        least, most = float(given[1].replace(",", "").rstrip(".")), _number(given[2])
        # 0 is what an unset field has: the default.
        found = {"minimum": min(0, least) if "efault" in text else least, "maximum": most}
        found = {key: int(value) if value == int(value) else value for key, value in found.items()}
    return found


def _number(text: str) -> int:
    return int(text.replace(",", ""))


_NUMBERS = frozenset(
    (
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_FLOAT,
        FieldDescriptor.CPPTYPE_DOUBLE,
    )
)
_INT32 = {"type": "integer", "format": "int32"}
_UINT32 = {"type": "integer", "format": "uint32", "minimum": 0}
_INT64 = {"type": "string", "format": "int64", "pattern": r"^-?\d{1,19}$"}
_UINT64 = {"type": "string", "format": "uint64", "pattern": r"^\d{1,20}$"}
_AMOUNT: Schema = {
    "type": "string",
    "pattern": r"^-?\d{1,18}([.]\d{1,9})?$",
    "examples": ["0.79"],
    "description": "The amount as decimal text. In requests, instead of `units` and `nanos`, or"
    " equal to them; in answers, beside them.",
}
_SCALARS: Mapping[int, Schema] = {
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_SINT32: _INT32,
    FieldDescriptor.TYPE_SFIXED32: _INT32,
    FieldDescriptor.TYPE_UINT32: _UINT32,
    FieldDescriptor.TYPE_FIXED32: _UINT32,
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_SINT64: _INT64,
    FieldDescriptor.TYPE_SFIXED64: _INT64,
    FieldDescriptor.TYPE_UINT64: _UINT64,
    FieldDescriptor.TYPE_FIXED64: _UINT64,
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "format": "byte", "contentEncoding": "base64"},
}

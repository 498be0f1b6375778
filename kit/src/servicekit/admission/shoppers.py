"""Check the shoppers that a request names, for callers that may name one shopper or none.

The fields are found by their type, `sightline.common.v1.Shopper`, wherever a request has them.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from servicekit.admission.access import ShopperForbidden

SHOPPER = "sightline.common.v1.Shopper"
PROOF = "visitor_proof"
"""Field of a request that proves that its visitor id was given to the caller."""


def check(request: Any, user_id: str) -> None:
    """Raise ShopperForbidden when a request names another shopper than this user.

    `user_id`: empty = no shopper is permitted. A visitor is permitted beside a proof, which the
    service verifies, if a user is.
    """
    for path, shopper in _named(request, ""):
        proven = bool(user_id and shopper.visitor_id and getattr(request, PROOF, ""))
        if not proven and not (user_id and shopper.user_id == user_id):
            raise ShopperForbidden(path)


def _named(message: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each shopper in a message, with the path of its field."""
    for field in _holding(message.DESCRIPTOR):
        value = getattr(message, field.name)
        if field.is_repeated:
            entries = [(f"{path}{field.name}[{index}]", each) for index, each in enumerate(value)]
        else:
            entries = [(f"{path}{field.name}", value)] if message.HasField(field.name) else []
        for place, entry in entries:
            if entry.DESCRIPTOR.full_name == SHOPPER:
                yield place, entry
            else:
                yield from _named(entry, f"{place}.")


@cache
def _holding(kind: Descriptor) -> tuple[FieldDescriptor, ...]:
    """Return the fields of a message that are shoppers, or messages with such fields."""
    return tuple(field for field in kind.fields if _holds(field.message_type, frozenset()))


def _holds(kind: Descriptor | None, above: frozenset[str]) -> bool:
    if kind is None or kind.full_name in above:
        return False
    within = above | {kind.full_name}
    return kind.full_name == SHOPPER or any(
        _holds(each.message_type, within) for each in kind.fields
    )

"""Names of collections. Each ends with the shape of its columns."""

import re
import secrets

from sightline_rules.fields import FIELDS

SHAPE = max(3, *(field.shape for field in FIELDS))
"""Number of the columns of a collection and of what they hold; 2 added attributes, 3 slices, later
ones fields (sightline_rules.fields). A collection's name ends with it, so that the worker builds a
new one when it changes."""
_SHAPED = re.compile(r"(?P<base>.*)_s(?P<shape>[0-9]+)")


def shaped(collection: str, shape: int = SHAPE) -> str:
    """Return the name of a collection in another shape; the first shape has no number."""
    found = _SHAPED.fullmatch(collection)
    base = found["base"] if found else collection
    return base if shape == 1 else f"{base}_s{shape}"


def shape_of(collection: str) -> int:
    """Return the shape in a collection's name."""
    found = _SHAPED.fullmatch(collection)
    return int(found["shape"]) if found else 1


def in_every_shape(collection: str) -> list[str]:
    """Return the names that the collection has had, or may get now."""
    return [shaped(collection, shape) for shape in range(1, shape_of(shaped(collection)) + 1)]


def new_collection(prefix: str, space: str) -> str:
    """Return the name of a new generation's collection. It is drawn, as the engine may hold one of
    an earlier generation of the same name: of a removed catalog, or of a record that was lost."""
    return shaped(f"{prefix}_{space}_{secrets.token_hex(8)}")

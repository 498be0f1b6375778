"""Requests from a batch's lines."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import cast, get_type_hints

from sightline.filter_text import FilterSyntaxError
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.convert import requests
from sightline_client.convert.filter_text import parse_filter
from sightline_client.errors import SightlineError, invalid
from sightline_client.values.filters import Filter
from sightline_client.values.photos import MAX_BYTES, Photo, Uri
from sightline_client.values.requests import RecommendOptions

_HINTS = get_type_hints(RecommendOptions)
_READ_HERE = frozenset({"image", "images", "products", "filter", "page_size", "timeout"})
"""Options whose keys in a line have another name or content."""


def request(
    line: Mapping[str, object], folder: Path, *, catalog: str, top: int, currency: str
) -> rec.RecommendRequest:
    """Return the request of one line. SightlineError names the key that is wrong.

    Photos are paths, relative to ``folder``; ``top`` and ``currency`` are for lines without them.
    """
    for key in line:
        if key not in KEYS:
            raise _bad(key, f"is not a key of a request; the keys are {', '.join(KEYS)}")
    photos: list[Photo] = [
        _photo(folder, name) for name in _texts(line, "image") + _texts(line, "images")
    ]
    plain = {name: read(line, name) for name, read in _PLAIN.items() if name in line}
    asked = cast("RecommendOptions", plain)
    asked["images"] = [*photos, *map(Uri, _texts(line, "image_uri"))]
    asked["products"] = _texts(line, "product") + _texts(line, "products")
    asked["filter"] = _filter(line, currency)
    asked["page_size"] = _top(line, top)
    return requests.recommend(catalog=catalog, **asked)


def _filter(line: Mapping[str, object], currency: str) -> Filter | None:
    if "filter" not in line:
        return None
    try:
        return parse_filter(_text(line, "filter"), currency=currency)
    except FilterSyntaxError as error:
        raise _bad("filter", str(error)) from None


def _photo(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if not path.is_file():
            raise _bad("image", f"{name!r} is not a file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _bad("image", f"{name!r} can't be read: {error}") from None
    if len(content) > MAX_BYTES:
        raise _bad("image", f"{name!r} is over 10 MiB")
    return content


def _text(line: Mapping[str, object], key: str) -> str:
    value = line.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _bad(key, "is not a text")
    return _utf8(key, value)


def _texts(line: Mapping[str, object], key: str) -> list[str]:
    value = line.get(key)
    if value is None:
        return []
    found = value if isinstance(value, list) else [value]
    texts = [item for item in found if isinstance(item, str)]
    if len(texts) < len(found):
        raise _bad(key, "is neither a text nor a list of texts")
    return [_utf8(key, text) for text in texts]


def _candidates(line: Mapping[str, object], key: str) -> Mapping[str, float | None] | list[str]:
    value = line[key]
    if not isinstance(value, dict):
        return _texts(line, key)
    return {_utf8(key, each): _score(key, score) for each, score in value.items()}


def _score(key: str, value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | None):
        raise _bad(key, "holds a score that is neither a number nor null")
    return None if value is None else float(value)


def _utf8(key: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _bad(key, "holds an unpaired surrogate") from None
    return value


def _top(line: Mapping[str, object], default: int) -> int:
    value = line.get("top", default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 200:
        raise _bad("top", "is not a whole number from 1 to 200")
    return value


def _fraction(line: Mapping[str, object], key: str) -> float:
    value = line[key]
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= 1:
        raise _bad(key, "is not a number from 0 to 1")
    return float(value)


def _flag(line: Mapping[str, object], key: str) -> bool:
    value = line[key]
    if not isinstance(value, bool):
        raise _bad(key, "is neither true nor false")
    return value


def _bad(key: str, description: str) -> SightlineError:
    return invalid(key, description, reason="LINE_INVALID")


_READERS: Mapping[object, Callable[[Mapping[str, object], str], object]] = {
    str: _text,
    str | None: lambda line, key: _text(line, key) or None,
    str | Iterable[str]: _texts,
    Mapping[str, float | None] | Iterable[str]: _candidates,
    float: _fraction,
    bool: _flag,
}
"""Parsers by the option's type."""

_PLAIN = {
    name: _READERS[hint]
    for name, hint in _HINTS.items()
    if hint in _READERS and name not in _READ_HERE
}
"""Options with keys of the same name, and their parsers."""

KEYS = (
    *("id", "image", "images", "image_uri", "product", "products", "filter", "top"),
    *_PLAIN,
)
"""Keys of a line."""

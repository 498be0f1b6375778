"""Requests from a batch's lines."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.convert import requests
from sightline_client.convert.filter_text import FilterSyntaxError, parse_filter
from sightline_client.errors import SightlineError, invalid
from sightline_client.values.photos import MAX_BYTES, Uri

KEYS = (
    *("id", "image", "images", "image_uri", "product", "products", "text", "user", "visitor"),
    *(
        "session",
        "filter",
        "top",
        "scene",
        "language",
        "exclude",
        "min_quality",
        "anchors",
        "followed",
    ),
)


def request(
    line: Mapping[str, object], folder: Path, *, catalog: str, top: int, currency: str
) -> rec.RecommendRequest:
    """The request of one line; SightlineError names the key that is wrong. Photos are paths, from
    ``folder`` on when they are relative."""
    for key in line:
        if key not in KEYS:
            raise _bad(key, f"is no key of a request: there are {', '.join(KEYS)}")
    photos: list[bytes | Uri] = [
        _photo(folder, name) for name in _texts(line, "image") + _texts(line, "images")
    ]
    photos += [Uri(uri) for uri in _texts(line, "image_uri")]
    try:
        condition = (
            parse_filter(_text(line, "filter"), currency=currency) if "filter" in line else None
        )
    except FilterSyntaxError as error:
        raise _bad("filter", str(error)) from None
    return requests.recommend(
        catalog=catalog,
        images=photos,
        products=_texts(line, "product") + _texts(line, "products"),
        text=_text(line, "text") or None,
        user=_text(line, "user") or None,
        visitor=_text(line, "visitor") or None,
        session=_text(line, "session"),
        filter=condition,
        page_size=_top(line, top),
        scene=_text(line, "scene"),
        language=_text(line, "language"),
        exclude=_texts(line, "exclude"),
        min_quality=_quality(line),
        anchors=_texts(line, "anchors"),
        followed=_texts(line, "followed"),
    )


def _photo(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if not path.is_file():
            raise _bad("image", f"{name!r} is no file")
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
        raise _bad(key, "is no text")
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


def _utf8(key: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _bad(key, "holds half a character") from None
    return value


def _top(line: Mapping[str, object], default: int) -> int:
    value = line.get("top", default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 200:
        raise _bad("top", "is no whole number from 1 to 200")
    return value


def _quality(line: Mapping[str, object]) -> float:
    value = line.get("min_quality", 0)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= 1:
        raise _bad("min_quality", "is no number from 0 to 1")
    return float(value)


def _bad(key: str, description: str) -> SightlineError:
    return invalid(key, description, reason="LINE_INVALID")

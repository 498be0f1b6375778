"""JSON-LD and microdata of a page, by lxml: ``pip install './client[pages]'``. Its only adapter.

Microdata becomes the objects that JSON-LD would have: https://html.spec.whatwg.org/multipage/microdata.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline_client.files.model import FileRefused

_ADDRESSES: Mapping[str, str] = {
    **dict.fromkeys(("a", "area", "link"), "href"),
    **dict.fromkeys(("audio", "embed", "iframe", "img", "source", "track", "video"), "src"),
    "object": "data",
}
_VALUES: Mapping[str, str] = {
    **_ADDRESSES,
    "meta": "content",
    "data": "value",
    "meter": "value",
    "time": "datetime",
}
"""Element → the attribute that holds the value of its property."""
_MOST_PROPERTIES = 10_000
"""Maximum number of microdata properties that are read of a page."""
_DEEPEST = 16
"""Maximum depth of items within items."""


@dataclass(frozen=True, slots=True)
class PageMarkup:
    """Content of a page for programs."""

    json_ld: Sequence[str]
    """Texts of its JSON-LD scripts."""
    items: Sequence[Mapping[str, object]]
    """Its microdata items."""
    address: str = ""
    """Its canonical address. "" = it names none."""
    language: str = ""
    """BCP 47 code. "" = none."""


def read_markup(content: bytes) -> PageMarkup:
    """Parse a page. FileRefused without lxml."""
    try:
        from lxml import etree
    except ImportError as error:
        raise FileRefused(
            "reading pages needs lxml",
            "in a checkout of the repository: pip install ./protos './client[pages]'",
        ) from error
    parser = etree.HTMLParser(
        encoding=_encoding(content), no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        page = etree.fromstring(content, parser)
    except etree.ParserError:  # an empty document
        page = None
    if page is None:
        return PageMarkup((), ())
    scripts = [
        each.text or ""
        for each in page.iter("script")
        if each.get("type", "").partition(";")[0].strip().lower() == "application/ld+json"
    ]
    address = next(
        (
            link.get("href", "").strip()
            for link in page.iter("link")
            if "canonical" in link.get("rel", "").lower().split()
        ),
        "",
    )
    return PageMarkup(scripts, _Items(page).top(), address, page.get("lang", "").strip())


def _encoding(content: bytes) -> str | None:
    """Return UTF-8 if the bytes are; None = the parser looks for a declaration."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return None
    return "utf-8"


class _Items:
    """The microdata items of one page."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._left = _MOST_PROPERTIES
        self._by_id: dict[str, Any] | None = None

    def top(self) -> list[dict[str, object]]:
        """Return the items that are no property of another."""
        found = self._page.iter()
        return [
            self._item(each, 0)
            for each in found
            if each.get("itemscope") is not None and each.get("itemprop") is None
        ]

    def _item(self, element: Any, depth: int) -> dict[str, object]:
        types = [name.rpartition("/")[2] for name in element.get("itemtype", "").split()]
        item: dict[str, object] = {"@type": types}
        if element.get("itemid"):
            item["@id"] = element.get("itemid").strip()
        values: dict[str, list[object]] = {}
        for each in self._properties(element):
            if self._left <= 0 or depth >= _DEEPEST:
                break
            self._left -= 1
            inner = each.get("itemscope") is not None
            value = self._item(each, depth + 1) if inner else _value(each)
            for name in each.get("itemprop").split():
                values.setdefault(name, []).append(value)
        item |= {name: each[0] if len(each) == 1 else each for name, each in values.items()}
        return item

    def _properties(self, element: Any) -> Iterator[Any]:
        """Yield the elements that are properties of an item, and not of one within it."""
        seen = {element}
        referred = [self._named(name) for name in element.get("itemref", "").split()]
        pending = [*reversed([each for each in referred if each is not None])]
        pending += reversed(element)
        while pending:
            each = pending.pop()
            if each in seen:
                continue
            seen.add(each)
            if each.get("itemprop") is not None:
                yield each
            if each.get("itemscope") is None:
                pending += reversed(each)

    def _named(self, name: str) -> Any:
        if self._by_id is None:
            self._by_id = {}
            for each in self._page.iter():
                if each.get("id"):
                    self._by_id.setdefault(each.get("id"), each)
        return self._by_id.get(name)


def _value(element: Any) -> str:
    attribute = _VALUES.get(element.tag)
    given = element.get(attribute) if attribute else element.get("content")
    if given is not None:
        return str(given).strip()
    return re.sub(r"\s+", " ", "".join(element.itertext())).strip()

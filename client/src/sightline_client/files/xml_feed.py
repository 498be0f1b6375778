"""Feeds in XML: RSS 2.0 and Atom with Google's attributes, as rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from sightline_client.files.merchant_feed import CUSTOM
from sightline_client.files.model import FileRefused, Row, bad, checked
from sightline_client.files.xml_records import XmlRecord, XmlRecords

_GOOGLE, _CUSTOM = "://base.google.com/ns/", "://base.google.com/cns/"
_PLAIN = {"summary": "description", "content": "description"}
"""Element of RSS and Atom → Google's attribute of the same meaning, where the names differ."""

_ID = re.compile(r"<g:id>([^<>\n]{1,128})</g:id>")


class XmlFeed:
    """A feed, one row an item. Values are text, or a list of an attribute that is repeated."""

    columns: tuple[str, ...] = ()

    def __init__(
        self,
        path: Path,
        *,
        encoding: str = "",
        known: Collection[str] = (),
        ignore: Collection[str] = (),
    ) -> None:
        """``known``: the attributes that are read; () = any. FileRefused for a file that is no
        feed."""
        self._known, self._ignore = known, ignore
        self._records = XmlRecords(path, encoding)
        self.total = self._records.total
        if self._records.root == "urlset":
            self.close()
            raise FileRefused(
                f"{path.name} is a sitemap, which names pages and no products",
                "save the pages, and name their folder with --pages",
            )

    @property
    def done(self) -> int:
        """Bytes read."""
        return self._records.done

    @property
    def records(self) -> int:
        """Items read."""
        return self._records.opened

    def rows(self) -> Iterator[Row]:
        """Yield a row for each item. FileRefused for a document type."""
        for number, record in enumerate(self._records.read(), start=1):
            yield checked(_row(number, record), self._known, self._ignore)

    def close(self) -> None:
        """Close the file."""
        self._records.close()


def _row(number: int, record: XmlRecord) -> Row:
    place = f"line {record.line}"
    if record.element is None:
        # The row has no id: the product may be another one, which a full import must not delete.
        named = _ID.search(record.text)
        item = f"item {named[1].strip()}" if named else "item"
        error = bad(item, record.problem)
        return Row(number, error=error, place=place, records=record.records)
    return Row(number, _cells(record.element), place=place)


def _cells(item: Element) -> dict[str, object]:
    """Return the attributes of an item by name; Google's replace those of RSS and Atom."""
    plain: dict[str, object] = {}
    own: dict[str, list[object]] = {}
    custom: dict[str, object] = {}
    for child in item:
        space, _, name = str(child.tag).rpartition("}")
        if _CUSTOM in space:
            custom[name] = _text(child)
        elif _GOOGLE in space:
            own.setdefault(name, []).append(_value(child))
        elif value := _text(child) or _address(child):
            plain.setdefault(_PLAIN.get(name, name), value)
    cells = plain | {name: each[0] if len(each) == 1 else each for name, each in own.items()}
    return cells | ({CUSTOM: custom} if custom else {})


def _value(element: Element) -> object:
    """Return an attribute's text, or its parts by name."""
    if len(element) == 0:
        return _text(element)
    return {str(part.tag).rpartition("}")[2]: _text(part) for part in element}


def _text(element: Element) -> str:
    return "".join(element.itertext()).strip()


def _address(element: Element) -> str:
    """Return the address of an Atom link to the product's page; "" = of something else."""
    page = element.get("rel", "alternate") == "alternate"
    return element.get("href", "").strip() if page else ""

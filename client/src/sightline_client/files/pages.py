"""Saved pages of a shop as a table: the products of schema.org that they describe."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from sightline_client.files import lines
from sightline_client.files.markup import PageMarkup, read_markup
from sightline_client.files.model import FileRefused, Row, bad
from sightline_client.files.schema_org import FOLDER, LANGUAGE, PAGE, TRAIL, products_of, trail_of
from sightline_client.files.xml_records import XmlRecords

SUFFIXES = frozenset({".html", ".htm", ".xhtml"})
LARGEST = 16 * 1024 * 1024
"""Maximum bytes of a page."""
_DEEPEST = 32
"""Maximum depth of objects and lists within JSON-LD."""


class ProductPages:
    """Saved pages, in the order of their paths or of a sitemap; a row for each product of a page.
    Links that lead outside the folder are not followed."""

    columns: tuple[str, ...] = ()

    def __init__(
        self,
        root: Path,
        page: Path | None = None,
        sitemap: Path | None = None,
        report: Callable[[int], None] | None = None,
    ) -> None:
        """Look for the pages once.

        Args:
            root: Folder of the pages.
            page: The only page to read; None = all of the folder.
            sitemap: Names the pages to read; None = all.
            report: Is called with the number of pages found so far.
        """
        self._root, self._single = root.resolve(), page is not None
        self.done = self.records = 0
        self.without = 0
        """Number of pages read that describe no product."""
        self._pages: list[tuple[str, str]] = []
        """Path within the folder, and address; the path of a page that was not found is empty."""
        digest = hashlib.sha256()
        for name, address in self._named(page, sitemap):
            self._pages.append((name, address))
            if name:
                facts = (self._root / name).stat()
                line = b"%s\0%d\0%d\0" % (os.fsencode(name), facts.st_size, facts.st_mtime_ns)
                digest.update(line)
            if report is not None:
                report(len(self._pages))
        self.total = len(self._pages)
        self.fingerprint = digest.hexdigest()[:32]
        """Hash of all names, sizes and times, 32 hexadecimal digits."""

    def rows(self) -> Iterator[Row]:
        """Yield the products of all pages, numbered through. FileRefused without lxml."""
        number = self.without = self.done = self.records = 0
        for name, address in self._pages:
            self.done += 1
            found = list(self._rows(name, address))
            self.without += not found
            self.records += len(found)
            for cells, error in found:
                number += 1
                wrong = None if error is None else bad("page", error)
                yield Row(number, cells, wrong, place=_printable(name or address))

    def close(self) -> None:
        """Do nothing: no file is open."""

    def _named(self, page: Path | None, sitemap: Path | None) -> Iterator[tuple[str, str]]:
        """Yield the paths and addresses of the pages to read."""
        if page is not None:
            yield page.resolve().relative_to(self._root).as_posix(), ""
            return
        if sitemap is None:
            for path in self._below(self._root):
                yield path.relative_to(self._root).as_posix(), ""
            return
        for address in _addresses(sitemap):
            yield self._saved(address), address

    def _below(self, folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.is_symlink():
                yield from self._below(path)
            elif path.suffix.lower() in SUFFIXES and self._is_inside(path):
                yield path

    def _is_inside(self, path: Path) -> bool:
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError, ValueError):  # RuntimeError: circular links
            return False
        return target.is_file() and target.is_relative_to(self._root)

    def _saved(self, address: str) -> str:
        """Return the path of the page that was saved from an address; "" = there is none."""
        try:
            parts = urlsplit(address)
        except ValueError:
            return ""
        below = unquote(parts.path).strip("/")
        stem = f"{below}?{parts.query}" if parts.query else below
        for base in (f"{parts.netloc}/{stem}".rstrip("/"), stem):
            for name in (base, *(f"{base}{end}" for end in SUFFIXES), f"{base}/index.html"):
                if name.strip("/") and self._is_inside(self._root / name.strip("/")):
                    return PurePosixPath(name.strip("/")).as_posix()
        return ""

    def _rows(self, name: str, address: str) -> Iterator[tuple[dict[str, object], str | None]]:
        """Yield the products of a page, and what is wrong with it."""
        if not name:
            yield {}, "is not among the saved pages: save it, or take it from the sitemap"
            return
        try:
            with (self._root / name).open("rb") as file:
                content = file.read(LARGEST + 1)
        except OSError as error:
            yield {}, f"can't be read: {error.strerror or error}"
            return
        if len(content) > LARGEST:
            yield {}, f"has over {LARGEST:,} bytes: save the page without what it embeds"
            return
        page = read_markup(content)
        objects, problems = _objects(page)
        products = products_of(objects) or products_of(page.items)
        shared = {
            PAGE: address or (page.address if "://" in page.address else ""),
            FOLDER: PurePosixPath(name).parent.as_posix().removeprefix("."),
            LANGUAGE: page.language,
            TRAIL: trail_of([*objects, *page.items]),
        }
        for problem in problems:
            yield {}, problem
        for product in products:
            yield {**product, **shared}, None
        if self._single and not products and not problems:
            yield {}, "describes no product of schema.org, by JSON-LD or microdata"


def _objects(page: PageMarkup) -> tuple[list[object], list[str]]:
    """Parse the JSON-LD of a page. Return the objects, and the problems of scripts about
    products."""
    objects: list[object] = []
    problems: list[str] = []
    for number, text in enumerate(page.json_ld, start=1):
        try:
            value = lines.parse(_bare(text))
            if _is_deeper(value, _DEEPEST):
                raise ValueError(f"over {_DEEPEST} levels")  # noqa: TRY301
        except (ValueError, RecursionError, ArithmeticError) as error:
            if "Product" in text:
                where = f"its JSON-LD script {number} is not valid JSON"
                problems.append(f"{where}: {error}; correct the shop's template")
        else:
            objects.append(value)
    return objects, problems


def _bare(text: str) -> str:
    """Return a script's text without the comment marks that some shops put around it."""
    found = text.strip()
    for start, end in (("<!--", "-->"), ("//<![CDATA[", "//]]>"), ("/*<![CDATA[*/", "/*]]>*/")):
        found = found.removeprefix(start).removesuffix(end).strip()
    return found


def _is_deeper(value: object, most: int) -> bool:
    level: Sequence[object] = [value]
    for _ in range(most):
        level = [
            part
            for each in level
            if isinstance(each, dict | list)
            for part in (each.values() if isinstance(each, dict) else each)
        ]
    return any(isinstance(each, dict | list) for each in level)


def _addresses(sitemap: Path) -> Iterator[str]:
    """Yield the addresses that a sitemap lists. FileRefused for another file."""
    records = XmlRecords(sitemap)
    try:
        if records.root != "urlset":
            raise FileRefused(
                f"{sitemap.name} is not a sitemap", "with --pages, give a sitemap or no FILE"
            )
        for record in records.read():
            if record.element is None:
                place = f"{sitemap.name}, line {record.line}"
                raise FileRefused(f"{place}: {record.problem}", "correct the sitemap")
            for child in record.element:
                if str(child.tag).rpartition("}")[2] == "loc" and (child.text or "").strip():
                    yield (child.text or "").strip()
    finally:
        records.close()


def _printable(name: str) -> str:
    return os.fsencode(name).decode(errors="replace")

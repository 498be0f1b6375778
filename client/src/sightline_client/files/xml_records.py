"""Records of an XML file, one by one: items of a feed, addresses of a sitemap. By defusedxml.

A file is divided at the tags of its records, and each record is parsed alone. So memory holds one
record, and one that is not well-formed is rejected while the others are read. A document type is
refused: its entities could fill the memory or read other files.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn
from xml.etree.ElementTree import Element

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from sightline_client.files.model import FileRefused

GOOGLE = "http://base.google.com/ns/1.0"
"""Namespace of Google's attributes, which `g:` stands for where a feed does not declare it."""
RECORDS: Mapping[str, str] = {"rss": "item", "RDF": "item", "feed": "entry", "urlset": "url"}
"""Name of a document's first element → name of its records."""
LONGEST = 4 * 1024 * 1024
"""Maximum characters of a record. A longer one is rejected and not kept in memory."""
_CHUNK = 256 * 1024
_OVERLAP = 128
"""Characters at the end of what was read that may begin a tag: more than any mark has."""
_NAME = r"(?:[A-Za-z_][\w.-]{0,60}:)?"
_ROOT = re.compile(r"<!--|<\?|<!DOCTYPE|<([A-Za-z_][\w.:-]*)(?=[\s/>])")
_TAG = re.compile(r"""<(?:[^<>"']|"[^"<]*"|'[^'<]*')*>""")
_DECLARED = re.compile(r"""xmlns(?::([\w.-]+))?\s*=\s*("[^"<]*"|'[^'<]*')""")
_CLOSE = re.compile(">")
_ENCODING = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.-]{1,40})["']""")
_ENDS = {mark: re.compile(end) for mark, end in (("<!--", "-->"), ("<?", r"\?>"))}
_ENDS["<![CDATA["] = re.compile(r"\]\]>")
_SECTIONS = (("<!--", "-->"), ("<![CDATA[", "]]>"))
_HINT = (
    "correct it there: write & as &amp;, < as &lt;, and other characters as they are or as &#160;"
)


@dataclass(frozen=True, slots=True)
class XmlRecord:
    """One record of a file, or what is wrong with it."""

    line: int
    """Line of its first tag, from 1."""
    element: Element | None = None
    problem: str = ""
    """Problem and advice; empty if there is an element."""
    text: str = ""
    """Text of a record that is not well-formed."""
    records: int = 1
    """Number of records in the text, more than one if something in it is not closed."""


class XmlRecords:
    """A file of records, open for reading."""

    def __init__(self, path: Path, encoding: str = "") -> None:
        """Open the file. FileRefused for one that is none of these documents, or has a document
        type. `encoding`: empty = as the file declares."""
        self.total = path.stat().st_size
        self.opened = 0
        """Records whose first tag was read, and 1 for a document that is cut."""
        self._name = path.name
        self._file = path.open("rb")
        try:
            self._window = _Window(self._file, encoding, path.name)
            self.root = self._head()
        except FileRefused:
            self.close()
            raise
        name = RECORDS[self.root]
        self._first_tag = re.compile(rf"<{_NAME}{name}(?=[\s/>])")
        self._marks = re.compile(
            rf"<!--|<!\[CDATA\[|<\?|<!DOCTYPE|<(/?){_NAME}({name}|{self.root})(?=[\s/>])"
        )

    @property
    def done(self) -> int:
        """Bytes read."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self) -> Iterator[XmlRecord]:
        """Yield the records in order, once. FileRefused for a document type."""
        window, ended = self._window, False
        while (mark := window.find(self._marks)) is not None:
            yield from self._too_long()
            if mark[2] is None:
                self._skip(mark[0])
            elif mark[2] == self.root:
                ended = ended or bool(mark[1])
            elif mark[1]:
                if window.start is not None and window.find(_CLOSE) is not None:
                    yield from self._whole()
            else:
                yield from self._unclosed(window.line_of(mark.start()))
                self.opened += 1
                window.at = window.start = mark.start()
                tag = window.find(_TAG)
                if tag is None:  # the file ends within it
                    window.at += len(mark[0])
                elif tag.start() == window.start and tag[0].endswith("/>"):
                    yield from self._whole()
        yield from self._too_long()
        last = window.line_of(len(window.text))
        yield from self._unclosed(last)
        if not ended:
            self.opened += 1
            text = f"the file ends before </{self.root}>: it is cut; fetch it again"
            yield XmlRecord(last, problem=text)

    def _too_long(self) -> Iterator[XmlRecord]:
        """Yield the problem of a record that was too long to be kept."""
        line, self._window.cut = self._window.cut, 0
        if line:
            yield XmlRecord(line, problem=f"has over {LONGEST:,} characters: shorten it")

    def _unclosed(self, line: int) -> Iterator[XmlRecord]:
        """Yield the problem of a record that is still open at a line."""
        start, self._window.start = self._window.start, None
        if start is not None:
            text = f"is not closed before line {line}: {_HINT}"
            yield XmlRecord(self._window.line_of(start), problem=text)

    def _whole(self) -> Iterator[XmlRecord]:
        """Yield the record that ends here."""
        window = self._window
        start, window.start = window.start, None
        if start is None:
            return
        text = window.text[start : window.at]
        line = window.line_of(start)
        if (count := self._joined(text)) > 1:
            self.opened += count - 1
            problem = (
                f"is one of {count} up to line {window.line_of(window.at)} that a comment or a"
                " CDATA section joins: close it"
            )
            yield XmlRecord(line, problem=problem, text=text, records=count)
            return
        try:
            element = fromstring(f"<records{self._namespaces}>{text}</records>", forbid_dtd=True)
        except DefusedXmlException:
            self._refuse_type()
        except UnicodeEncodeError:
            problem = "has bytes that are not of the file's encoding: name it with --encoding"
            yield XmlRecord(line, problem=problem, text=text)
        except ParseError as error:
            at, _ = error.position
            what = f"line {line + at - 1}: {str(error).partition(': line ')[0]}"
            yield XmlRecord(line, problem=f"is not well-formed in {what}; {_HINT}", text=text)
        else:
            yield XmlRecord(line, element[0])

    def _joined(self, text: str) -> int:
        """Count the records of a text that a section joins which is not closed: it holds the first
        tag of the next record, and the mark of the section whose end closes it."""
        joined = 1
        for mark, end in _SECTIONS:
            at = text.find(mark)
            while at >= 0 and (stop := text.find(end, at + len(mark))) >= 0:
                inner = text[at + len(mark) : stop]
                if mark in inner:
                    joined += len(self._first_tag.findall(inner))
                at = text.find(mark, stop)
        return joined

    def _skip(self, mark: str) -> None:
        """Go past a comment, an instruction or a section of characters."""
        if mark == "<!DOCTYPE":
            self._refuse_type()
        self._window.find(_ENDS[mark])

    def _refuse_type(self) -> NoReturn:
        raise FileRefused(
            f"{self._name} declares a document type (<!DOCTYPE …>), which is refused: its entities"
            " could fill the memory or read other files",
            "remove the declaration; write other characters as they are or as &#160;",
        )

    def _head(self) -> str:
        """Read up to the first element; return its name, and keep its namespaces."""
        while (mark := self._window.find(_ROOT)) is not None and mark[1] is None:
            self._skip(mark[0])
        name = mark[1].rpartition(":")[2] if mark else ""
        if name not in RECORDS or mark is None:
            what = f"its first element is <{name}>" if name else "it has no element"
            fix = (
                "name one of its sitemaps"
                if name == "sitemapindex"
                else "give an RSS 2.0 or Atom feed"
            )
            raise FileRefused(f"{self._name} is not a feed: {what}", fix)
        self._window.at = mark.start()
        tag = self._window.find(_TAG)
        declared = dict(_DECLARED.findall(tag[0])) if tag is not None else {}
        names = {"g": f'"{GOOGLE}"'} | declared
        self._namespaces = "".join(
            f" xmlns{':' if prefix else ''}{prefix}={value}" for prefix, value in names.items()
        )
        return name


class _Window:
    """The part of a text in memory: from the open record, or from the place that was read."""

    def __init__(self, file: BinaryIO, encoding: str, name: str) -> None:
        head = file.read(256)
        file.seek(0)
        declared = _ENCODING.search(head)
        if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            found = "utf-16"
        else:
            found = declared[1].decode() if declared else "utf-8"
        found = encoding or found
        self._found, self._name = found, name
        if found.lower().replace("_", "-") in ("utf-8", "utf8"):
            found = "utf-8-sig"
        try:
            self._stream = io.TextIOWrapper(file, encoding=found, errors="surrogateescape")
        except LookupError:
            raise self._undecodable() from None
        self.text, self.at = "", 0
        self.start: int | None = None
        """Offset of the open record in the text; None = no record is open."""
        self.cut = 0
        """Line of a record that was too long; 0 = none was."""
        self._line = 1

    def find(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Return the next match and go behind it, reading on; None at the end of the file."""
        while (found := pattern.search(self.text, self.at)) is None:
            if pattern is not _TAG:
                self.at = max(self.at, len(self.text) - _OVERLAP)
            elif len(self.text) - self.at > LONGEST:
                return None
            if not self._more():
                return None
        self.at = found.end()
        return found

    def line_of(self, place: int) -> int:
        """Return the line of a place in the text, from 1."""
        return self._line + self.text.count("\n", 0, place)

    def _more(self) -> bool:
        try:
            chunk = self._stream.read(_CHUNK)
        except UnicodeError:
            raise self._undecodable() from None
        if self.start is not None and len(self.text) - self.start > LONGEST:
            self.cut, self.start = self.line_of(self.start), None
        keep = self.at if self.start is None else self.start
        self._line = self.line_of(keep)
        self.text = self.text[keep:] + chunk
        self.at -= keep
        self.start = None if self.start is None else 0
        return bool(chunk)

    def _undecodable(self) -> FileRefused:
        return FileRefused(
            f"{self._name} can't be read as {self._found!r}",
            "name its encoding with --encoding, such as utf-8 or cp1252",
        )

"""Texts of files: HTML is removed, entities are resolved, and characters are composed (NFC)."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from pathlib import PurePosixPath

_TAG = re.compile(r"</?[A-Za-z!][^<>]*>|&(#\d+|#x[0-9A-Fa-f]+|[A-Za-z]\w+);")
_ADDRESS = re.compile(r"[\s,;]+(?=https?://)")
_NAMES = ".jpg .jpeg .png .webp .gif .avif .heic .heif .tif .tiff .bmp"
PHOTOS = frozenset(_NAMES.split())
"""Name extensions of photos. The suite decides by the bytes, not by the name."""


def composed(text: str) -> str:
    """Return a text in Unicode's normal form C, in which services keep all texts."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def narrow(text: str) -> str:
    """Return a text with the usual forms of digits, letters and signs, such as those of wide
    ones."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def has_odd_digits(text: str) -> bool:
    """Return whether a text has raised, lowered or circled digits: normal forms make usual ones of
    them, and `5²` is not 52."""
    return not text.isascii() and any(each.isdigit() and not each.isdecimal() for each in text)


def bare(text: str) -> str:
    """Return a text in lower case and without accents, to compare words."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


def plain(text: str) -> str:
    """Remove HTML from text: drop tags and resolve entities."""
    if not _TAG.search(text):
        return text
    parser = _Text()
    parser.feed(text)
    parser.close()
    return " ".join("".join(parser.found).split())


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self._hidden += tag in ("script", "style")
        self.found.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= self._hidden > 0 and tag in ("script", "style")
        self.found.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.found.append(data)


def addresses(text: str) -> list[str]:
    """Return the addresses or names of photos in a text: with `|` between, or with commas where an
    address or the name of a photo follows. Other commas are parts of a name."""
    text = text.strip()
    if "|" in text:
        parts = text.split("|")
    elif re.match(r"https?://", text):
        parts = _ADDRESS.split(text)
    else:
        parts = text.split(",")
        if not all(_is_photo(part.strip()) for part in parts if part.strip()):
            parts = [text]
    return [address(part.strip()) for part in parts if part.strip()]


def address(text: str) -> str:
    """Return an address with its ampersands as they are; other entities of HTML have no place in
    one, and parameters may look like them."""
    return text.replace("&amp;", "&") if text.startswith(("https://", "http://")) else text


def _is_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PHOTOS or name.startswith(("https://", "http://"))

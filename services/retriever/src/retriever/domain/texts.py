"""The text of a product that is embedded for the space of texts.

It consists of sentences on what shoppers search for, most specific first, because models with a
short window read the beginning only:

    Barolo Serralunga 2016. Wine > Red > Nebbiolo. Cantina Rossi. organic, vegan. region: Piedmont

- The title, the category path, the brand, tags, then attributes, each left out where it is empty.
- Titles without meaning are left out: numbers, hashes, file names from cameras, and titles that
  repeat the product's id without a word. Keyword searches still find them.
- Tags and attributes are sorted, so that their order in the request does not matter. Numbers are
  written without trailing zeros; a true flag is written as its key, and a false one is left out.
- White space becomes one space. The text has at most MOST characters, cut between two words.
- It is in the product's own language, which models detect: the language code is not part of it. Nor
  are price, availability, photos, addresses and the description, which changes often and would
  outweigh the rest.

A product without any of these has no text, and no row in the index of texts.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator

from retriever.domain.product import Attribute, ProductContent
from sightline_rules import categories, kinds
from sightline_rules.fields import EMBEDDED, Field

MOST = 1_000
"""Maximum characters, about 250 tokens: the window of small sentence models. The embedder accepts
4,096."""

_PIECES = re.compile(r"[^\W_]+")
_CAMERA = frozenset(
    ("dcim", "dsc", "dscf", "dscn", "image", "img", "photo", "pic", "picture", "pxl", "screenshot")
)
"""Prefixes of file names that cameras and phones write."""
_HASH = re.compile(r"(?=.*\d)[0-9a-f]{16,}")
_NUMBER = re.compile(r"\d{5,}")
"""Shorter ones may be a year, or the title of a book."""
_WORD = 3
"""Minimum letters of a Latin word in a title that repeats the id."""


def parts_of(product: ProductContent, fields: Iterable[Field]) -> Iterator[tuple[Field, str]]:
    """Yield the words of some fields in order, with unchanged white space."""
    for field in fields:
        value = getattr(product, field.wire)
        match field.kind:
            case kinds.CategoryKind():
                yield field, categories.join(value)
            case kinds.TextsKind():
                yield field, ", ".join(sorted(value))
            case kinds.AttributesKind():
                yield field, ", ".join(sorted(_phrases(value)))
            case _:
                yield field, value


def text_of(product: ProductContent) -> str:
    """Return the text that is embedded, at most MOST characters; "" if the product has none."""
    telling = says_something(product.title, product.product_id)
    fields = [field for field in EMBEDDED if telling or field.name != "title"]
    parts = (" ".join(text.split()) for _, text in parts_of(product, fields))
    return _cut(". ".join(part for part in parts if part))


def says_something(title: str, product_id: str) -> bool:
    """Return whether a title names the product, not just a file or the id."""
    pieces = _PIECES.findall(title.casefold())
    joined = "".join(pieces)
    if _HASH.fullmatch(joined) or _NUMBER.fullmatch(joined):
        return False
    if any(map(str.isdigit, pieces)) and _CAMERA.intersection(pieces):
        return not all(piece.isdigit() or piece in _CAMERA for piece in pieces)
    name = product_id.casefold().rpartition("/")[2]
    ids = {"".join(_PIECES.findall(each)) for each in (name, name.rpartition(".")[0])}
    return not joined or joined not in ids or any(map(_is_word, pieces))


def _is_word(piece: str) -> bool:
    return piece.isalpha() and (len(piece) >= _WORD or not piece.isascii())


def digest_of(text: str) -> str:
    """Return the digest by which texts are compared: 32 hexadecimal digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _phrases(attributes: tuple[Attribute, ...]) -> Iterator[str]:
    for attribute in attributes:
        key, value = attribute.key.replace("_", " "), attribute.value
        if value is True:
            yield key
        elif value is not False:
            yield f"{key}: {value:.12g}" if isinstance(value, float) else f"{key}: {value}"


def _cut(text: str) -> str:
    """Return the first words, as many as fit, or the first characters of a single long word."""
    if len(text) <= MOST:
        return text
    head = text[: MOST + 1].rpartition(" ")[0] or text[:MOST]
    return head.rstrip(".,: ")

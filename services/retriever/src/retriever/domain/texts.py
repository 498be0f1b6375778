"""The text of a product, from which its vector in the space of texts is made.

Sentences of what shoppers name a product by, the most specific first, so that what a model with a
short window reads is what matters:

    Barolo Serralunga 2016. Wine > Red > Nebbiolo. Cantina Rossi. organic, vegan. region: Piedmont

- The title, the category path, the brand, tags, then attributes, each left out where it is empty.
- A title that is a number, a hash or a file's name off a camera says nothing and is left out; so is
  one that repeats the product's id and holds no word. Searches by keyword find it all the same.
- Tags and attributes stand in the order of the alphabet: to give them in another one changes
  nothing. Numbers are written without needless zeros; a true flag is its key alone, and a false
  one, like all that a product is not, is left out.
- White space is one blank. At most MOST characters, cut between two words.
- In the product's own language, which models find out by themselves: its code is no part of it, nor
  are price, availability, photos, addresses and the description, which changes often and would
  drown the rest.

A product of which all this is blank has no text, and no row in the index of texts.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator

from retriever.domain.product import Attribute, ProductContent
from sightline_rules import categories, kinds
from sightline_rules.fields import EMBEDDED, Field

MOST = 1_000
"""Characters, about 250 tokens: what small models of sentences read. The embedder takes 4,096."""

_PIECES = re.compile(r"[^\W_]+")
_CAMERA = frozenset(
    ("dcim", "dsc", "dscf", "dscn", "image", "img", "photo", "pic", "picture", "pxl", "screenshot")
)
"""Prefixes of file names that cameras and phones write."""
_HASH = re.compile(r"(?=.*\d)[0-9a-f]{16,}")
_NUMBER = re.compile(r"\d{5,}")
"""Shorter ones may be a year, or the title of a book."""
_WORD = 3
"""Letters, at least, of a Latin word in a title that repeats the id."""


def parts_of(product: ProductContent, fields: Iterable[Field]) -> Iterator[tuple[Field, str]]:
    """Yield the words of some fields in their order, with white space as it came."""
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
    """Return whether a title names the product, rather than a file or the id alone."""
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

"""The text of a product, from which its vector in the space of texts is made.

Sentences of what shoppers name a product by, the most telling first, so that what a model with a
short window reads is what matters:

    Barolo Serralunga 2016. Wine > Red > Nebbiolo. Cantina Rossi. organic, vegan. region: Piedmont

- The title, the category path, the brand, tags, then attributes, each left out where it is empty.
- Tags and attributes stand in the order of the alphabet: to give them in another one changes
  nothing. Numbers are written without needless zeros; a true flag is its key alone, and a false
  one, like all that a product is not, is left out.
- White space is one blank. At most MOST characters, cut between two words.
- In the product's own language, which models find out by themselves: its code is no part of it, nor
  are price, availability, photos, addresses and the description, which changes often and would
  drown the rest.

A product of which all this is blank has no text, and no row in the index of texts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from retriever.model import Attribute, ProductContent
from sightline_rules import categories

MOST = 1_000
"""Characters, about 250 tokens: what small models of sentences read. The embedder takes 4,096."""


class Parts(NamedTuple):
    """What shoppers name a product by, the most telling first; white space as it came."""

    title: str
    category: str
    brand: str
    tags: str
    attributes: str


def parts_of(product: ProductContent) -> Parts:
    """The parts of its text, whole."""
    return Parts(
        product.title,
        categories.join(product.category_path),
        product.brand,
        ", ".join(sorted(product.tags)),
        ", ".join(sorted(_phrases(product.attributes))),
    )


def text_of(product: ProductContent) -> str:
    """Its text, at most MOST characters; empty = it has none."""
    parts = parts_of(product)
    return _cut(". ".join(part for part in (" ".join(part.split()) for part in parts) if part))


def digest_of(text: str) -> str:
    """What stands for a text where two are compared: 32 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _phrases(attributes: tuple[Attribute, ...]) -> Iterator[str]:
    for attribute in attributes:
        key, value = attribute.key.replace("_", " "), attribute.value
        if value is True:
            yield key
        elif value is not False:
            yield f"{key}: {value:.12g}" if isinstance(value, float) else f"{key}: {value}"


def _cut(text: str) -> str:
    """Its first words, so many as fit; of a single endless one the first characters."""
    if len(text) <= MOST:
        return text
    head = text[: MOST + 1].rpartition(" ")[0] or text[:MOST]
    return head.rstrip(".,: ")

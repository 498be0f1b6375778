"""The words of products, and the products that match given words.

A product's words are written in the product's own transaction, and deleted with it. The store's own
full-text search returns products that have any of the given words, best first (SQLite: BM25 of
FTS5; PostgreSQL: ts_rank of each word × the word's rarity). Their final score is computed from
their words (domain/words.py), in the same way on both stores, and from this catalog only.

The store's index prefixes each word with the catalog's id (`_term`), so that a search reads only
the postings of its own catalog.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from retriever.domain import field_codecs
from retriever.domain.filter_parts import indexed_parts
from retriever.domain.product import Attribute, ProductContent
from retriever.domain.synonyms import Others
from retriever.domain.words import (
    FIELDS,
    MOST_COUNTED,
    MOST_FOUND,
    MOST_PRODUCTS,
    NO_OTHERS,
    Words,
    WordStatistics,
    match,
    selecting,
    words_in,
)
from retriever.record import statements
from retriever.record.columns import read_changed
from retriever.record.filter_matches import holds
from retriever.record.label_texts import read_label_words
from retriever.record.products import FACTS, passing
from retriever.record.tables import keywords, products
from servicekit.sql import conditions
from servicekit.sql.locks import inserting
from sightline_rules import categories
from sightline_rules.fields import WEIGHTS
from sightline_rules.filters import Filter

MOST_TRIED = 20_000
"""Maximum number of products, best first, that are checked against a filter."""
_STEP = 500
_FILLED = 1_000

_WORDS = tuple(keywords.c[name].label(f"words_{name}") for name in FIELDS)
_HELD = sa.select(keywords.c.product_id, *_WORDS)
_OF_CATALOG = _HELD.where(keywords.c.catalog_id == sa.bindparam("catalog_id"))
_OF_PRODUCTS = _HELD.where(conditions.among(keywords, "product_id"))
_JUDGED = (
    sa.select(keywords.c.product_id, *_WORDS, *FACTS)
    .select_from(keywords.join(products, statements.same(keywords, products)))
    .where(conditions.among(keywords, "product_id"))
)


def put_words(connection: Connection, catalog_id: str, contents: Iterable[ProductContent]) -> None:
    """Store the words of products that were just written, each product at most once."""
    rows = [
        {
            "catalog_id": catalog_id,
            "product_id": content.product_id,
            **{name: getattr(words, name) for name in FIELDS},
        }
        for content in contents
        for words in [words_in(content)]
    ]
    if not rows:
        return
    statement = inserting(connection.dialect.name, keywords)
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["catalog_id", "product_id"],
            set_={name: new[name] for name in FIELDS},
            where=sa.or_(*(keywords.c[name] != new[name] for name in FIELDS)),
        ),
        rows,
    )


def read_words(
    connection: Connection, catalog_id: str, product_ids: Sequence[str] | None
) -> list[tuple[str, Words]]:
    """Return the words of the existing ones of these products; None: of all."""
    of = {"catalog_id": catalog_id}
    if product_ids is None:
        rows: Iterable[sa.Row[Any]] = connection.execute(_OF_CATALOG, of)
    else:
        rows = conditions.look_up(connection, _OF_PRODUCTS, product_ids, of)
    labels = read_label_words(connection, catalog_id, product_ids)
    return [
        (row.product_id, _held(row)._replace(labels=labels.get(row.product_id, ""))) for row in rows
    ]


def read_words_since(
    connection: Connection, catalog_id: str, after: int
) -> list[tuple[str, Words]]:
    """Return the words of the existing products that changed after a commit."""
    return read_words(connection, catalog_id, read_changed(connection, catalog_id, after))


def _held(row: sa.Row[Any]) -> Words:
    return Words(*(getattr(row, column.name) for column in _WORDS))


def fill(connection: Connection) -> None:
    """Store the words of every product with markets, for the migration that adds the words of their
    titles.

    Reads only the columns that products had then, since later migrations may add some.
    """
    c = products.c
    place = sa.tuple_(c.catalog_id, c.product_id)
    named = [c.catalog_id, c.product_id, c.title, c.category, c.brand, c.tags, c.attributes]
    page = sa.select(*named, c.markets).where(c.markets.is_not(None))
    page = page.order_by(c.catalog_id, c.product_id).limit(_FILLED)
    rows = connection.execute(page).all()
    while rows:
        for catalog_id, some in groupby(rows, lambda row: row.catalog_id):
            put_words(connection, catalog_id, map(_content, some))
        last = rows[-1].catalog_id, rows[-1].product_id
        rows = connection.execute(page.where(place > sa.tuple_(*last))).all()


def _content(row: Any) -> ProductContent:
    """Return a row as product content, with the fields that have words."""
    return ProductContent(
        row.product_id,
        row.title,
        category_path=categories.split(row.category),
        brand=row.brand,
        tags=tuple(json.loads(row.tags)),
        attributes=tuple(Attribute(key, value) for key, value in json.loads(row.attributes)),
        markets=field_codecs.markets(row.markets),
    )


def count_words(
    connection: Connection, catalog_id: str, asked: Sequence[str], *, others: Others = NO_OTHERS
) -> WordStatistics:
    """Return the current statistics of the words of a query."""
    engine = _ENGINES[connection.dialect.name](catalog_id, others)
    mine = keywords.c.catalog_id == catalog_id
    total = statements.count(
        connection, sa.select(keywords.c.product_id).where(mine), MOST_PRODUCTS, {}
    )
    counts = {
        word: statements.count(connection, engine.having([word]), MOST_COUNTED, {})
        for word in asked
    }
    return WordStatistics(counts, total)


def find_words(
    connection: Connection,
    catalog_id: str,
    asked: Sequence[str],
    condition: Filter,
    excluded: Collection[str],
    *,
    others: Others = NO_OTHERS,
    statistics: WordStatistics | None = None,
) -> list[tuple[str, float]]:
    """Return up to 1,000 products that have any of the words and pass, each with its match (0 to
    1), best first, equal ones by id. `others`: terms that count as words. `statistics`: None: the
    current ones."""
    engine = _ENGINES[connection.dialect.name](catalog_id, others)
    known = statistics or count_words(connection, catalog_id, asked, others=others)
    chosen, every = selecting(known.counts)
    if not chosen:
        return []
    rarities = known.rarities
    query = engine.having(chosen, every=every)
    likelihood = engine.likelihood({word: rarities[word] for word in chosen})
    named = _likeliest(connection, query, likelihood, condition)
    found: dict[str, float] = {}
    for start in range(0, len(named), _STEP):
        some = [name for name in named[start : start + _STEP] if name not in excluded]
        rows = conditions.look_up(connection, _JUDGED, some, {"catalog_id": catalog_id})
        for row in passing(rows, condition):
            found[row.product_id] = match(rarities, _held(row), others)
        if len(found) >= MOST_FOUND:
            break
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:MOST_FOUND]


def _likeliest(
    connection: Connection,
    query: sa.Select[Any],
    likelihood: sa.ColumnElement[float],
    condition: Filter,
) -> Sequence[str]:
    """Return the best products for a query, filtered by the conditions that an SQL index
    supports."""
    for part in indexed_parts(condition):
        query = query.where(sa.exists().where(statements.same(keywords, products), holds(part)))
    query = query.order_by(likelihood.desc(), keywords.c.product_id).limit(MOST_TRIED)
    return connection.execute(query).scalars().all()


def _term(catalog_id: str, word: str) -> str:
    """Return a word as stored in the index: catalog id, middle dot, word. No word contains the
    dot."""
    return f"{catalog_id}·{word}"


@dataclass(frozen=True, slots=True)
class _SQLite:
    """Full-text search of one catalog with FTS5 of SQLite."""

    catalog_id: str
    others: Others = field(default_factory=dict)

    def having(self, words: Sequence[str], *, every: bool = False) -> sa.Select[Any]:
        """Return a statement for the catalog's products that have any of the words, or all of
        them. A term that a word also means counts as the word."""
        # Words hold only letters, digits and marks, so they need no escaping.
        terms = [_meaning(self, word, '"', " AND ", " OR ") for word in words]
        index = sa.table("keywords_index", sa.column("rowid"))
        # The plus sign disables the index on the catalog, so that SQLite starts from the words.
        mine: sa.ColumnElement[str] = sa.literal_column("+keywords.catalog_id", sa.Text)
        return (
            sa.select(keywords.c.product_id)
            .select_from(index.join(keywords, keywords.c.number == index.c.rowid))
            .where(
                sa.text("keywords_index MATCH :words").bindparams(
                    words=(" AND " if every else " OR ").join(terms)
                ),
                mine == self.catalog_id,
            )
        )

    def likelihood(self, rarities: Mapping[str, float]) -> sa.ColumnElement[float]:  # noqa: ARG002
        """Return the SQL expression of a score that approximates `match`."""
        return -sa.literal_column(f"bm25(keywords_index, {_BY_COLUMN})", sa.Float)


@dataclass(frozen=True, slots=True)
class _PostgreSQL:
    """Full-text search of one catalog with tsvector of PostgreSQL, whose ranks ignore the rarity of
    words."""

    catalog_id: str
    others: Others = field(default_factory=dict)

    def having(self, words: Sequence[str], *, every: bool = False) -> sa.Select[Any]:
        found = self._query(words, " & " if every else " | ")
        return sa.select(keywords.c.product_id).where(
            keywords.c.catalog_id == self.catalog_id, _TERMS.op("@@")(found)
        )

    def likelihood(self, rarities: Mapping[str, float]) -> sa.ColumnElement[float]:
        weights: sa.ColumnElement[Any] = sa.literal_column(f"'{{0, {_BY_LABEL}}}'::real[]")
        ranks = [
            rare * sa.func.ts_rank(weights, _TERMS, self._query([word]), 1, type_=sa.Float)
            for word, rare in rarities.items()
        ]
        return sum(ranks[1:], start=ranks[0])

    def _query(self, words: Sequence[str], between: str = "") -> sa.ColumnElement[Any]:
        # Words and catalog ids contain no quotes and no backslashes.
        terms = [_meaning(self, word, "'", " & ", " | ") for word in words]
        return sa.cast(between.join(terms), postgresql.TSQUERY)


def _meaning(search: _SQLite | _PostgreSQL, word: str, quote: str, both: str, either: str) -> str:
    """Return what an engine searches for a word: its term, or one of those that mean the same."""
    meant = [
        both.join(f"{quote}{_term(search.catalog_id, each)}{quote}" for each in term)
        for term in ((word,), *search.others.get(word, ()))
    ]
    if word not in search.others:
        return meant[0]
    joined = f"){either}(".join(meant)
    return f"(({joined}))"


_TERMS: sa.ColumnElement[Any] = sa.literal_column("keywords.terms")

_BY_COLUMN = ", ".join(map(str, WEIGHTS.values()))
_BY_LABEL = ", ".join(f"{each / max(WEIGHTS.values()):g}" for each in [*WEIGHTS.values()][::-1])
"""Weights of PostgreSQL's labels C, B and A, scaled to a maximum of 1."""

_ENGINES: Mapping[str, type[_SQLite | _PostgreSQL]] = {
    "sqlite": _SQLite,
    "postgresql": _PostgreSQL,
}

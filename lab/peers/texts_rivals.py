"""The systems that `texts` compares."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from bench.peers.sentences import SentenceModel
from gateway.ranking.fuse import fuse
from retriever.domain.index_values import Collapse
from retriever.domain.product import ProductContent
from retriever.domain.texts import parts_of, text_of
from retriever.record import Record
from retriever.search import keywords
from sightline_core.branch import Branch
from sightline_core.candidates import CandidateList
from sightline_core.columns import ProductColumns
from sightline_rules.fields import EMBEDDED
from sightline_rules.words import words_of

LISTED = 100
"""Number of products of each list, as in the default scene."""
Scored: TypeAlias = list[tuple[str, float]]
"""Products with their scores, best first."""


class Rival:
    """SQLite's BM25 with its own tokenizer (unicode61, accents removed); any word may match."""

    def __init__(self, products: Iterable[ProductContent], *, titles: bool) -> None:
        self._store = sqlite3.connect(":memory:")
        self._store.execute(
            "CREATE VIRTUAL TABLE shop USING"
            " fts5(id UNINDEXED, text, tokenize='unicode61 remove_diacritics 2')"
        )
        self._store.executemany(
            "INSERT INTO shop VALUES (?, ?)",
            [
                (
                    it.product_id,
                    it.title if titles else " ".join(text for _, text in parts_of(it, EMBEDDED)),
                )
                for it in products
            ],
        )

    def answer(self, text: str) -> list[str]:
        """Return the best matching products."""
        words = " OR ".join(f'"{word}"' for word in dict.fromkeys(words_of(text)))
        rows = self._store.execute(
            "SELECT id FROM shop WHERE shop MATCH ? ORDER BY rank, id LIMIT ?", (words, LISTED)
        )
        return [product_id for (product_id,) in rows]


class Meanings:
    """The space of texts, compared exactly."""

    def __init__(self, products: Sequence[ProductContent], model: SentenceModel) -> None:
        self._model = model
        self._ids = [it.product_id for it in products]
        self._vectors = model.vectors([text_of(it) for it in products])

    def near(self, text: str, language: str = "") -> Scored:
        """Return the products nearest to a query in this language; empty: unknown."""
        cosines = self._vectors @ self._model.query(text, language)
        order = np.argsort(-cosines, kind="stable")[:LISTED]
        return [(self._ids[place], float(cosines[place])) for place in order]


async def by_words(record: Record, text: str) -> Scored:
    query = keywords.KeywordQuery("default", text, top_k=LISTED, collapse=Collapse.OFF)
    answer = await keywords.search(query, record)
    found = answer.candidates
    return list(zip(found.product_ids, found.similarities, strict=True))


def fused_lists(lists: Mapping[Branch, Scored], weights: Mapping[Any, float]) -> list[str]:
    """Fuse the lists into one as the gateway does."""
    listings = [
        CandidateList(
            branch,
            1.0,
            ProductColumns([product_id for product_id, _ in scored]),
            [score for _, score in scored],
            signal=0,
        )
        for branch, scored in lists.items()
        if scored
    ]
    fused = fuse(listings, (), LISTED, weights)
    return [fused.columns.product_ids[place] for place in fused.order]


def summed_lists(lists: Mapping[Branch, Scored], weights: Mapping[Any, float]) -> list[str]:
    """Sum the lists' scores as the ranker does for an unknown shopper."""
    scores: dict[str, float] = {}
    for branch, scored in lists.items():
        for product_id, score in scored:
            scores[product_id] = scores.get(product_id, 0.0) + weights[branch] * score
    return sorted(scores, key=lambda product_id: (-scores[product_id], product_id))


FORMS: Mapping[str, Callable[[Mapping[Branch, Scored], Mapping[Any, float]], list[str]]] = {
    "fused by places": fused_lists,
    "summed": summed_lists,
}


def named_lists(form: str, share: float) -> str:
    return f"{form}, words × {share:g}"

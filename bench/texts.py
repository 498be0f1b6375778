"""Whether texts find products: by words, by meaning and by both, against BM25 on titles.

By the product's own code: the record's search by words (retriever), the text model's graph and
tokens (embedder, deploy/triton), and the fusion of lists (gateway). The rivals are SQLite's own
BM25 on titles and on everything that is said of a product. Queries are of three kinds: what
shoppers may type, of bench/asked.py; GroceryStoreDataset's descriptions, which no product's text
holds, as they are and without the words of the title; and names of its classes in several
languages. Every figure is a mean over queries with its 95% interval (bootstrap); differences are
paired by query.
"""

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bench import asked, featured, groceries, grocery, sentences, statistics
from bench.asked import LANGUAGES, Question
from bench.model import Goal, Interval, Result, Table
from bench.sentences import Floats, Sentences
from embedder.domain.fitted import CATALOGUE, Labelled, TextMap, unit
from embedder.fitting.fit import Options, fit
from examples.wines.catalogue import load_wines
from examples.wines.shop import product as wine_product
from gateway.model.branch import Branch
from gateway.model.candidates import Listing
from gateway.model.columns import Columns
from gateway.model.scene import Scene
from gateway.ranking.fuse import fuse, weighted
from gateway.state.scenes import SceneFiles
from retriever.domain.index_values import Collapse
from retriever.domain.product import Attribute, ProductContent, ProductWrite
from retriever.domain.texts import parts_of, text_of
from retriever.domain.words import words_of
from retriever.record import Record
from retriever.search import keywords
from servicekit.sql import Database

PLACES = 10
LISTED = 100
"""Products that each list names, as in the default scene."""

TITLES, FIELDS = "BM25 on titles (SQLite)", "BM25 on all fields (SQLite)"
WORDS, MEANING = "words", "text space"
TOGETHER, SUMMED = "both, fused by places (Search)", "both, summed (Recommend)"
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of words that are tried, against 1 for the text space."""
LOOKS, WITH_LOOKS = "text_visual", "text space + text_visual, fused by places"
THIRDS = 3
NDCG, HIT = "nDCG@10", "hit@10"
LEARNED = "names left out"

Say: TypeAlias = Callable[[str], None]
Scored: TypeAlias = list[tuple[str, float]]
"""Products with how well they answer, best first."""
Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shop:
    """A catalogue and what is asked of it."""

    name: str
    products: Sequence[ProductContent]
    questions: Mapping[str, Sequence[Question]]
    """By kind."""


@dataclass(frozen=True, slots=True)
class Scores:
    """A system's figures for questions of a kind, one a question."""

    ndcg: Doubles
    hit: Doubles


Untitled: TypeAlias = dict[str, Doubles]
"""nDCG@10 of typed queries, by system."""
Found: TypeAlias = dict[tuple[str, str], dict[str, Scores]]
"""By shop and kind, then by system."""


def run(say: Say) -> Result:
    """Measure all of it, in about a minute."""
    missing = []
    shops = [_wines()]
    path = grocery.find()
    if path is None:
        missing.append(f"NOT MEASURED: $SIGHTLINE_DATA/{grocery.FOLDER} is not there")
    else:
        shops.append(_grocery(path))
    model = Sentences() if sentences.there() else None
    if model is None:
        missing.append("NOT MEASURED: the text model was not built (make engines)")
    found: Found = {}
    for shop in shops:
        say(f"{shop.name}: {len(shop.products)} products")
        found |= asyncio.run(_measure(shop, model))
    untitled: Untitled = {}
    if path is not None and model is not None and featured.there(groceries.BACKBONE):
        untitled = _untitled(shops[-1], model, groceries.photos(path, "train"))
    return Result(
        tables=(*_tables(found), *_looks_table(untitled)),
        figures={"texts": _figures(found), "untitled": _untitled_figures(untitled)},
        goals=_goals(found),
        warnings=tuple(missing),
    )


# The shops


def _wines() -> Shop:
    wines = load_wines()
    questions = {
        "typed": [
            Question(text, frozenset(wine.id for wine in wines if answers(wine)))
            for text, answers in asked.WINES.items()
        ],
    }
    contents = []
    for wine in wines:
        made = wine_product(wine)
        contents.append(
            ProductContent(
                made.product_id,
                made.title,
                category_path=("Wine", *made.category_path),
                brand=made.brand,
                tags=tuple(made.tags),
                attributes=tuple(Attribute(it.key, it.value) for it in made.attributes),
            )
        )
    return Shop("wines", contents, questions)


def _grocery(path: Path) -> Shop:
    rows = grocery.classes(path)
    products, described, unnamed = [], [], []
    for row in rows:
        name = row["Class Name (str)"]
        title = name.replace("-", " ")
        products.append(ProductContent(name, title, category_path=grocery.category(row)))
        about = path / row["Product Description Path (str)"].lstrip("/")
        text = " ".join(about.read_text(encoding="utf-8").split())
        described.append(Question(text, frozenset({name})))
        unnamed.append(Question(_without(text, title), frozenset({name})))
    by_coarse: dict[str, set[str]] = {}
    for row in rows:
        by_coarse.setdefault(row["Coarse Class Name (str)"], set()).add(row["Class Name (str)"])
    return Shop(
        "groceries",
        products,
        {
            "typed": [Question(text, answers) for text, answers in asked.GROCERY.items()],
            "described": described,
            LEARNED: unnamed,
            **{
                language: [
                    Question(names[place], frozenset(by_coarse[coarse]))
                    for coarse, names in asked.NAMES.items()
                ]
                for place, language in enumerate(LANGUAGES)
            },
        },
    )


def _without(text: str, title: str) -> str:
    """A description without the words of the title, and what these begin."""
    names = [name for name in words_of(title) if len(name) > 2]
    kept = [
        word
        for word in text.split()
        if not any(part.startswith(name[:5]) for part in words_of(word) for name in names)
    ]
    return " ".join(kept) or text


# Products without titles


def _untitled(shop: Shop, model: Sentences, photos: groceries.Photos) -> Untitled:
    """What typed queries find where a third of the products has photos and no words.

    The space is fitted on all photos, its map from texts on the titles of the other two thirds; the
    queries had no part in it. Every third is left without words once.
    """
    names = [it.product_id for it in shop.products]
    questions, scene = shop.questions["typed"], SceneFiles().get("default")
    thirds = np.random.default_rng(0).permutation(len(names)) % THIRDS
    asked_for = model.vectors([question.text for question in questions])
    scores: dict[str, list[Doubles]] = {}
    for third in range(THIRDS):
        silent = {name for name, mine in zip(names, thirds, strict=True) if mine == third}
        titled = [it for it in shop.products if it.product_id not in silent]
        fitted, looks = _fitted(titled, names, model, photos)
        meanings, rival = _Meanings(titled, model), _Rival(titled, titles=True)
        cosines = fitted.vectors(asked_for) @ looks.T
        lists: dict[str, list[list[str]]] = {TITLES: [], MEANING: [], LOOKS: [], WITH_LOOKS: []}
        for question, row in zip(questions, cosines, strict=True):
            near = meanings.near(question.text)
            order = np.argsort(-row, kind="stable")
            seen = [(names[place], float(row[place])) for place in order]
            lists[TITLES].append(rival.answer(question.text))
            lists[MEANING].append([name for name, _ in near])
            lists[LOOKS].append([name for name, _ in seen])
            both = {Branch.TEXT: near, Branch.TEXT_VISUAL: seen}
            lists[WITH_LOOKS].append(_fused(both, scene.branches))
        for system, answers in lists.items():
            scores.setdefault(system, []).append(_scores(answers, questions).ndcg)
    return {system: np.mean(rows, axis=0) for system, rows in scores.items()}


def _fitted(
    titled: Sequence[ProductContent],
    names: Sequence[str],
    model: Sentences,
    photos: groceries.Photos,
) -> tuple[TextMap, Floats]:
    """The map from texts, and the mean looks of each product of `names`."""
    sentences = np.zeros((len(photos.names), 384), np.float32)
    vectors = model.vectors([it.title for it in titled])
    of = {it.product_id: row for it, row in zip(titled, vectors, strict=True)}
    for place, name in enumerate(photos.names):
        if name in of:
            sentences[place] = of[name]
    kinds = np.full(len(photos.names), CATALOGUE, np.int8)
    groups = [str(place) for place in range(len(photos.names))]
    data = Labelled(
        photos.features[:, None], kinds, photos.names, groups, photos.categories, sentences
    )
    made = fit(data, Options(), seed=0)
    if made.text_map is None:
        raise ValueError("too few titles for a map")
    seen = made.embed(photos.features, kinds)
    held = np.array(photos.names)
    return made.text_map, unit(np.stack([seen[held == name].mean(axis=0) for name in names]))


def _looks_table(untitled: Untitled) -> Iterable[Table]:
    if untitled:
        yield Table(
            f"Groceries of which a third has photos and no words: {NDCG} of typed queries",
            ("", NDCG, "more than the text space"),
            tuple(
                (
                    system,
                    _figure(statistics.mean(scores)),
                    ""
                    if system == MEANING
                    else _figure(statistics.mean(scores - untitled[MEANING]), sign=True),
                )
                for system, scores in untitled.items()
            ),
            "Each third left without words once, mean of the three; the space is fitted on all"
            " photos, its map from texts on the titles that are left.",
            section=None,
        )


def _untitled_figures(untitled: Untitled) -> list[dict[str, object]]:
    return [
        {"system": system, "ndcg": vars_of(statistics.mean(scores))}
        for system, scores in untitled.items()
    ]


# The systems


async def _measure(shop: Shop, model: Sentences | None) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{folder}/record.db", migrations="retriever.record.migrations")
        db.migrate()
        record = Record(db)
        await record.write("default", [ProductWrite(content, {}) for content in shop.products])
        rivals = _Rival(shop.products, titles=True), _Rival(shop.products, titles=False)
        meanings = None if model is None else _Meanings(shop.products, model)
        scene = SceneFiles().get("default")
        found: Found = {}
        for kind, questions in shop.questions.items():
            lists = await _lists(questions, record, rivals, meanings, scene)
            found[shop.name, kind] = {
                system: _scores(answers, questions) for system, answers in lists.items()
            }
        db.close()
    return found


async def _lists(
    questions: Sequence[Question],
    record: Record,
    rivals: "tuple[_Rival, _Rival]",
    meanings: "_Meanings | None",
    scene: Scene,
) -> dict[str, list[list[str]]]:
    """By system, what it answers to each question."""
    lists: dict[str, list[list[str]]] = {TITLES: [], FIELDS: [], WORDS: []}
    if meanings is not None:
        lists |= {MEANING: [], TOGETHER: [], SUMMED: []}
        lists |= {_named(form, share): [] for form in _FORMS for share in SHARES}
    for question in questions:
        lists[TITLES].append(rivals[0].answer(question.text))
        lists[FIELDS].append(rivals[1].answer(question.text))
        words = await _by_words(record, question.text)
        lists[WORDS].append([product_id for product_id, _ in words])
        if meanings is not None:
            near = meanings.near(question.text)
            lists[MEANING].append([product_id for product_id, _ in near])
            both = {Branch.KEYWORDS: words, Branch.TEXT: near}
            lists[TOGETHER].append(_fused(both, scene.branches))
            lists[SUMMED].append(_summed(both, scene.parts_with_signals))
            for share in SHARES:
                weights = {Branch.KEYWORDS: share, Branch.TEXT: 1.0}
                for form, join in _FORMS.items():
                    lists[_named(form, share)].append(join(both, weights))
    return lists


class _Rival:
    """SQLite's BM25 with its own words (unicode61, accents removed), any of which may match."""

    def __init__(self, products: Iterable[ProductContent], *, titles: bool) -> None:
        self._store = sqlite3.connect(":memory:")
        self._store.execute(
            "CREATE VIRTUAL TABLE shop USING"
            " fts5(id UNINDEXED, text, tokenize='unicode61 remove_diacritics 2')"
        )
        self._store.executemany(
            "INSERT INTO shop VALUES (?, ?)",
            [(it.product_id, it.title if titles else " ".join(parts_of(it))) for it in products],
        )

    def answer(self, text: str) -> list[str]:
        """The products that match best."""
        words = " OR ".join(f'"{word}"' for word in dict.fromkeys(words_of(text)))
        rows = self._store.execute(
            "SELECT id FROM shop WHERE shop MATCH ? ORDER BY rank, id LIMIT ?", (words, LISTED)
        )
        return [product_id for (product_id,) in rows]


class _Meanings:
    """The space of texts, compared exactly."""

    def __init__(self, products: Sequence[ProductContent], model: Sentences) -> None:
        self._model = model
        self._ids = [it.product_id for it in products]
        self._vectors = model.vectors([text_of(it) for it in products])

    def near(self, text: str) -> Scored:
        """The products nearest to a text."""
        cosines = self._vectors @ self._model.vectors([text])[0]
        order = np.argsort(-cosines, kind="stable")[:LISTED]
        return [(self._ids[place], float(cosines[place])) for place in order]


async def _by_words(record: Record, text: str) -> Scored:
    query = keywords.Query("default", text, top_k=LISTED, collapse=Collapse.OFF)
    answer = await keywords.search(query, record)
    found = answer.candidates
    return list(zip(found.product_ids, found.similarities, strict=True))


def _fused(lists: Mapping[Branch, Scored], weights: Mapping[Any, float]) -> list[str]:
    """The lists as the gateway makes one of them."""
    listings = [
        Listing(
            branch,
            1.0,
            Columns([product_id for product_id, _ in scored]),
            [score for _, score in scored],
            signal=0,
        )
        for branch, scored in lists.items()
        if scored
    ]
    fused = fuse(weighted(listings, weights), (), LISTED)
    return [fused.columns.product_ids[place] for place in fused.order]


def _summed(lists: Mapping[Branch, Scored], weights: Mapping[Any, float]) -> list[str]:
    """The lists as the ranker sums their scores, for a shopper of whom nothing is known."""
    scores: dict[str, float] = {}
    for branch, scored in lists.items():
        for product_id, score in scored:
            scores[product_id] = scores.get(product_id, 0.0) + weights[branch] * score
    return sorted(scores, key=lambda product_id: (-scores[product_id], product_id))


_FORMS: Mapping[str, Callable[[Mapping[Branch, Scored], Mapping[Any, float]], list[str]]] = {
    "fused by places": _fused,
    "summed": _summed,
}


def _named(form: str, share: float) -> str:
    return f"{form}, words × {share:g}"


# The figures


def _scores(answers: Sequence[Sequence[str]], questions: Sequence[Question]) -> Scores:
    pairs = list(zip(answers, questions, strict=True))
    return Scores(
        np.array([_ndcg(answer, question.answers) for answer, question in pairs]),
        np.array(
            [float(bool(question.answers & {*answer[:PLACES]})) for answer, question in pairs]
        ),
    )


def _ndcg(answer: Sequence[str], right: frozenset[str]) -> float:
    """Normalised discounted cumulative gain, a product right or not (Järvelin, Kekäläinen 2002)."""
    gains = 1 / np.log2(np.arange(2, PLACES + 2))
    held = np.array([product_id in right for product_id in answer[:PLACES]], float)
    return float(held @ gains[: len(held)] / gains[: len(right)].sum())


def _tables(found: Found) -> Iterable[Table]:
    kinds = [key for key in found if key[1] not in LANGUAGES]
    yield Table(
        f"Products found by texts: {NDCG} and {HIT}",
        ("", "queries", NDCG, HIT, f"{NDCG}, more than BM25 on titles"),
        tuple(
            (
                f"{shop}, {kind}: {system}",
                str(len(scores.ndcg)),
                _figure(statistics.mean(scores.ndcg)),
                _figure(statistics.mean(scores.hit)),
                "" if system == TITLES else _figure(_gain(found[shop, kind], system), sign=True),
            )
            for shop, kind in kinds
            for system, scores in _main(found[shop, kind]).items()
        ),
        "Mean over queries (95% interval); differences are paired by query.",
        section=None,
    )
    spoken = [key for key in found if key[1] in LANGUAGES]
    if spoken:
        yield Table(
            "Groceries named in other languages; titles are English",
            ("", *(system for system in _main(found[spoken[0]]) if system != FIELDS)),
            tuple(
                (
                    language,
                    *(
                        f"{scores.ndcg.mean():.3f} / {scores.hit.mean():.2f}"
                        for system, scores in _main(found[shop, language]).items()
                        if system != FIELDS
                    ),
                )
                for shop, language in spoken
            ),
            f"{NDCG} / {HIT}, mean over {len(asked.NAMES)} names.",
            section=None,
        )

    if any(MEANING in systems for systems in found.values()):
        yield _shares_table(found, kinds)


def _shares_table(found: Found, kinds: Sequence[tuple[str, str]]) -> Table:
    """What the weight of words does."""
    return Table(
        f"How much words count against the text space: {NDCG}",
        ("", *(f"× {share:g}" for share in SHARES)),
        tuple(
            (
                f"{shop}, {kind}: {form}",
                *(f"{found[shop, kind][_named(form, share)].ndcg.mean():.3f}" for share in SHARES),
            )
            for shop, kind in kinds
            for form in _FORMS
        ),
        "The default scene's weights were chosen by this table: it can't tell how good they are on"
        " other queries.",
        section=None,
    )


def _main(systems: Mapping[str, Scores]) -> Mapping[str, Scores]:
    """The systems without the trials of weights."""
    return {name: scores for name, scores in systems.items() if "words ×" not in name}


def _gain(systems: Mapping[str, Scores], system: str) -> Interval:
    return statistics.mean(systems[system].ndcg - systems[TITLES].ndcg)


def _figure(value: Interval, *, sign: bool = False) -> str:
    form = "+.3f" if sign else ".3f"
    return f"{value.value:{form}} ({value.low:{form}} to {value.high:{form}})"


def _goals(found: Found) -> list[Goal]:
    """Each kind of query: better than BM25 on titles."""
    wanted = (("wines", "typed"), ("groceries", "typed"), ("groceries", LEARNED))
    return [
        Goal(
            f"{shop}, {kind}: {NDCG}, more than BM25 on titles alone",
            at_most=None,
            unit="",
            measured=(
                _gain(found[shop, kind], TOGETHER)
                if TOGETHER in found.get((shop, kind), {})
                else None
            ),
            at_least=0.0,
        )
        for shop, kind in wanted
    ]


def _figures(found: Found) -> list[dict[str, object]]:
    return [
        {
            "shop": shop,
            "kind": kind,
            "system": system,
            "queries": len(scores.ndcg),
            "ndcg": vars_of(statistics.mean(scores.ndcg)),
            "hit": vars_of(statistics.mean(scores.hit)),
            "ndcg_gain": vars_of(_gain(systems, system)),
        }
        for (shop, kind), systems in found.items()
        for system, scores in systems.items()
    ]


def vars_of(value: Interval) -> dict[str, float]:
    """An interval for JSON."""
    return {"value": value.value, "low": value.low, "high": value.high}

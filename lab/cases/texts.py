"""Quality of text search by words, by meaning and by both, compared with BM25 on titles.

By the product's own code: the record's search by words (retriever), the text model's graph and
tokens (embedder, deploy/triton), and the fusion of lists (gateway). The baselines are SQLite's own
BM25 on titles and on all text fields. There are three kinds of queries: typical shopper queries
(lab/datasets/asked.py); GroceryStoreDataset's descriptions, which are not part of the products'
texts, unchanged and without the words of the title; and names of its classes in several languages.
Every figure is a mean over queries with its 95% interval (bootstrap); differences are paired by
query.
"""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.harness.model import BenchResult
from bench.peers import sentences
from bench.peers.sentences import Floats, SentenceModel
from embedder.domain.fitted import CATALOGUE, Labelled, TextMap, unit
from embedder.fitting.fit import FitOptions, fit
from examples.wines.catalogue import load_wines
from examples.wines.shop import product as wine_product
from gateway.model.scene import Scene
from gateway.state.scenes import SceneFiles
from lab.cases.texts_report import (
    FIELDS,
    LEARNED,
    LOOKS,
    MEANING,
    SAID,
    SHARES,
    SUMMED,
    THIRDS,
    TITLES,
    TOGETHER,
    WITH_LOOKS,
    WORDS,
    Costs,
    Doubles,
    Found,
    Say,
    Scores,
    Untitled,
    figures_of,
    goals_of,
    language_goals,
    looks_table,
    page_of,
    tables_of,
    untitled_figures,
)
from lab.datasets import asked, featured, groceries, grocery
from lab.datasets.asked import LANGUAGES, TypedQuestion
from lab.peers.texts_rivals import (
    FORMS,
    Meanings,
    Rival,
    by_words,
    fused_lists,
    named_lists,
    summed_lists,
)
from retriever.domain.product import Attribute, ProductContent, ProductWrite
from retriever.record import Record
from servicekit.sql.database import Database
from sightline_core.branch import Branch
from sightline_rules.words import words_of

PLACES = 10
ROUNDS = 5
"""Rounds of measured queries; the first does not count."""


@dataclass(frozen=True, slots=True)
class TextShop:
    """A catalog and its queries."""

    name: str
    products: Sequence[ProductContent]
    questions: Mapping[str, Sequence[TypedQuestion]]
    """Queries by kind."""


def run(say: Say) -> BenchResult:
    """Measure all of it, in about a minute."""
    missing = []
    shops = [wine_shop()]
    path = grocery.find()
    if path is None:
        missing.append(f"NOT MEASURED: $SIGHTLINE_DATA/{grocery.FOLDER} is not there")
    else:
        shops.append(grocery_shop(path))
    model = SentenceModel() if sentences.there() else None
    if model is None:
        missing.append("NOT MEASURED: the text model was not built (make engines)")
    found: Found = {}
    for shop in shops:
        say(f"{shop.name}: {len(shop.products)} products")
        found |= asyncio.run(_measure(shop, model))
    earlier: Found = {}
    costs: Costs | None = None
    if model is not None:
        english = SentenceModel(sentences.ENGLISH)
        for shop in shops:
            say(f"{shop.name}: with the English network alone")
            earlier |= asyncio.run(_measure(shop, english))
        costs = _costs(shops[0], sentences.MODEL, sentences.ENGLISH)
    untitled: Untitled = {}
    if path is not None and model is not None and featured.there(groceries.BACKBONE):
        untitled = _untitled(shops[-1], model, groceries.photos(path, "train"))
    return BenchResult(
        tables=(*tables_of(found, earlier), *looks_table(untitled)),
        figures={
            "texts": figures_of(found),
            "english_network": figures_of(earlier),
            "untitled": untitled_figures(untitled),
        },
        goals=[*goals_of(found), *language_goals(found, earlier, costs)],
        warnings=tuple(missing),
        page={} if missing else page_of(found, earlier, costs),
    )


# The shops


def wine_shop() -> TextShop:
    wines = load_wines()
    questions = {
        "typed": [
            TypedQuestion(text, frozenset(wine.id for wine in wines if answers(wine)))
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
    return TextShop("wines", contents, questions)


def grocery_shop(path: Path) -> TextShop:
    rows = grocery.classes(path)
    products, described, unnamed = [], [], []
    for row in rows:
        name = row["Class Name (str)"]
        title = name.replace("-", " ")
        products.append(ProductContent(name, title, category_path=grocery.category(row)))
        about = path / row["Product Description Path (str)"].lstrip("/")
        text = " ".join(about.read_text(encoding="utf-8").split())
        described.append(TypedQuestion(text, frozenset({name})))
        unnamed.append(TypedQuestion(_without(text, title), frozenset({name})))
    by_coarse: dict[str, set[str]] = {}
    for row in rows:
        by_coarse.setdefault(row["Coarse Class Name (str)"], set()).add(row["Class Name (str)"])
    return TextShop(
        "groceries",
        products,
        {
            "typed": [TypedQuestion(text, answers) for text, answers in asked.GROCERY.items()],
            "described": described,
            LEARNED: unnamed,
            **{
                kind: [
                    TypedQuestion(names[code], frozenset(by_coarse[coarse]), said)
                    for coarse, names in asked.NAMES.items()
                ]
                for language, code in LANGUAGES.items()
                for kind, said in ((language, ""), (f"{language}{SAID}", code))
            },
        },
    )


def _without(text: str, title: str) -> str:
    """Remove the words of the title, and words that begin with them, from a description."""
    names = [name for name in words_of(title) if len(name) > 2]
    kept = [
        word
        for word in text.split()
        if not any(part.startswith(name[:5]) for part in words_of(word) for name in names)
    ]
    return " ".join(kept) or text


# Products without titles


def _untitled(shop: TextShop, model: SentenceModel, photos: groceries.LabelledPhotos) -> Untitled:
    """Measure typical queries with a third of the products without texts. The space is fitted on
    all photos, and its map from texts on the titles of the other two thirds, without the queries.
    Each third is left without texts once.
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
        meanings, rival = Meanings(titled, model), Rival(titled, titles=True)
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
            lists[WITH_LOOKS].append(fused_lists(both, scene.branches))
        for system, answers in lists.items():
            scores.setdefault(system, []).append(_scores(answers, questions).ndcg)
    return {system: np.mean(rows, axis=0) for system, rows in scores.items()}


def _fitted(
    titled: Sequence[ProductContent],
    names: Sequence[str],
    model: SentenceModel,
    photos: groceries.LabelledPhotos,
) -> tuple[TextMap, Floats]:
    """Return the map from texts, and the mean photo vector of each product of `names`."""
    vectors = model.vectors([it.title for it in titled])
    sentences = np.zeros((len(photos.names), vectors.shape[1]), np.float32)
    of = {it.product_id: row for it, row in zip(titled, vectors, strict=True)}
    for place, name in enumerate(photos.names):
        if name in of:
            sentences[place] = of[name]
    kinds = np.full(len(photos.names), CATALOGUE, np.int8)
    groups = [str(place) for place in range(len(photos.names))]
    data = Labelled(
        photos.features[:, None], kinds, photos.names, groups, photos.categories, sentences
    )
    made = fit(data, FitOptions(), seed=0)
    if made.text_map is None:
        raise ValueError("too few titles for a map")
    seen = made.embed(photos.features, kinds)
    held = np.array(photos.names)
    return made.text_map, unit(np.stack([seen[held == name].mean(axis=0) for name in names]))


# The systems


def _costs(shop: TextShop, *models: Path) -> Costs:
    """Return the processor seconds of each query's vector by both models, on one thread."""
    loaded = [SentenceModel(model, threads=1) for model in models]
    texts = [question.text for question in shop.questions["typed"]]
    seconds = [[model.seconds([text]) for model in loaded] for text in texts * ROUNDS]
    ours, english = np.array(seconds[len(texts) :]).T
    return ours, english


async def _measure(shop: TextShop, model: SentenceModel | None) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{folder}/record.db", migrations="retriever.record.migrations")
        db.migrate()
        record = Record(db)
        await record.write("default", [ProductWrite(content, {}) for content in shop.products])
        rivals = Rival(shop.products, titles=True), Rival(shop.products, titles=False)
        meanings = None if model is None else Meanings(shop.products, model)
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
    questions: Sequence[TypedQuestion],
    record: Record,
    rivals: "tuple[Rival, Rival]",
    meanings: "Meanings | None",
    scene: Scene,
) -> dict[str, list[list[str]]]:
    """Return each system's answer to each question."""
    lists: dict[str, list[list[str]]] = {TITLES: [], FIELDS: [], WORDS: []}
    if meanings is not None:
        lists |= {MEANING: [], TOGETHER: [], SUMMED: []}
        lists |= {named_lists(form, share): [] for form in FORMS for share in SHARES}
    for question in questions:
        lists[TITLES].append(rivals[0].answer(question.text))
        lists[FIELDS].append(rivals[1].answer(question.text))
        words = await by_words(record, question.text)
        lists[WORDS].append([product_id for product_id, _ in words])
        if meanings is not None:
            near = meanings.near(question.text, question.language)
            lists[MEANING].append([product_id for product_id, _ in near])
            both = {Branch.KEYWORDS: words, Branch.TEXT: near}
            lists[TOGETHER].append(fused_lists(both, scene.branches))
            lists[SUMMED].append(summed_lists(both, scene.parts_with_signals))
            for share in SHARES:
                weights = {Branch.KEYWORDS: share, Branch.TEXT: 1.0}
                for form, join in FORMS.items():
                    lists[named_lists(form, share)].append(join(both, weights))
    return lists


# The figures


def _scores(answers: Sequence[Sequence[str]], questions: Sequence[TypedQuestion]) -> Scores:
    pairs = list(zip(answers, questions, strict=True))
    return Scores(
        np.array([ndcg(answer, question.answers) for answer, question in pairs]),
        np.array(
            [float(bool(question.answers & {*answer[:PLACES]})) for answer, question in pairs]
        ),
    )


def ndcg(answer: Sequence[str], right: frozenset[str]) -> float:
    """Return the normalised discounted cumulative gain with binary relevance (Järvelin, Kekäläinen
    2002).
    """
    gains = 1 / np.log2(np.arange(2, PLACES + 2))
    held = np.array([product_id in right for product_id in answer[:PLACES]], float)
    return float(held @ gains[: len(held)] / gains[: len(right)].sum())

"""Products found by their names in other languages, with and without bilingual dictionaries.

By the product's own code: keyword search with words in memory (retriever), the text model's graph,
and the fusion of lists (gateway). The names are our own translations of 300 titles of products
(lab/datasets/product_names.csv), written before any dictionary was read; titles are English. Names
with odd numbers were used to develop, and those with even ones are measured here. The groceries'
names are those of the bench `texts`. `make dictionaries` writes the dictionaries.
"""

import asyncio
import csv
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.harness import statistics
from bench.harness.machine import ROOT
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.peers import sentences
from bench.peers.sentences import SentenceModel
from gateway.state.scenes import SceneFiles
from lab.cases.texts import grocery_shop
from lab.cases.texts_report import SAID, Say, vars_of
from lab.datasets import grocery
from lab.datasets.asked import LANGUAGES, TypedQuestion
from lab.peers.texts_rivals import LISTED, Meanings, Scored, fused_lists
from retriever.adapters.dictionaries import read_dictionaries
from retriever.columns.column_cache import Columns
from retriever.domain.dictionaries import NO_DICTIONARIES, Dictionaries
from retriever.domain.index_values import Collapse
from retriever.domain.product import ProductContent, ProductWrite
from retriever.record import Record
from retriever.search import keywords
from servicekit.sql.database import Database
from sightline_core.branch import Branch

FOLDER = ROOT / ".cache" / "dictionaries"
NAMES = ROOT / "lab" / "datasets" / "product_names.csv"
TEXT, BEFORE = "text space", "Search without dictionaries"
WORDS, AFTER = "dictionaries alone", "Search with dictionaries"
SAME = "same answer"
"""Whether dictionaries leave the ids and the order of the answer of Search."""
SYSTEMS = (TEXT, BEFORE, WORDS, AFTER)
GAINING = ("Chinese", "Spanish", "French", "Italian", "Korean")
"""Languages with a goal."""
LEAST_GAIN, MOST_LOST, MOST_COST, LEAST_CHINESE = 0.10, 0.005, 1.2, 0.75
ROUNDS = 2
"""Rounds of measured queries; the first does not count."""
ENGLISH_CODE = "en"
"""What the gateway says of a request without a language, and that it is a default."""
BRANDED, MISTYPED, WORDED = (f"English, with {each}" for each in ("a brand", "a typo", "a word"))
MORE_ENGLISH = (BRANDED, MISTYPED, WORDED)
"""English queries with something that no product has."""
BRANDS = ("tefal", "makita", "karcher", "brita", "fitbit", "logitech", "moulinex", "xiaomi")
EXTRAS = ("cheap", "bestseller", "giftable", "refurbished", "upcycled", "preorder", "xl", "2pk")
Hits = npt.NDArray[np.float64]
Found = dict[str, dict[str, Hits]]
"""By kind of query and system, whether each query's first product is right."""


@dataclass(frozen=True, slots=True)
class NamedShop:
    """Products, and their names by language."""

    products: Sequence[ProductContent]
    questions: Mapping[str, Sequence[TypedQuestion]]


def run(say: Say) -> BenchResult:
    """Measure all of it, in about three minutes."""
    if not FOLDER.is_dir() or not sentences.there():
        missing = "NOT MEASURED: make dictionaries engines"
        return BenchResult((), {}, goals_of({}, {}, None), (missing,))
    dictionaries, model = read_dictionaries(FOLDER), SentenceModel(threads=1)
    say("300 products")
    found, costs = asyncio.run(_measured(product_shop(), model, dictionaries))
    path, groceries = grocery.find(), Found()
    if path is not None:
        say("groceries")
        shop = grocery_shop(path)
        read = [name for name, code in LANGUAGES.items() if code in dictionaries.by_language]
        asked = {*read, *(f"{name}{SAID}" for name in read)}
        kinds = {kind: some for kind, some in shop.questions.items() if kind in asked}
        groceries, _ = asyncio.run(_measured(NamedShop(shop.products, kinds), model, dictionaries))
    tables = [_table("150 products", found), _table("Groceries", groceries)]
    return BenchResult(
        tuple(tables),
        {
            "names": _figures(found),
            "groceries": _figures(groceries),
            "cost": {kind: vars_of(ratio) for kind, ratio in costs.items()},
        },
        goals_of(found, groceries, costs),
    )


def product_shop(part: int = 0) -> NamedShop:
    """Return the 300 products, and names of those with even numbers (1: odd ones)."""
    with NAMES.open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    measured = [row for row in rows if int(row["id"]) % 2 == part]
    return NamedShop(
        [ProductContent(row["id"], row["en"]) for row in rows],
        {
            kind: [TypedQuestion(row[code], frozenset({row["id"]}), said) for row in measured]
            for language, code in LANGUAGES.items()
            if code in rows[0]
            for kind, said in ((language, ""), (f"{language}{SAID}", code))
        }
        | _more_english(measured),
    )


def _more_english(rows: Sequence[Mapping[str, str]]) -> dict[str, list[TypedQuestion]]:
    """Return the titles as people type them: with a brand, with a letter of the longest word
    doubled, with a word that no title has."""

    def asked(text: str, row: Mapping[str, str]) -> TypedQuestion:
        return TypedQuestion(text, frozenset({row["id"]}))

    found: dict[str, list[TypedQuestion]] = {kind: [] for kind in MORE_ENGLISH}
    for number, row in enumerate(rows):
        title = row["en"].lower()
        longest = max(title.split(), key=len)
        middle = len(longest) // 2
        mistyped = longest[:middle] + longest[middle - 1 :]
        found[BRANDED].append(asked(f"{BRANDS[number % len(BRANDS)]} {title}", row))
        found[MISTYPED].append(asked(title.replace(longest, mistyped), row))
        found[WORDED].append(asked(f"{EXTRAS[number % len(EXTRAS)]} {title}", row))
    return found


async def _measured(
    shop: NamedShop, model: SentenceModel, dictionaries: Dictionaries
) -> tuple[Found, dict[str, Interval]]:
    """Return what is found, and by kind the processor time of Search with dictionaries relative to
    Search without."""
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{folder}/record.db", migrations="retriever.record.migrations")
        db.migrate()
        record = Record(db)
        await record.write("default", [ProductWrite(content, {}) for content in shop.products])
        columns = Columns(record, exact_rows=100_000, patience=None)
        meanings, weights = Meanings(shop.products, model), SceneFiles().get("default").branches
        found, costs = Found(), dict[str, Interval]()
        for kind, questions in shop.questions.items():
            hits: dict[str, list[bool]] = {system: [] for system in (*SYSTEMS, SAME)}
            seconds: list[tuple[float, float]] = []
            for question in questions:
                near, embedding = _timed_near(meanings, question)
                plain = await _words(record, columns, question, NO_DICTIONARIES)
                meant = await _words(record, columns, question, dictionaries)
                seconds.append((embedding + plain[1], embedding + meant[1]))
                answers = {
                    TEXT: [name for name, _ in near],
                    BEFORE: fused_lists({Branch.KEYWORDS: plain[0], Branch.TEXT: near}, weights),
                    WORDS: [name for name, _ in meant[0]],
                    AFTER: fused_lists({Branch.KEYWORDS: meant[0], Branch.TEXT: near}, weights),
                }
                for system, answer in answers.items():
                    hits[system].append(bool(answer) and answer[0] in question.answers)
                hits[SAME].append(answers[BEFORE] == answers[AFTER])
            found[kind] = {system: np.array(each, np.float64) for system, each in hits.items()}
            before, after = zip(*seconds, strict=True)
            costs[kind] = statistics.median_ratio(after, before)
        db.close()
    return found, costs


def _timed_near(meanings: Meanings, question: TypedQuestion) -> tuple[Scored, float]:
    for _ in range(ROUNDS):
        since = time.process_time()
        near = meanings.near(question.text, question.language)
        seconds = time.process_time() - since
    return near, seconds


async def _words(
    record: Record, columns: Columns, question: TypedQuestion, dictionaries: Dictionaries
) -> tuple[Scored, float]:
    query = keywords.KeywordQuery(
        *("default", question.text),
        top_k=LISTED,
        collapse=Collapse.OFF,
        language_code=question.language or ENGLISH_CODE,
        correct=True,
        guess_language=not question.language,
    )
    for _ in range(ROUNDS):
        since = time.process_time()
        answer = await keywords.search(query, record, columns=columns, dictionaries=dictionaries)
        seconds = time.process_time() - since
    found = answer.candidates
    return list(zip(found.product_ids, found.similarities, strict=True)), seconds


def _table(of: str, found: Found) -> BenchTable:
    def row(kind: str) -> tuple[str, ...]:
        systems = found[kind]
        gain = statistics.mean(systems[AFTER] - systems[BEFORE]).shown(sign=True)
        means = (f"{systems[system].mean():.3f}" for system in SYSTEMS)
        return (kind, *means, gain, str(np.count_nonzero(systems[SAME] == 0)))

    return BenchTable(
        f"{of} by their names in other languages; titles are English: hit@1",
        ("names", *SYSTEMS, "gain", "other answers"),
        tuple(map(row, found)),
        "Fraction of names whose product is first. Gain of Search by dictionaries, with its 95%"
        " interval, paired by name. Other answers: queries whose answer dictionaries change.",
        section=None,
    )


def goals_of(found: Found, groceries: Found, costs: Mapping[str, Interval] | None) -> list[Goal]:
    """Return the goals; figures decide, as the names are a fixed set."""

    def gain(kind: str) -> Interval | None:
        systems = found.get(kind)
        return statistics.mean(systems[AFTER] - systems[BEFORE]) if systems else None

    said = [
        Goal(
            f"names in {language}{suffix}: hit@1 of Search, more by dictionaries",
            *(None, "", gain(f"{language}{suffix}")),
            at_least=LEAST_GAIN,
            by_figure=True,
        )
        for language in GAINING
        for suffix in ("", SAID)
    ]
    english = [
        Goal(
            f"names in {kind}: hit@1 of Search, more by dictionaries",
            *(None, "", gain(kind)),
            at_least=-MOST_LOST,
            by_figure=True,
        )
        for kind in ("English", *MORE_ENGLISH)
    ]
    chinese = groceries.get("Chinese")
    grocery_goal = Goal(
        "groceries named in Chinese: hit@1 of Search with dictionaries",
        *(None, "", statistics.mean(chinese[AFTER]) if chinese else None),
        at_least=LEAST_CHINESE,
        by_figure=True,
    )
    cost = [
        Goal(
            f"a text search, names in {language}: processor time ÷ without dictionaries",
            *(MOST_COST, "", costs[language] if costs else None),
        )
        for language in ("English", *GAINING)
    ]
    return [*said, *english, grocery_goal, *cost]


def _figures(found: Found) -> list[dict[str, object]]:
    return [
        {"names": kind, "system": system, "hit": vars_of(statistics.mean(hits))}
        for kind, systems in found.items()
        for system, hits in systems.items()
    ]

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
SYSTEMS = (TEXT, BEFORE, WORDS, AFTER)
GAINING = ("Chinese", "Spanish", "French", "Italian", "Korean")
"""Languages with a goal."""
LEAST_GAIN, MOST_LOST, MOST_COST, LEAST_CHINESE = 0.10, 0.005, 1.2, 0.75
ROUNDS = 2
"""Rounds of measured queries; the first does not count."""
ENGLISH_CODE = "en"
"""What the gateway says of a request without a language."""
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
        },
    )


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
            hits: dict[str, list[bool]] = {system: [] for system in SYSTEMS}
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
        return (kind, *(f"{systems[system].mean():.3f}" for system in SYSTEMS), gain)

    return BenchTable(
        f"{of} by their names in other languages; titles are English: hit@1",
        ("names", *SYSTEMS, "gain"),
        tuple(map(row, found)),
        "Fraction of names whose product is first. Gain of Search by dictionaries, with its 95%"
        " interval, paired by name.",
        section=None,
    )


def goals_of(found: Found, groceries: Found, costs: Mapping[str, Interval] | None) -> list[Goal]:
    """Return the goals; figures decide, as the names are a fixed set."""

    def gain(kind: str) -> Interval | None:
        systems = found.get(kind)
        return systems and statistics.mean(systems[AFTER] - systems[BEFORE])

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
    english = Goal(
        "names in English: hit@1 of Search, more by dictionaries",
        *(None, "", gain("English")),
        at_least=-MOST_LOST,
        by_figure=True,
    )
    chinese = groceries.get("Chinese")
    grocery_goal = Goal(
        "groceries named in Chinese: hit@1 of Search with dictionaries",
        *(None, "", chinese and statistics.mean(chinese[AFTER])),
        at_least=LEAST_CHINESE,
        by_figure=True,
    )
    cost = [
        Goal(
            f"a text search, names in {language}: processor time ÷ without dictionaries",
            *(MOST_COST, "", costs and costs[language]),
        )
        for language in ("English", *GAINING)
    ]
    return [*said, english, grocery_goal, *cost]


def _figures(found: Found) -> list[dict[str, object]]:
    return [
        {"names": kind, "system": system, "hit": vars_of(statistics.mean(hits))}
        for kind, systems in found.items()
        for system, hits in systems.items()
    ]

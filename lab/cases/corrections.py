"""Corrections of a query's words in Search, by the catalog's own words: what they give for queries
with a typing error, and cost for correct ones.

Each correct query (lab/datasets/asked.py, and names of groceries) gets typing errors in one of
its words: a letter that is wrong, missing, superfluous, or exchanged with its neighbor, drawn from
a fixed seed. A word that no product has is replaced by the nearest word of the catalog as in
suggestions (sightline_rules.lexicon), of equally near ones by that of most products. Lists and
fusion are the product's own, as in `texts`. Figures are means over queries with 95% intervals
(bootstrap); differences are paired by query.
"""

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bench.harness import statistics
from bench.harness.model import BenchResult, BenchTable, Interval
from bench.peers import sentences
from bench.peers.sentences import SentenceModel
from gateway.model.scene import Scene
from gateway.state.scenes import SceneFiles
from lab.cases.texts import TextShop, grocery_shop, ndcg, wine_shop
from lab.datasets import grocery
from lab.datasets.asked import TypedQuestion
from lab.peers.texts_rivals import Meanings, by_words, fused_lists
from retriever.domain.product import ProductContent, ProductWrite
from retriever.domain.words import words_in
from retriever.record import Record
from servicekit.sql.database import Database
from sightline_core.branch import Branch
from sightline_rules.lexicon import Lexicon
from sightline_rules.stems import stemmer_of
from sightline_rules.words import typed_words

ERRORS, SEED = 8, 11
"""Misspelled forms of a query."""
LEAST_LETTERS = 4
"""Letters of a word that gets an error."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS, MEANING, SEARCH = "words", "text space", "both, fused by places (Search)"
SYSTEMS = (WORDS, MEANING, SEARCH)
CORRECT, MISTYPED = "correct", "one typing error"
KINDS = ("typed", "English")
AS_TYPED, EVERYWHERE, WORDS_ALONE, NOTHING_FOUND = (
    *("as typed", "corrected", "corrected for words alone"),
    "corrected if no word is known",
)

Say: TypeAlias = Callable[[str], None]
Floats: TypeAlias = npt.NDArray[np.float64]
Measured: TypeAlias = dict[tuple[str, str, str, str], Floats]
"""nDCG@10 by query: by shop, form of the queries, system and use of corrections."""


@dataclass(slots=True)
class Vocabulary:
    """Words of a catalog's products."""

    lexicon: Lexicon
    counts: Mapping[str, int]
    """Products that have each word."""
    nearest: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, products: Sequence[ProductContent]) -> "Vocabulary":
        """Read the words of products."""
        counts = Counter(
            word for each in products for word in set(" ".join(words_in(each)).split())
        )
        return cls(Lexicon(sorted(counts)), counts)

    def corrected(self, text: str) -> str:
        """Return the words of a text, unknown ones replaced by the nearest known ones."""
        return " ".join(map(self._nearest, typed_words(text)))

    def knows_any(self, text: str) -> bool:
        """Return whether a product has a word of a text."""
        return any(word in self.counts for word in typed_words(text))

    def _nearest(self, word: str) -> str:
        if word not in self.nearest:
            self.nearest[word] = word
            if word not in self.counts and not self.lexicon.alike(word, stemmer_of("en")):
                _, ranges = self.lexicon.near(word, prefix=False)
                found = [self.lexicon.words[at] for low, high in ranges for at in range(low, high)]
                best = min(found, key=lambda each: (-self.counts[each], each), default=word)
                self.nearest[word] = best
        return self.nearest[word]


def mistyped(text: str, draw: random.Random) -> str:
    """Return a text with one typing error in one of its longer words."""
    words = text.split()
    places = [at for at, word in enumerate(words) if len(word) >= LEAST_LETTERS and word.isalpha()]
    if not places:
        return text
    at = draw.choice(places)
    word = words[at]
    place, letter = draw.randrange(len(word)), draw.choice(LETTERS)
    forms = (
        f"{word[:place]}{letter}{word[place + 1 :]}",
        f"{word[:place]}{word[place + 1 :]}",
        f"{word[:place]}{letter}{word[place:]}",
        f"{word[:place]}{word[place + 1 : place + 2]}{word[place]}{word[place + 2 :]}",
    )
    words[at] = draw.choice(forms)
    return " ".join(words)


def run(say: Say) -> BenchResult:
    """Measure both shops, in about two minutes."""
    path, missing = grocery.find(), []
    shops = [wine_shop()]
    if path is None:
        missing.append(f"NOT MEASURED: $SIGHTLINE_DATA/{grocery.FOLDER} is not there")
    else:
        shops.append(grocery_shop(path))
    if not sentences.there():
        missing.append("NOT MEASURED: the text model was not built (make engines)")
        return BenchResult(tables=(), figures={}, warnings=tuple(missing))
    model, found = SentenceModel(), Measured()
    for shop in shops:
        say(f"{shop.name}: {len(shop.products)} products")
        found |= asyncio.run(_measure(shop, model))
    return BenchResult(
        tables=tuple(_table(found, form) for form in (MISTYPED, CORRECT)),
        figures={"corrections": _figures(found)},
        warnings=tuple(missing),
    )


async def _measure(shop: TextShop, model: SentenceModel) -> Measured:
    questions = [each for kind in KINDS for each in shop.questions.get(kind, ())]
    draw = random.Random(SEED)
    forms = {
        CORRECT: [[each.text] for each in questions],
        MISTYPED: [[mistyped(each.text, draw) for _ in range(ERRORS)] for each in questions],
    }
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{folder}/record.db", migrations="retriever.record.migrations")
        db.migrate()
        record = Record(db)
        await record.write("default", [ProductWrite(content, {}) for content in shop.products])
        search = _Searches(
            record,
            Meanings(shop.products, model),
            Vocabulary.of(shop.products),
            SceneFiles().get("default"),
        )
        found: Measured = {}
        for form, texts in forms.items():
            rows = [
                await search.scores(question, each)
                for question, each in zip(questions, texts, strict=True)
            ]
            for key in rows[0]:
                found[shop.name, form, *key] = np.array([row[key] for row in rows])
        db.close()
    return found


@dataclass(frozen=True, slots=True)
class _Searches:
    record: Record
    meanings: Meanings
    vocabulary: Vocabulary
    scene: Scene

    async def scores(
        self, question: TypedQuestion, texts: Sequence[str]
    ) -> dict[tuple[str, str], float]:
        """Return the mean nDCG@10 of a query's forms, by system and use of corrections."""
        found = dict[tuple[str, str], list[float]]()
        for text in texts:
            fixed = self.vocabulary.corrected(text)
            rare = text if self.vocabulary.knows_any(text) else fixed
            for use, words, meant in (
                (AS_TYPED, text, text),
                (EVERYWHERE, fixed, fixed),
                (WORDS_ALONE, fixed, text),
                (NOTHING_FOUND, rare, rare),
            ):
                for system, answer in (await self._lists(words, meant)).items():
                    found.setdefault((system, use), []).append(ndcg(answer, question.answers))
        return {key: float(np.mean(values)) for key, values in found.items()}

    async def _lists(self, words: str, meant: str) -> dict[str, list[str]]:
        by_word, near = await by_words(self.record, words), self.meanings.near(meant)
        both = {Branch.KEYWORDS: by_word, Branch.TEXT: near}
        return {
            WORDS: [product_id for product_id, _ in by_word],
            MEANING: [product_id for product_id, _ in near],
            SEARCH: fused_lists(both, self.scene.branches),
        }


def _table(found: Measured, form: str) -> BenchTable:
    uses = (EVERYWHERE, WORDS_ALONE, NOTHING_FOUND)
    shops = dict.fromkeys(shop for shop, *_ in found)
    return BenchTable(
        f"Corrections of queries, {form}: nDCG@10",
        ("", "queries", AS_TYPED, *(f"{use}: gain" for use in uses)),
        tuple(
            (
                f"{shop}: {system}",
                str(len(found[shop, form, system, AS_TYPED])),
                _shown(statistics.mean(found[shop, form, system, AS_TYPED])),
                *(_shown(_gain(found, shop, form, system, use), sign=True) for use in uses),
            )
            for shop in shops
            for system in SYSTEMS
        ),
        f"Mean over queries (95% interval); with errors {ERRORS} forms of each query. Gains are"
        " paired.",
        section=None,
    )


def _gain(found: Measured, shop: str, form: str, system: str, use: str) -> Interval:
    return statistics.mean(found[shop, form, system, use] - found[shop, form, system, AS_TYPED])


def _shown(value: Interval, *, sign: bool = False) -> str:
    form = "{:+.3f}" if sign else "{:.3f}"
    low, high = form.format(value.low), form.format(value.high)
    return f"{form.format(value.value)} ({low} to {high})"


def _figures(found: Measured) -> list[dict[str, object]]:
    return [
        {"shop": shop, "queries": form, "system": system, "use": use, "ndcg": float(values.mean())}
        for (shop, form, system, use), values in found.items()
    ]

"""The catalogs that are measured, the usual ones and all."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from bench.cases.monolith import clothing, contenders, goals, load, metrics, shoppers, texts
from bench.cases.monolith.asking import PRODUCT, Questions
from bench.cases.monolith.filled import FilledFacts, Filling, another, filled, key, wait
from bench.cases.monolith.goals import MeasuredShop
from bench.cases.monolith.load import LoadPlan
from bench.cases.monolith.made import MadeCatalog, Variants, write
from bench.cases.monolith.measuring import SuiteCase, measured
from bench.cases.monolith.texts import Speed
from bench.harness.model import Goal
from bench.peers import sentences
from local_suite.programs import ALL
from local_suite.suite import Suite
from retriever.domain.generation import IndexKind, IndexParameters

Say: TypeAlias = Callable[[str], None]

CLOTHING = "3,068 photos"
MADE = "10,000 × 256-d"
LARGE, LARGE_LITE = "100,000 × 80-d, server", "100,000 × 80-d, Milvus Lite"
TEXTS = "50,000 texts"
PLAIN, THIRTY, FIFTY = "no variants", "30 variants of each product", "variants of 50 products"
PICTURE = "3,000 products of one picture"
LONG = "only in the long form (python -m bench --full monolith)"
SHAPE = 3_100
"""Number of rows of the catalogs with and without variants, and of the one with a common picture.
"""
CROWD, EVENTS = 1_000, 20_000
ASKED = 500
"""Different texts."""
SHAPES = {
    PLAIN: MadeCatalog("plain", SHAPE, 256, Variants.NONE),
    THIRTY: MadeCatalog("thirty", SHAPE, 256, Variants.THIRTY),
    FIFTY: MadeCatalog("fifty", SHAPE, 256, Variants.FIFTY),
    PICTURE: MadeCatalog("picture", SHAPE, 256, Variants.PICTURE),
}


@dataclass(slots=True)
class MonolithShops:
    """Measured catalogs."""

    clothing: MeasuredShop
    made: MeasuredShop = field(default_factory=lambda: MeasuredShop(MADE, {}, LONG))
    large: MeasuredShop = field(default_factory=lambda: MeasuredShop(LARGE, {}, LONG))
    large_lite: MeasuredShop = field(default_factory=lambda: MeasuredShop(LARGE_LITE, {}, LONG))
    texts: MeasuredShop = field(default_factory=lambda: MeasuredShop(TEXTS, {}, LONG))
    plain: MeasuredShop = field(default_factory=lambda: MeasuredShop(PLAIN, {}, LONG))
    variants: Sequence[MeasuredShop] = tuple(
        MeasuredShop(name, {}, LONG) for name in (THIRTY, FIFTY, PICTURE)
    )
    embedded: Speed = field(default_factory=Speed)
    columns: Sequence[Goal] = (goals.columns(CLOTHING, None),)
    settings: dict[str, object] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)

    def shops(self) -> list[MeasuredShop]:
        """Return all catalogs."""
        return [
            *(self.clothing, self.made, self.large, self.large_lite, self.texts, self.plain),
            *self.variants,
        ]


def usual(say: Say) -> MonolithShops:
    """Measure the cases that fit five minutes."""
    found = _first(say, load.CALLERS)
    _made(found, say, kinds=(PRODUCT,))
    return found


def full(say: Say) -> MonolithShops:
    """Measure all cases."""
    found = _first(say, load.MORE)
    _made(found, say, CROWD, load.CALLERS)
    found.large = _large(found, LARGE, "server", IndexKind.HNSW, say)
    found.large_lite = _large(found, LARGE_LITE, "lite", IndexKind.FLAT, say)
    _texts(found, say)
    return found


def _first(say: Say, callers: Sequence[int]) -> MonolithShops:
    """Measure clothing, which all forms include."""
    if problem := contenders.environment():
        raise OSError(f"the monolith's environment can't be made: {problem}")
    found = MonolithShops(
        MeasuredShop(CLOTHING, {}, "there are no photos in $SIGHTLINE_DATA/clothing")
    )
    found.settings = {"rounds": load.ROUNDS, "seconds": load.SECONDS, "callers": callers}
    _clothing(found, say, callers)
    return found


def _clothing(found: MonolithShops, say: Say, callers: Sequence[int]) -> None:
    root, files = clothing.here()
    if not files:
        return
    filling = clothing.filling(root, files)
    in_one = partial(filling.programs, target=ALL)
    with filled(filling, say) as (suite, facts), another(filling, in_one) as one:
        wait(one, facts.photos)
        asked = clothing.asked(files)
        questions = Questions(facts.products, facts.users, asked, anchors=facts.products)
        plan = LoadPlan(questions, callers, first_views=True)
        case = SuiteCase(plan, hops=True, one=one)
        done = measured(suite, case, say)
        found.clothing = MeasuredShop(CLOTHING, done.cells)
        found.columns = (metrics.columns(CLOTHING, suite),)
        found.facts[CLOTHING] = {"filled_seconds": facts.seconds, "bytes": done.moved}


def _made(
    found: MonolithShops,
    say: Say,
    crowd: int = 0,
    callers: Sequence[int] = (1,),
    kinds: Sequence[str] = (),
) -> None:
    """Measure 10,000 products, and four catalogs of one size, see SHAPES."""
    with filled(made_filling(crowd), say) as (suite, facts):
        others = {
            name: Questions(made.buyable(), catalog=made.catalog) for name, made in SHAPES.items()
        }
        plan = LoadPlan(
            Questions(facts.products, facts.users), callers, rounds=load.ROUNDS, kinds=kinds
        )
        done = measured(suite, SuiteCase(plan, others=others), say)
        found.made = MeasuredShop(MADE, done.cells)
        found.plain = MeasuredShop(PLAIN, done.others[PLAIN])
        found.variants = [
            MeasuredShop(name, done.others[name]) for name in (THIRTY, FIFTY, PICTURE)
        ]
        found.facts[MADE] = {"filled_seconds": facts.seconds}


def made_filling(crowd: int = 0) -> Filling:
    """Fill 10,000 products into the default catalog, and catalogs with and without variants."""
    return filling("made", [MadeCatalog("default", 10_000, 256), *SHAPES.values()], crowd)


def _large(found: MonolithShops, name: str, engine: str, kind: IndexKind, say: Say) -> MeasuredShop:
    """Measure 100,000 products on one engine."""
    made = MadeCatalog("default", 100_000, 80, parameters=IndexParameters(kind=kind))
    large = filling("large", [made], CROWD, engine)
    in_one = partial(large.programs, target=ALL)
    with filled(large, say) as (suite, facts), another(large, in_one) as one:
        wait(one, facts.photos)
        questions = Questions(facts.products, facts.users)
        done = measured(suite, SuiteCase(LoadPlan(questions, load.MORE), hops=True, one=one), say)
        found.facts[name] = {"filled_seconds": facts.seconds, "bytes": done.moved}
        found.columns = (*found.columns, metrics.columns(name, suite))
        return MeasuredShop(name, done.cells, "generated vectors: no photo has a similar one")


def _texts(found: MonolithShops, say: Say) -> None:
    """Measure 50,000 products without photos, asked by text."""
    if not sentences.there():
        found.texts = MeasuredShop(TEXTS, {}, "the text model was not built (make engines)")
        return
    made = MadeCatalog("default", 50_000, 384, text_version=texts.version())
    with filled(filling("texts", [made], 0), say) as (suite, facts):
        plan = LoadPlan(Questions(texts=made.words(ASKED)), callers=(1, 8))
        done = measured(suite, SuiteCase(plan), say)
        found.texts = MeasuredShop(TEXTS, done.cells)
        found.embedded = texts.speed(suite, say)
        found.facts[TEXTS] = {
            "filled_seconds": facts.seconds,
            "texts_per_second": found.embedded.suite,
            "raw_texts_per_second": found.embedded.raw,
        }


def filling(
    name: str, catalogs: Sequence[MadeCatalog], crowd: int = CROWD, engine: str = "lite"
) -> Filling:
    """Return how to fill a suite with made catalogs.

    `crowd`: the shoppers of the first one; 0 = none, and no model.
    """
    first = catalogs[0]

    def fill(suite: Suite, say: Say) -> FilledFacts:
        photos = {made.catalog: made.photo_count for made in catalogs if not made.text_version}
        since, users = time.monotonic(), list[str]()
        wait(suite, photos)
        say(f"{name}: found {time.monotonic() - since:.0f} s after the start")
        if crowd:
            target = suite.addresses()["gateway"]
            users = shoppers.learned(target, first.kinds(), EVENTS, crowd)
            say(f"{name}: trained after {time.monotonic() - since:.0f} s")
        return FilledFacts(first.buyable(), users, photos)

    return Filling(
        key(name, list(map(repr, catalogs)), EVENTS, crowd, shoppers.SEED),
        fill,
        prepare=lambda data: write(data, catalogs),
        catalogs=[made.catalog for made in catalogs],
        spaces="text" if first.text_version else "visual",
        engine=engine,
    )

"""Comparison of the suite with the alternative that a user would build: one process.

Both have the same catalog, vectors and model on one machine and answer the same requests in
alternation. Compared are the processor time of all their processes for an answer, latency, and
answers a second. `filled` caches filled suites under .cache, so that a second run starts quickly.
"""

from collections.abc import Callable
from typing import TypeAlias

from bench.cases.monolith import cases, goals, tables
from bench.cases.monolith.goals import LARGE, SMALL
from bench.harness.model import BenchResult, Goal

Say: TypeAlias = Callable[[str], None]


def run(say: Say) -> BenchResult:
    """Measure the cases that fit five minutes."""
    return result(cases.usual(say))


def full(say: Say) -> BenchResult:
    """Measure also 100,000 products on both engines, and 50,000 texts."""
    return result(cases.full(say))


def result(found: cases.MonolithShops) -> BenchResult:
    """Return tables, figures and goals of the measurements."""
    measured = [shop for shop in found.shops() if shop.cells]
    beside = [shop for shop in measured if shop not in (found.plain, *found.variants)]
    shown = [table for shop in beside if (table := tables.by_process(shop)).rows]
    shown += [tables.end_to_end(shop) for shop in beside]
    if found.plain.cells:
        shown.append(tables.shapes(found.plain, found.variants))
    return BenchResult(
        tables=tuple(shown),
        goals=_goals(found),
        figures={
            "settings": found.settings,
            "cells": [each for shop in measured for each in tables.figures(shop)],
            "facts": found.facts,
        },
        warnings=tuple(tables.warnings(measured)),
    )


def _goals(found: cases.MonolithShops) -> list[Goal]:
    """Return all goals in the order of their table."""
    return [
        *goals.beside_monolith(found.clothing, SMALL),
        *goals.apart(found.clothing),
        *goals.one_process(found.clothing),
        *goals.faster(found.clothing),
        *goals.gateway(found.clothing),
        *goals.variants(found.plain, found.variants),
        *goals.beside_monolith(found.large, LARGE),
        *goals.gateway(found.large),
        goals.growth(found.clothing, found.large),
        goals.text(found.texts),
        found.embedded.goal(found.texts.missing),
        *found.columns,
    ]

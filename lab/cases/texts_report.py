"""Tables, figures and goals of the bench `texts`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bench.harness import statistics
from bench.harness.model import BenchTable, Goal, Interval, PageBlock
from lab.datasets import asked
from lab.datasets.asked import LANGUAGES
from lab.peers.texts_rivals import FORMS, named_lists

TITLES, FIELDS = "BM25 on titles (SQLite)", "BM25 on all fields (SQLite)"
WORDS, MEANING = "words", "text space"
TOGETHER, SUMMED = "both, fused by places (Search)", "both, summed (Recommend)"
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of words that are tried, relative to 1 for the text space."""
LOOKS, WITH_LOOKS = "text_visual", "text space + text_visual, fused by places"
THIRDS = 3
NDCG, HIT = "nDCG@10", "hit@10"
LEARNED = "names left out"
SAID = ", language said"
"""Suffix of kinds of queries whose request has their language's code."""
LEAST = {"German": 0.6, "Chinese": 0.45}
"""Goals of nDCG@10 by language."""
MOST_LOST = 0.01
"""Goal of what English queries may lose against the English network alone."""
MOST_COST = 1.5
"""Goal of the processor time of a query's vector, relative to the English network alone."""

Say: TypeAlias = Callable[[str], None]
Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """A system's figures for queries of one kind, one per query."""

    ndcg: Doubles
    hit: Doubles


Untitled: TypeAlias = dict[str, Doubles]
"""nDCG@10 of typical queries, by system."""
Costs: TypeAlias = tuple[Doubles, Doubles]
"""Processor seconds of a query's vector by the text model and by the English network alone, in
alternation."""
Found: TypeAlias = dict[tuple[str, str], dict[str, Scores]]
"""Figures by shop and kind, then by system."""


def looks_table(untitled: Untitled) -> Iterable[BenchTable]:
    if untitled:
        yield BenchTable(
            f"Groceries of which a third has photos and no words: {NDCG} of typed queries",
            ("", NDCG, "more than the text space"),
            tuple(
                (
                    system,
                    statistics.mean(scores).shown(),
                    ""
                    if system == MEANING
                    else statistics.mean(scores - untitled[MEANING]).shown(sign=True),
                )
                for system, scores in untitled.items()
            ),
            "Each third is left without texts once; mean of the three. The space is fitted on all"
            " photos, and its map from texts on the remaining titles.",
            section=None,
        )


def untitled_figures(untitled: Untitled) -> list[dict[str, object]]:
    return [
        {"system": system, "ndcg": vars_of(statistics.mean(scores))}
        for system, scores in untitled.items()
    ]


def tables_of(found: Found, earlier: Found) -> Iterable[BenchTable]:
    kinds = [key for key in found if not spoken(key[1])]
    yield BenchTable(
        f"Products found by texts: {NDCG} and {HIT}",
        ("", "queries", NDCG, HIT, f"{NDCG}, more than BM25 on titles"),
        tuple(
            (
                f"{shop}, {kind}: {system}",
                str(len(scores.ndcg)),
                statistics.mean(scores.ndcg).shown(),
                statistics.mean(scores.hit).shown(),
                "" if system == TITLES else _gain(found[shop, kind], system).shown(sign=True),
            )
            for shop, kind in kinds
            for system, scores in _main(found[shop, kind]).items()
        ),
        "Mean over queries (95% interval); differences are paired by query.",
        section=None,
    )
    by_language = [key for key in found if spoken(key[1])]
    if by_language:
        shown = [system for system in _main(found[by_language[0]]) if system != FIELDS]
        yield BenchTable(
            "Groceries named in other languages; titles are English",
            ("", *shown, f"{MEANING} of the English network alone"),
            tuple(
                (
                    key[1],
                    *(_both(found[key][system]) for system in shown),
                    _both(earlier[key][MEANING]) if key in earlier else "",
                )
                for key in by_language
            ),
            f'{NDCG} / {HIT}, mean over {len(asked.NAMES)} names. "{SAID.lstrip(", ")}": the'
            " request has the language's code.",
            section=None,
        )

    if any(MEANING in systems for systems in found.values()):
        yield _shares_table(found, kinds)


def page_of(found: Found, earlier: Found, costs: Costs | None) -> dict[str, PageBlock]:
    """Return the page's blocks: a row for each kind of query, and one for each language."""
    return {
        "texts": PageBlock((_kinds_table(found),), goals_of(found)),
        "texts_languages": PageBlock(
            (_languages_table(found, earlier),), language_goals(found, earlier, costs)
        ),
    }


def _kinds_table(found: Found) -> BenchTable:
    """Return a row for each kind of query, whose systems are the columns."""
    systems = (TITLES, FIELDS, WORDS, MEANING, TOGETHER, SUMMED)

    def cell(key: tuple[str, str], system: str) -> str:
        gain = _gain(found[key], system)
        more = f" ({gain.low:+.2f} to {gain.high:+.2f})" if system in (TOGETHER, SUMMED) else ""
        return f"{found[key][system].ndcg.mean():.3f}{more}"

    return BenchTable(
        f"Products found by texts: {NDCG}",
        ("queries", "number", *systems),
        tuple(
            (f"{key[0]}, {key[1]}", str(len(by[TITLES].ndcg)), *(cell(key, one) for one in systems))
            for key, by in found.items()
            if not spoken(key[1])
        ),
        "Mean over queries; in brackets the 95% interval of the gain over BM25 on titles, paired by"
        " query.",
        section=None,
    )


def _languages_table(found: Found, earlier: Found) -> BenchTable:
    """Return a row for each language, unsaid and said."""
    names = [kind for _, kind in found if kind in LANGUAGES]

    def row(name: str) -> tuple[str, ...]:
        unsaid, said = ("groceries", name), ("groceries", f"{name}{SAID}")
        cells = (found[unsaid][WORDS], earlier[unsaid][MEANING], found[unsaid][MEANING])
        return (name, *map(_both, cells), _both(found[said][MEANING]))

    return BenchTable(
        "Groceries named in other languages; titles are English",
        ("language", WORDS, "English network alone", MEANING, f"{MEANING}{SAID}"),
        tuple(map(row, names)),
        f"{NDCG} / {HIT}, mean over {len(asked.NAMES)} names. *Said*: the request has the"
        " language's code.",
        section=None,
    )


def _shares_table(found: Found, kinds: Sequence[tuple[str, str]]) -> BenchTable:
    """Return the table of the weight of words."""
    return BenchTable(
        f"How much words count against the text space: {NDCG}",
        ("", *(f"× {share:g}" for share in SHARES)),
        tuple(
            (
                f"{shop}, {kind}: {form}",
                *(
                    f"{found[shop, kind][named_lists(form, share)].ndcg.mean():.3f}"
                    for share in SHARES
                ),
            )
            for shop, kind in kinds
            for form in FORMS
        ),
        "The default scene's weights were chosen by this table: it can't show how good they are on"
        " other queries.",
        section=None,
    )


def _main(systems: Mapping[str, Scores]) -> Mapping[str, Scores]:
    """Return the systems without the trials of weights."""
    return {name: scores for name, scores in systems.items() if "words ×" not in name}


def _gain(systems: Mapping[str, Scores], system: str) -> Interval:
    return statistics.mean(systems[system].ndcg - systems[TITLES].ndcg)


def spoken(kind: str) -> bool:
    """Return whether queries of this kind are names in one language."""
    return kind.removesuffix(SAID) in LANGUAGES


def _both(scores: Scores) -> str:
    return f"{scores.ndcg.mean():.3f} / {scores.hit.mean():.2f}"


def language_goals(found: Found, earlier: Found, costs: Costs | None) -> list[Goal]:
    """Return the goals of other languages, of English compared with the English network alone
    (`earlier`), and of the cost."""
    english = [key for key in found if not spoken(key[1]) or key[1] == "English"]
    lost = None
    if earlier:
        both = (SUMMED, TOGETHER)
        gains = [found[k][s].ndcg - earlier[k][s].ndcg for k in english for s in both]
        lost = statistics.mean(np.concatenate(gains))
    ratio = None if costs is None else statistics.median_ratio(costs[0].tolist(), costs[1].tolist())
    return [
        *(
            Goal(
                f"groceries named in {language}: {NDCG} of the text space",
                at_most=None,
                unit="",
                measured=_of_language(found, language),
                at_least=least,
            )
            for language, least in LEAST.items()
        ),
        Goal(
            f"English queries: {NDCG}, more than with the English network alone",
            at_most=None,
            unit="",
            measured=lost,
            at_least=-MOST_LOST,
        ),
        Goal(
            "a query's vector: processor time ÷ the English network alone",
            at_most=MOST_COST,
            unit="",
            measured=ratio,
        ),
    ]


def _of_language(found: Found, language: str) -> Interval | None:
    systems = found.get(("groceries", language), {})
    return statistics.mean(systems[MEANING].ndcg) if MEANING in systems else None


def goals_of(found: Found) -> list[Goal]:
    """Return the goals: each kind of query better than by BM25 on titles."""
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


def figures_of(found: Found) -> list[dict[str, object]]:
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
    """Return an interval for JSON."""
    return {"value": value.value, "low": value.low, "high": value.high}

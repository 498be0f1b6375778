"""Reasons for a product's position: a code, parameters and a sentence. They follow from the parts
of the raw score: each of the two largest positive parts gives a reason, if it is at least a fifth
of the sum of positive parts. NEW, the reason of an exploration position, is first.

===================  ===================================================  ==================
code                 when                                                 parameters
===================  ===================================================  ==================
NEW                  it was given an exploration place
of BRANCHES          a branch's score, by the kind of the branch          cosine, match
                                                                          or score
LIKED_TOGETHER       similarity of behaviour                              cosine
of BEHAVIOUR         a part of BY_LAST: the last product that adds most   product_id
VIEWED_RECENTLY      a part of BY_LAST: only the product itself adds
MATCHES_TASTE        taste, content: the feature that adds most to the    feature, value
                     score
of BEHAVIOUR         any other part of behaviour
===================  ===================================================  ==================

Callers that know titles can replace the sentence of a reason with a product_id; see the gateway.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat

import numpy as np

from ranker.domain.arrays import Doubles, Ints
from ranker.domain.features import split
from ranker.serving.ranking.breakdown import Evidence
from ranker.serving.ranking.parts import CONTENT, TASTE
from sightline_core.branch import BRANCHES, Branch, BranchKind
from sightline_core.parts import BEHAVIOUR, NUMBERS
from sightline_core.reasons import Reason, sentence

Parameters = tuple[tuple[str, str], ...]
ReasonKey = tuple[str, Parameters]
"""Code and parameters."""
NEW: ReasonKey = ("NEW", ())

LARGEST = 2
LEAST_SHARE = 0.2

_MEASURES = {
    BranchKind.SPACE: "cosine",
    BranchKind.WORDS: "match",
    BranchKind.COUNTS: "score",
}
_BY_BRANCH: Mapping[str, tuple[str, str]] = {
    **{
        branch: (one.reason, _MEASURES[one.kind])
        for branch, one in BRANCHES.items()
        if one.kind in _MEASURES
    },
    Branch.COLLABORATIVE: ("LIKED_TOGETHER", "cosine"),
}
"""Code of a part that is a branch's score, and the name of the parameter that holds it."""


def explain(
    evidence: Evidence, language_code: str, explored: frozenset[int] = frozenset()
) -> tuple[tuple[Reason, ...], ...]:
    """Return the reasons of each ranked product, strongest first. `language_code` is BCP 47;
    unsupported languages get English. `explored`: positions (from 0) that exploration filled.
    """
    keys: list[tuple[ReasonKey, ...]] = [()] * evidence.ranking.rows.size
    places, spoken = _speaking(evidence.ranking.parts)
    numbers, names = spoken.tolist(), [*evidence.ranking.parts]
    sources = evidence.sources({*map(names.__getitem__, numbers)})
    columns = dict[int, Mapping[int, ReasonKey]]()
    for number in {*numbers}:
        own = places[spoken == number]
        found = _evidence_of(evidence, names[number], sources, own)
        columns[number] = dict(zip(own.tolist(), found, strict=False))
    for place, number in zip(places.tolist(), numbers, strict=True):
        keys[place] += (columns[number][place],)
    for place in explored:
        if place < len(keys):
            keys[place] = (NEW, *keys[place])
    return tuple(map(_reasons, repeat(language_code), keys))


@lru_cache(4096)
def _reasons(language_code: str, keys: Sequence[ReasonKey]) -> tuple[Reason, ...]:
    """Return the reasons of a product, none twice."""
    return tuple([_reason(language_code, *key) for key in dict.fromkeys(keys)])


@lru_cache(4096)
def _reason(language_code: str, code: str, parameters: Parameters) -> Reason:
    """Return the reason with its sentence, cached: hundreds of products share a few."""
    named = dict(parameters)
    key = f"{code}/{named.get('feature', '')}"
    template = sentence(key, language_code) or sentence(code, language_code)
    # A branch without a sentence: its name comes from the caller and must not be used as a
    # template.
    return Reason(code, code if template is None else template.format(**named), parameters)


def _speaking(parts: Mapping[str, Doubles]) -> tuple[Ints, Ints]:
    """Return the position of a product and the index of a part for each part that gives a reason,
    by position, then largest first."""
    values = np.array([*parts.values()]).T.copy()
    if not values.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    least = LEAST_SHARE * np.add.reduce(np.maximum(values, 0), axis=1)
    order = (-values).argsort(axis=1, kind="stable")[:, :LARGEST]
    largest = values[np.arange(len(values))[:, None], order]
    places, ranks = ((largest > 0) & (largest >= least[:, None])).nonzero()
    return places, order[places, ranks]


def _evidence_of(
    evidence: Evidence, part: str, sources: Mapping[str, Sequence[str]], places: Ints
) -> Iterable[ReasonKey]:
    """Return code and parameters of a part's reason for the ranked products at `places`."""
    if part in (TASTE, CONTENT):
        return map(_by_feature, evidence.strongest(part, places))
    if part in sources:
        best = map(sources[part].__getitem__, places.tolist())
        return map(_by_product, repeat(BEHAVIOUR[part].reason), best)
    if part in BEHAVIOUR:  # of the last products' parts: the shopper has fewer events than then
        return repeat((BEHAVIOUR[part].reason, ()))
    if part in NUMBERS:  # the gateway words it: the value of a margin tells a cost
        return repeat((part.upper(), ()))
    similarities = evidence.candidates.similarities[part][evidence.ranking.rows[places]].tolist()
    code, named = _BY_BRANCH.get(part) or (part.upper(), "cosine")
    return [(code, ((named, f"{similarity:.3f}"),)) for similarity in similarities]


@lru_cache(4096)
def _by_product(code: str, item: str) -> ReasonKey:
    """Return the reason by a last product; "": only the product itself adds anything."""
    return (code, (("product_id", item),)) if item else ("VIEWED_RECENTLY", ())


@lru_cache(4096)
def _by_feature(feature: str) -> ReasonKey:
    """Return the reason by a feature; "": without one."""
    kind, value = split(feature)
    return "MATCHES_TASTE", (("feature", kind), ("value", value)) if feature else ()

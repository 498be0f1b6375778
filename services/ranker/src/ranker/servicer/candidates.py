"""Candidates and weights of a request to rank, checked. Edge: translates and decides nothing. Whole
columns are checked before single entries, because a request has hundreds of candidates and is
nearly always valid.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import methodcaller
from typing import Any

import numpy as np

from ranker.domain.arrays import Doubles, Ints
from ranker.domain.columns import check_lengths, products_of, read_lazily
from ranker.servicer.messages import of_floats
from ranker.servicer.requests import check_range, refuse
from ranker.serving.ranking import parts, rank
from ranker.serving.ranking.objective import ObjectiveGoal, Offers
from ranker.serving.ranking.order import CollapseKeys
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline_rules.categories import MAX_LEVEL_CHARACTERS, MAX_LEVELS, SEPARATOR
from sightline_rules.ids import MAX_ID_BYTES, IdInvalidError, check_id

MOST_CANDIDATES = 2000
MOST_BRANCHES = 32
MOST_OWN = 100
MOST_EXPLAINED = 200
MOST_PAIRED = 20_000
MOST_WEIGHT = 1000.0
MOST_NAME = 64
_NAMED = frozenset(range(1, MOST_NAME + 1))
"""Lengths of a name."""
BAD_NAME = f"is empty, longer than {MOST_NAME} characters or named twice"
MOST_PATH = MAX_LEVELS * MAX_LEVEL_CHARACTERS + (MAX_LEVELS - 1) * len(SEPARATOR)

_separators: Callable[[str], int] = methodcaller("count", SEPARATOR)


def candidates_of(request: pb.RankRequest) -> rank.RankCandidates:
    """Return the candidates with their signals; RequestInvalid."""
    columns = request.candidates
    ids = tuple(columns.product_ids)
    check_range("candidates.product_ids", len(ids), 1, MOST_CANDIDATES)
    check_lengths(columns, "candidates")
    similarities = [of_floats(branch.similarities) for branch in request.branches]
    fused = of_floats(request.fused) if request.fused else np.zeros(len(ids))
    refuse(
        [
            *_id_problems(ids),
            *_path_problems(columns.category_paths),
            *_branch_problems(request.branches, similarities, len(ids)),
            *_fused_problems(fused, len(ids)),
        ]
    )
    names, rules = [branch.branch for branch in request.branches], request.diversity
    return read_candidates(
        *(columns, dict(zip(names, similarities, strict=True)), fused),
        *(rules, goal_of(rules.objective)),
    )


def read_candidates(
    columns: Any,
    similarities: Mapping[str, Doubles],
    fused: Doubles,
    rules: Any,
    goal: ObjectiveGoal,
) -> rank.RankCandidates:
    """Return the candidates of columns of equal lengths, with what these rules and this objective
    read of them."""
    ids, created = tuple(columns.product_ids), columns.create_time_micros
    explores = rules.exploration_places and len(created)
    by_category = rules.diversity or rules.calibrated or rules.category_caps
    arranged = by_category or rules.brand_cap
    return rank.RankCandidates(
        ids=ids,
        products=read_lazily(columns),
        similarities=similarities,
        fused=fused,
        created_micros=np.array(created, np.int64) if explores else None,
        offers=offers_of(columns) if goal.has_price else None,
        brands=(columns.brands or [""] * len(ids)) if arranged else None,
        categories=(columns.category_paths or [""] * len(ids)) if arranged else None,
    )


@lru_cache
def goal_of(value: pb.Diversity.Objective.ValueType) -> ObjectiveGoal:
    """Return the objective; one that only a newer gateway knows becomes UNSPECIFIED."""
    if value not in pb.Diversity.Objective.values():
        return ObjectiveGoal.UNSPECIFIED
    return ObjectiveGoal(pb.Diversity.Objective.Name(value).removeprefix("OBJECTIVE_"))


def offers_of(columns: Any) -> Offers | None:
    """Return prices and costs of columns of checked lengths; None if they have no prices."""
    count = len(columns.product_ids)
    if not columns.price_micros or not columns.currencies:
        return None
    costs = columns.cost_micros if columns.cost_currencies else ()
    return Offers(
        np.array(columns.price_micros, np.int64),
        list(columns.currencies),
        np.array(costs or [-1] * count, np.int64),
        list(columns.cost_currencies) if costs else [""] * count,
    )


def explained_of(
    request: pb.GiveReasonsRequest,
) -> tuple[rank.RankCandidates, Mapping[str, Doubles]]:
    """Return the products to explain and the parts of their scores; RequestInvalid."""
    columns, given = request.candidates, request.parts
    ids = tuple(columns.product_ids)
    check_range("candidates.product_ids", len(ids), 1, MOST_EXPLAINED)
    found = {part.name: np.array(part.values, np.float64) for part in given}
    problems = [
        *_id_problems(ids),
        *_path_problems(columns.category_paths),
        *_part_problems(given, len(ids)),
    ]
    if max(request.explored_places, default=0) >= len(ids):
        problems.append(("explored_places", "holds an index beyond the candidates"))
    refuse(problems)
    products = products_of(columns, "candidates")
    return rank.RankCandidates(ids, products, {}, np.zeros(len(ids))), found


def _part_problems(given: Sequence[pb.PartColumn], count: int) -> Iterable[tuple[str, str]]:
    if len(given) > MOST_BRANCHES + len(parts.OWN_PARTS):
        yield "parts", f"has more than {MOST_BRANCHES + len(parts.OWN_PARTS)} entries"
    names = Counter(part.name for part in given)
    for place, part in enumerate(given):
        if not 0 < len(part.name) <= MOST_NAME or names[part.name] > 1:
            yield f"parts[{place}].name", BAD_NAME
        if len(part.values) != count:
            problem = f"has {len(part.values)} entries for {count} products"
            yield f"parts[{place}].values", problem
        elif not np.isfinite(part.values).all():
            yield f"parts[{place}].values", "holds a value that is not finite"


def likeness_of(request: pb.RankRequest) -> CollapseKeys:
    """Return the keys by which near-duplicates among checked candidates collapse;
    RequestInvalid."""
    own, pairs = request.query_products, request.same_pictures
    check_range("query_products.product_ids", len(own.product_ids), 0, MOST_OWN)
    check_range("same_pictures", len(pairs), 0, MOST_PAIRED)
    check_lengths(own, "query_products")
    same = np.array(pairs, np.int64)
    if len(same) % 2 or same.max(initial=-1) >= len(request.candidates.product_ids):
        refuse([("same_pictures", "is not a list of pairs of indexes into `candidates`")])
    return collapse_keys(own, request.candidates, same)


def collapse_keys(own: Any, columns: Any, pairs: Ints) -> CollapseKeys:
    """Return the keys of columns of equal lengths; `pairs`: see RankRequest.same_pictures."""
    families, hashes = list[str](), list[int]()
    for each in (own, columns):
        ids, parents = each.product_ids, each.parent_ids
        named = zip(parents, ids, strict=True) if parents else ()
        families += [parent or item for parent, item in named] or ids
        hashes += each.image_hashes or [0] * len(ids)
    return CollapseKeys(
        len(own.product_ids), families, np.array(hashes, np.uint64), pairs.reshape(-1, 2)
    )


def weights_of(given: Sequence[pb.PartWeight]) -> dict[str, float]:
    """Return the weight of each part. Raise RequestInvalid."""
    weights = {one.part: one.weight for one in given}
    wrong = [one for one in weights.values() if not 0 <= one <= MOST_WEIGHT]
    if not wrong and len(weights) == len(given) and {*map(len, weights)} <= _NAMED:
        return weights
    names = Counter(weight.part for weight in given)
    for place, weight in enumerate(given):
        path = f"weights[{place}]."
        if not 0 < len(weight.part) <= MOST_NAME or names[weight.part] > 1:
            refuse([("part", BAD_NAME)], path)
        if not (math.isfinite(weight.weight) and 0 <= weight.weight <= MOST_WEIGHT):
            refuse([("weight", f"is not within 0 and {MOST_WEIGHT:g}")], path)
    return weights


def _id_problems(ids: Sequence[str]) -> Iterable[tuple[str, str]]:
    known, text = set(ids), "".join(ids)
    if len(known) != len(ids):
        yield "candidates.product_ids", "holds an id twice"
    plain = text.isascii() and text.isprintable()
    if plain and "" not in known and max(map(len, ids)) <= MAX_ID_BYTES:
        return  # a fast path for valid ids, twenty times faster
    for place, item in enumerate(ids):
        try:
            check_id(item)
        except IdInvalidError as error:
            yield f"candidates.product_ids[{place}]", str(error)


def _path_problems(paths: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Yield paths that are too deep: each level becomes a feature, which takes memory."""
    known = {*paths}
    levels = max(map(_separators, known), default=0)
    if levels >= MAX_LEVELS or max(map(len, known), default=0) > MOST_PATH:
        bad = {
            path for path in known if len(path) > MOST_PATH or path.count(SEPARATOR) >= MAX_LEVELS
        }
        problem = f"has more than {MAX_LEVELS} levels or {MOST_PATH} characters"
        for place, path in enumerate(paths):
            if path in bad:
                yield f"candidates.category_paths[{place}]", problem


def _branch_problems(
    branches: Sequence[pb.BranchSignal], similarities: Sequence[Doubles], count: int
) -> Iterable[tuple[str, str]]:
    if len(branches) > MOST_BRANCHES:
        yield "branches", f"has more than {MOST_BRANCHES} entries"
    names = [branch.branch for branch in branches]
    for place, (branch, values) in enumerate(zip(branches, similarities, strict=True)):
        path = f"branches[{place}]"
        if not 0 < len(branch.branch) <= MOST_NAME or names.count(branch.branch) > 1:
            yield f"{path}.branch", BAD_NAME
        elif branch.branch in parts.OWN_PARTS:
            yield f"{path}.branch", "is the name of a part that the ranker computes"
        if len(values) != count:
            yield f"{path}.similarities", f"has {len(values)} entries for {count} products"
        elif np.isinf(values).any():
            yield f"{path}.similarities", "holds an infinite value"


def _fused_problems(fused: Doubles, count: int) -> Iterable[tuple[str, str]]:
    if len(fused) != count:
        yield "fused", f"has {len(fused)} entries for {count} products"
    elif not (np.isfinite(fused) & (fused >= 0)).all():
        yield "fused", "holds values that are negative or not finite"

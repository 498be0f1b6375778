"""Checks of a whole scene whose entries are valid separately. Pure."""

from collections.abc import Iterator, Mapping, Set

from gateway.model.scene import AFFINITY, ATTRIBUTE, Scene
from sightline_core.branch import (
    ABOUT,
    ANCHORED,
    BY_HISTORY,
    OF_SHOPPERS,
    RECOMMENDERS,
    SCORED,
    Branch,
)
from sightline_core.parts import BEHAVIOUR, BY_LAST, NUMBERS
from sightline_core.ranking import AnchorSource, Objective

HISTORY = "parts_with_history"
ANCHORS = ", ".join(each for each in RECOMMENDERS if each in ANCHORED)


def problems(scene: Scene) -> Iterator[str]:
    """Yield the problems that make the scene unusable: contradictions, or no source of products.

    Each begins with the entry.
    """
    used, tables = scene.used, _tables(scene)
    if not used and not (scene.popular_fallback or scene.new_fallback):
        yield "branches: no branch is used and both fallbacks are off, so no product can be found"
    if not any(_live(scene, *table) for table in tables.items()):
        branches = sorted(used.intersection(SCORED)) or BEHAVIOUR
        parts = ", ".join(branches)
        yield f"{' and '.join(tables)}: all scores would be 0: give a weight to one of {parts}"
    yield from _number_problems(scene)
    if scene.anchors_look_alike and Branch.VISUAL not in used:
        yield "anchors_look_alike: needs the branch visual, which is not used"
    if scene.other_categories and not (used & ANCHORED or scene.anchors_look_alike):
        yield f"other_categories: no branch uses anchors: use {ANCHORS} or {Branch.VISUAL}"
    if scene.other_categories and scene.answer_anchors:
        yield "other_categories: excludes the anchors, which contradicts answer_anchors"
    if scene.answer_anchors and scene.anchors_look_alike:
        yield (
            "answer_anchors: contradicts anchors_look_alike, since an answer never contains the "
            "products that are searched by"
        )
    if scene.followed_attribute and Branch.FOLLOWED not in used:
        yield "followed_attribute: the branch followed is not used"
    if not scene.followed_attribute and Branch.FOLLOWED in used:
        yield "branches.followed: needs followed_attribute"
    if scene.drop_seen and used and used <= OF_SHOPPERS:
        yield "drop_seen: excludes all products of the branches"


def _number_problems(scene: Scene) -> Iterator[str]:
    """Yield parts by attributes without a scale, a strength without an objective, and two sources
    of anchors."""
    if scene.parts_with_history and scene.anchors_from.is_history:
        yield "parts_with_history: contradicts anchors_from, which finds anchors in events too"
    for name in ("parts_with_signals", "parts_without_signals", HISTORY):
        for part in getattr(scene, name):
            if part.startswith(ATTRIBUTE) and part not in _attributes(scene):
                attribute = part.removeprefix(ATTRIBUTE)
                yield f"{name}.{part}: needs numbers.attributes.{attribute} with least and most"
    if scene.objective_strength and scene.objective is Objective.UNSPECIFIED:
        yield "objective_strength: needs objective"


def warnings(scene: Scene) -> Iterator[str]:
    """Yield entries of a usable scene that have no effect. Each begins with the entry."""
    used, tables = scene.used, _tables(scene)
    for name, weights in tables.items():
        if not _live(scene, name, weights):
            yield f"{name}: all scores are 0 there: the order is that of the branches"
        for part, weight in weights.items():
            if weight > 0 and part in _idle(scene, name):
                yield f"{name}.{part}: " + (
                    "only parts_with_history has it"
                    if part == AFFINITY
                    else f"the branch {part} is not used"
                )
    yield from _unused_scales(scene)
    for branch in sorted(used.intersection(RECOMMENDERS)):
        if not any(weights.get(branch) for weights in tables.values()):
            yield f"branches.{branch}: has no part in scores: other parts order its products"
    by_last = any(weights.get(part) for weights in tables.values() for part in BY_LAST)
    by_anchors = used & ANCHORED or scene.anchors_look_alike or by_last
    if scene.anchors_from is not AnchorSource.REQUEST and not by_anchors:
        yield "anchors_from: no branch or part uses anchors"
    learned = any(weights.get(part) for weights in tables.values() for part in BEHAVIOUR)
    if scene.ranking.model and not (learned or Branch.COLLABORATIVE in used):
        yield "ranking.model: no part uses a model: no part of behavior has a weight"


def _unused_scales(scene: Scene) -> Iterator[str]:
    """Yield scales of attributes that no part uses."""
    for part in _attributes(scene):
        if not (scene.parts_with_signals.get(part) or scene.parts_without_signals.get(part)):
            yield f"numbers.attributes.{part.removeprefix(ATTRIBUTE)}: has no weight"


def _tables(scene: Scene) -> Mapping[str, Mapping[str, float]]:
    """Return the tables of weights of parts that can apply."""
    without = {"parts_without_signals": scene.parts_without_signals}
    if scene.parts_with_history:
        without[HISTORY] = scene.parts_with_history
    if scene.used & ABOUT:
        return {"parts_with_signals": scene.parts_by_signals, **without}
    return without


def _used(scene: Scene, table: str) -> frozenset[str]:
    """Return the branches that have parts by this table of weights."""
    return scene.used.union(BY_HISTORY if table == HISTORY else ())


def _idle(scene: Scene, table: str) -> Set[str]:
    """Return the parts that no product has by this table of weights."""
    unknown = () if table == HISTORY else (AFFINITY,)
    return {*SCORED, Branch.COLLABORATIVE, *unknown} - _used(scene, table)


def _live(scene: Scene, table: str, weights: Mapping[str, float]) -> bool:
    """Return whether a score can differ from 0."""
    live = {*BEHAVIOUR, *NUMBERS, *_attributes(scene), *_used(scene, table).intersection(SCORED)}
    if table == HISTORY:
        live.add(AFFINITY)
    return any(weight > 0 for part, weight in weights.items() if part in live)


def _attributes(scene: Scene) -> list[str]:
    """Return the parts by attributes that the scene scales."""
    return [f"{ATTRIBUTE}{name}" for name in scene.numbers.attributes]

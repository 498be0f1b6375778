"""Rules of a request and its scene that concern one product, for its explanation."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from gateway.model.controls import ActiveControl, ControlOutcomes, ControlState
from gateway.model.diversity import Diversity
from gateway.model.explanation import PlaceCap, ProductControl
from gateway.model.query import RequestQuery
from gateway.model.scene import Scene
from gateway.recommend.controls.step import Matching, subjects
from sightline_core.candidates import FusedCandidates
from sightline_core.columns import ProductColumns
from sightline_core.reasons import MoveCause
from sightline_rules import categories


def controls_given(query: RequestQuery, scene: Scene) -> list[ActiveControl]:
    """Return the controls of a request and those of its scene, active or not."""
    own = [ActiveControl(each, "") for each in query.controls]
    return [*own, *(ActiveControl(each, scene.name) for each in scene.controls)]


async def controls_of(
    product: ProductColumns,
    given: Sequence[ActiveControl],
    outcomes: ControlOutcomes,
    match: Matching,
    counted: Callable[[Sequence[str]], Awaitable[Mapping[str, int]]],
) -> tuple[ProductControl, ...]:
    """Return those of the controls that select a product. `outcomes`: those of the request's
    controls; an active pin has none. `counted`: returns today's pages of controls."""
    (product_id,) = product.product_ids
    chosen = await subjects(product, [each.control for each in given], match)
    own = [each for each, ids in zip(given, chosen, strict=True) if product_id in ids]
    budgeted = [each.key for each in own if each.control.daily_budget]
    counts = await counted(budgeted) if budgeted else {}
    states = {(each.scene, each.control): each.state for each in outcomes}
    return tuple(
        ProductControl(
            each,
            states.get((each.scene, each.control.name), ControlState.APPLIED),
            counts.get(each.key, 0) if each.control.daily_budget else 0,
        )
        for each in own
    )


def caps_of(
    rules: Diversity, product_id: str, candidates: FusedCandidates, order: Sequence[str]
) -> tuple[PlaceCap, ...]:
    """Return the limits that concern a candidate. `order`: the ids of all in their final order."""
    if not (rules.brand_cap or rules.category_caps):
        return ()
    places = candidates.places
    rows = [places[each] for each in (product_id, *order[: rules.cap_places])]
    paths = [categories.split(each) for each in _values(candidates, "category_paths", rows)]
    limits = [(MoveCause.BRAND_CAP, _values(candidates, "brands", rows), rules.brand_cap)]
    for level, limit in rules.category_caps:
        above = [categories.join(each[:level]) for each in paths]
        limits.append((MoveCause.CATEGORY_CAP, above, limit))
    return tuple(
        PlaceCap(cause, own, limit, rules.cap_places, first.count(own))
        for cause, (own, *first), limit in limits
        if limit and own
    )


def _values(candidates: FusedCandidates, name: str, rows: Sequence[int]) -> list[str]:
    """Return a column's values; empty ones if it has none."""
    found = candidates.columns.read(name, "")
    return [found[row] for row in rows] if found else [""] * len(rows)

"""Answers of a scene that is not in use, to requests that were made: nothing is recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gateway.model.errors import NothingAvailable
from gateway.model.price import RequestPrice
from gateway.model.query import RequestQuery
from gateway.model.scene import Scene
from gateway.ports import SceneSource
from gateway.recommend.answer_report import degraded
from gateway.recommend.charge import covered
from gateway.recommend.controls.step import apply_controls
from gateway.recommend.final_order import fused, order_candidates
from gateway.recommend.pages import read_page
from gateway.recommend.recommend import find_candidates, showable
from gateway.state.request_context import RequestContext, RequestDependencies
from servicekit import deadlines
from servicekit.errors import ServiceError
from sightline_core.candidates import CandidateList
from sightline_core.degradations import DegradationCause
from sightline_core.parts import MARGIN
from sightline_core.ranking import Objective


class ModelLoading(Exception):
    """The ranker has not loaded the model that a scene pins."""


@dataclass(frozen=True)
class _Trial:
    """The scenes with one in place of that of its name."""

    scene: Scene
    others: SceneSource

    def get(self, name: str, catalog_id: str = "") -> Scene:
        return self.scene if name == self.scene.name else self.others.get(name, catalog_id)


async def first_products(
    query: RequestQuery,
    scene: Scene,
    deps: RequestDependencies,
    places: int,
    *,
    by_model: bool = False,
) -> Sequence[str]:
    """Return the first products with which a scene would answer a request now; none if nothing can
    be shown. `by_model`: no other model may stand in for the one that the scene pins. Raises
    ServiceError, ModelLoading."""
    with deadlines.within(deps.longest_seconds):
        run, _ = _covered(query, scene, deps, places)
        try:
            form = partial(_shown, by_model=by_model)
            return await showable(await find_candidates(run), form)
        except NothingAvailable:
            return ()


def price_anew(
    query: RequestQuery, scene: Scene, deps: RequestDependencies, places: int
) -> RequestPrice:
    """Return the price of `first_products`; of a request that the scene can't answer, nothing."""
    try:
        return _covered(query, scene, deps, places)[1]
    except ServiceError:
        return RequestPrice({})


def _covered(
    query: RequestQuery, scene: Scene, deps: RequestDependencies, places: int
) -> tuple[RequestContext, RequestPrice]:
    asked = replace(query, scene=scene.name, page_size=places, page_token="", explain=False)
    return covered(asked, replace(deps, scenes=_Trial(scene, deps.scenes), experiments=None))


async def _shown(
    run: RequestContext, listings: tuple[CandidateList, ...], *, by_model: bool
) -> Sequence[str]:
    """Return the first products. Raises ModelLoading if they must be by a model that is not
    ready."""
    candidates = fused(listings, run.plan, run.left_out, run.shown)
    candidates, _ = await apply_controls(run, candidates)
    ordered = await order_candidates(run, candidates, None)
    page = await read_page(run, ordered.order, ordered.rest)
    lost = degraded(run.trace, candidates)
    if by_model and any(each.cause is DegradationCause.MODEL_NOT_READY for each in lost):
        raise ModelLoading
    return [each.row.product_id for each in page.results]


def without_costs(scene: Scene) -> Scene:
    """Return a scene as it orders products of which no cost is known."""

    def weights(table: Mapping[str, float]) -> Mapping[str, float]:
        return {part: weight for part, weight in table.items() if part != MARGIN}

    by_margin = scene.objective is Objective.MARGIN
    return replace(
        scene,
        parts_with_signals=weights(scene.parts_with_signals),
        parts_without_signals=weights(scene.parts_without_signals),
        parts_with_history=weights(scene.parts_with_history),
        objective=Objective.UNSPECIFIED if by_margin else scene.objective,
        objective_strength=0.0 if by_margin else scene.objective_strength,
    )

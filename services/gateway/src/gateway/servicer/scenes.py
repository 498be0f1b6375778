"""AdminService's calls for scenes on the wire."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, replace
from functools import partial
from itertools import product

from gateway.clients import messages
from gateway.clients.ranker import RankerClient
from gateway.clients.retriever import RetrieverClient
from gateway.model import scene_checks
from gateway.model.causes import Peer
from gateway.model.controls import ControlRule
from gateway.model.errors import EtagMismatch, PeerUnavailable, SceneInvalid, SceneNotFound
from gateway.model.price import RequestPrice, diff_price, goals_price
from gateway.model.query import AnswerScope, RequestQuery
from gateway.model.scene import Scene, SceneInUse, SceneRanking
from gateway.ports import ListedScenes
from gateway.recommend import scene_diff
from gateway.recommend.anew import ModelLoading, first_products, price_anew, without_costs
from gateway.recommend.scene_diff import AnswerSample, RecentSample, SceneDiff, entry_changes
from gateway.recommend.validate import check
from gateway.servicer.passthrough import Call
from gateway.servicer.requests import admit, names_every_shopper, reads_costs
from gateway.state.prices import RequestPrices
from gateway.state.request_context import RequestDependencies
from gateway.state.scenes.texts import ParseToml, read
from servicekit import deadlines
from servicekit.admission import access
from servicekit.catalogs.known import KnownCatalogs
from servicekit.errors import FieldViolation, ServiceError
from servicekit.rpc.requests import RequestInvalid
from servicekit.rpc.server import Context
from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import admin_service_pb2 as pb
from sightline.retriever.v1.catalog_registry_service_pb2 import STEERED_BY_FILES, STEERED_BY_RECORD
from sightline_core.ranking import Objective
from sightline_rules.ids import SYNONYMS_DOCUMENT

DEFAULT = "default"
DIFF_SECONDS = 300.0
"""Seconds that a comparison without a deadline may take."""
LOAD_SECONDS = 30.0
"""Seconds that a comparison waits for models to be loaded."""
AGAIN_SECONDS = 0.25
"""Seconds until the second try, which is a whole search, as each; twice as many until the next."""
LAST_SECOND = 253_402_300_799
"""9999-12-31, the latest time of a Timestamp."""
_READERS = frozenset({access.Role.READ})
"""Roles that may see what a shopper is answered."""


class SceneCalls:
    """Calls that list, show, check, compare and publish scenes."""

    _catalogs: KnownCatalogs
    _scenes: ListedScenes
    _get_document: Call
    _publish: Call
    _follow_scenes: Callable[[], Awaitable[None]]
    """Returns once this gateway uses what is published."""
    _ranker: RankerClient
    _retriever: RetrieverClient
    _parse: ParseToml
    _prices: RequestPrices
    _deps: RequestDependencies

    async def ListScenes(
        self, request: pb.ListScenesRequest, context: Context
    ) -> pb.ListScenesResponse:
        """List the scenes that requests may name."""
        catalog_id = admit(request, self._catalogs)
        names = self._scenes.names(catalog_id)
        by_record = self._scenes.is_recorded(catalog_id)
        return pb.ListScenesResponse(
            scenes=[_file(self._scenes.in_use(name, catalog_id)) for name in names],
            problems=file_problems(self._scenes, catalog_id),
            steered_by=STEERED_BY_RECORD if by_record else STEERED_BY_FILES,
        )

    async def GetScene(self, request: pb.GetSceneRequest, context: Context) -> pb.SceneFile:
        """Return a scene and its file."""
        found = self._scenes.in_use(request.scene, admit(request, self._catalogs))
        made = _file(found)
        made.toml = found.text
        return made

    async def CheckScene(
        self, request: pb.CheckSceneRequest, context: Context
    ) -> pb.CheckSceneResponse:
        """Validate a scene's file, and return its changes."""
        catalog_id = admit(request, self._catalogs)
        name = request.scene or DEFAULT
        try:
            found = await self._checked(catalog_id, name, request.toml)
        except SceneInvalid as error:
            return pb.CheckSceneResponse(
                problems=[
                    pb.SceneProblem(
                        path=item.field.removeprefix("toml").removeprefix("."),
                        text=item.description,
                    )
                    for item in error.violations
                ]
            )
        warnings = [*_warnings(found), *await self._gone(catalog_id, found.ranking.model)]
        return pb.CheckSceneResponse(
            valid=True,
            version=found.version,
            warnings=warnings,
            changes=[
                pb.SceneEntryChange(**asdict(each))
                for each in entry_changes(self._used(name, catalog_id), found)
            ],
        )

    async def _checked(self, catalog_id: str, name: str, toml: str) -> Scene:
        """Return the scene of a text. Raises SceneInvalid with all its problems."""
        found = await read(name, toml, self._parse)
        goals = [each for each in found.controls if each.is_goal]
        filters = [each.filter for each in goals if each.filter is not None]
        price = goals_price(filters, self._prices.products(catalog_id))
        async with self._prices.places.held(price, catalog_id):
            problems = await self._without_products(catalog_id, goals)
        if problems:
            raise SceneInvalid(*problems)
        return found

    async def PublishScene(
        self, request: pb.PublishSceneRequest, context: Context
    ) -> pb.SceneDocument:
        """Publish a valid draft or version, which this gateway uses once the call returns."""
        catalog_id = admit(request, self._catalogs)
        if request.scene == SYNONYMS_DOCUMENT:  # the retriever checks and uses it
            published: pb.SceneDocument = await self._publish(request)
            return published
        document = await self._get_document(
            pb.GetSceneDocumentRequest(catalog_id=catalog_id, scene=request.scene)
        )
        texts = (document.draft, document.planned, *document.versions)
        wanted = next((one for one in texts if one.toml and one.number == request.number), None)
        done = _is_live(document, wanted, request.etag) or _is_planned(document, wanted, request)
        if request.etag not in ("", document.etag) and not done:
            raise EtagMismatch
        published = document
        if wanted is not None or request.number:
            if wanted is not None:
                await self._checked(catalog_id, request.scene, wanted.toml)
            request.etag = document.etag  # what is published is what was checked
            published = await self._publish(request)
        await self._follow_scenes()
        return published

    async def DiffScene(
        self, request: pb.DiffSceneRequest, context: Context
    ) -> pb.DiffSceneResponse:
        """Compare answers of a scene with those of a changed one."""
        catalog_id = admit(request, self._catalogs)
        name = request.scene or DEFAULT
        _within("answer_count", request.answer_count, scene_diff.MOST_ANSWERS)
        _within("place_count", request.place_count, scene_diff.MOST_PLACES)
        _within("from_time", request.from_time.seconds, LAST_SECOND)
        sample = AnswerSample(
            catalog_id,
            name,
            request.answer_count or scene_diff.DEFAULT_ANSWERS,
            request.from_time.seconds * 1_000_000,
            request.place_count or scene_diff.DEFAULT_PLACES,
            costs=reads_costs(),
        )
        asked = self._asked_by(request.shopper, sample)
        current = self._scenes.get(name, catalog_id)
        changed = await read(name, request.toml, self._parse) if request.toml else current
        before, after = [
            await self._by_model(catalog_id, scene, field, getattr(request, field))
            for scene, field in ((current, "current_model_version"), (changed, "model_version"))
        ]
        by_model = bool(request.model_version or request.current_model_version)
        found = await self._compared(sample, before, after, asked, by_model=by_model)
        return pb.DiffSceneResponse(
            **asdict(found),
            warnings=[*_warnings(changed), *_without_costs(changed, sample)],
            version=current.version,
            changed_version=changed.version,
        )

    def _asked_by(self, message: event_pb2.Shopper, sample: AnswerSample) -> RequestQuery | None:
        """Return the request of the shopper whom a comparison names; None: it names none. Raises
        RoleMissing, RequestInvalid."""
        shopper = messages.shopper(message)
        if shopper is None:
            return None
        access.caller.get().check(_READERS)
        query = RequestQuery(catalog_id=sample.catalog_id, scene=sample.scene, shopper=shopper)
        check(query, self._catalogs)
        return query

    async def _by_model(self, catalog_id: str, scene: Scene, field: str, version: str) -> Scene:
        """Return a scene that pins the model of a field; as it is if that is empty. Raises
        RequestInvalid."""
        if not version:
            return scene
        if not await self._ranker.has_model(catalog_id, version):
            problem = "is no model of the catalog, or its files were pruned: list the models"
            raise RequestInvalid.at(field, problem)
        return replace(scene, ranking=SceneRanking(version))

    async def _compared(
        self,
        sample: AnswerSample,
        current: Scene,
        changed: Scene,
        asked: RequestQuery | None,
        *,
        by_model: bool,
    ) -> SceneDiff:
        """Compare, charged as a whole, with a place for a few answers at a time, so that other
        expensive requests run in between. `asked`: the only request that is compared; None: recent
        ones are, and recorded answers, which do not show how another model ranks. `by_model`: no
        other model may stand in for one that is pinned."""
        places, deps, until = self._prices.places, self._deps, time.monotonic() + LOAD_SECONDS
        requests = [asked] if asked else self._recent(sample)
        alone = by_model or asked is not None

        def shown(scene: Scene) -> Scene:
            return scene if sample.costs else without_costs(scene)

        def answer(query: RequestQuery, scene: Scene, places: int) -> Awaitable[Sequence[str]]:
            ask = partial(first_products, query, shown(scene), deps, places, by_model=by_model)
            return _loaded(ask, until)

        def price(answers: int, some: Sequence[RequestQuery]) -> RequestPrice:
            pairs = product(some, (shown(current), shown(changed)))
            return diff_price(answers, [price_anew(*each, deps, sample.places) for each in pairs])

        def turn(
            answers: int, some: Sequence[RequestQuery] = ()
        ) -> AbstractAsyncContextManager[bool]:
            return places.held(price(answers, some), sample.catalog_id)

        whole = price(0 if alone else sample.answers, requests)
        with deadlines.otherwise(DIFF_SECONDS), self._prices.counted(whole):
            return await scene_diff.scene_diff(
                sample,
                current,
                changed,
                self._ranker,
                self._retriever,
                turn=turn,
                recent=RecentSample(requests, answer, partial(turn, 0), alone),
            )

    def _recent(self, sample: AnswerSample) -> list[RequestQuery]:
        """Return recent requests as the current caller may see them answered."""
        found = self._deps.recent.of(
            sample.catalog_id, sample.scene, sample.since_micros, sample.answers
        )
        if names_every_shopper():
            return found
        return [replace(each, not_personal=True) for each in found]

    async def _without_products(
        self, catalog_id: str, goals: Iterable[ControlRule]
    ) -> list[FieldViolation]:
        """Return a problem for each goal of exposure without products, which could never be
        reached; empty while the retriever does not answer."""
        try:
            return [
                FieldViolation(
                    f"toml.controls.{goal.name}.{'filter' if goal.filter else 'product_ids'}",
                    "the catalog has no such product, so that the goal could never be reached:"
                    " change it, or import the products first",
                )
                for goal in goals
                if not await self._has_products(catalog_id, goal)
            ]
        except ServiceError:
            return []

    async def _has_products(self, catalog_id: str, goal: ControlRule) -> bool:
        if goal.product_ids:
            return bool(await self._retriever.categories(catalog_id, goal.product_ids))
        return await self._retriever.product_count(catalog_id, AnswerScope(filter=goal.filter)) > 0

    async def _gone(self, catalog_id: str, model: str) -> list[pb.SceneProblem]:
        """Warn that the ranker can't rank by the pinned model; empty while the ranker does not
        answer."""
        try:
            if not model or await self._ranker.has_model(catalog_id, model):
                return []
        except ServiceError:
            return []
        text = "the ranker does not have this model or its files: the promoted one is used"
        return [pb.SceneProblem(path="ranking.model", text=text)]

    def _used(self, name: str, catalog_id: str) -> Scene | None:
        try:
            return self._scenes.get(name, catalog_id)
        except SceneNotFound:
            return None


async def _loaded(answer: Callable[[], Awaitable[Sequence[str]]], until: float) -> Sequence[str]:
    """Return an answer once the ranker has loaded the model that it needs. Raises PeerUnavailable
    from a time on, in seconds of the monotonic clock."""
    seconds = AGAIN_SECONDS
    while True:
        try:
            return await answer()
        except ModelLoading as error:
            if time.monotonic() >= until:
                raise PeerUnavailable(Peer.RANKER) from error
        await asyncio.sleep(seconds)
        seconds *= 2


def _is_live(document: pb.SceneDocument, wanted: pb.SceneText | None, etag: str) -> bool:
    """Return whether the newest version has the wanted text; None: that of a draft with this etag,
    which begins with the text's version."""
    version = etag.partition("-")[0] if wanted is None else wanted.version
    return bool(document.versions) and document.versions[0].version == version


def _is_planned(
    document: pb.SceneDocument, wanted: pb.SceneText | None, request: pb.PublishSceneRequest
) -> bool:
    """Return whether the wanted text is planned for the wanted time, as by a call before."""
    planned, time = document.planned.create_time, request.publish_time
    same = wanted is not None and wanted.version == document.planned.version
    # Of any times: those of a request may be invalid.
    return same and (planned.seconds, planned.nanos // 1000) == (time.seconds, time.nanos // 1000)


def _within(path: str, given: int, most: int) -> None:
    if not 0 <= given <= most:
        raise RequestInvalid.at(path, f"is not within 0 and {most}")


def file_problems(scenes: ListedScenes, catalog_id: str) -> list[pb.SceneProblem]:
    """Return the invalid scene files that a catalog would use."""
    found = sorted(scenes.problems(catalog_id).items())
    return [pb.SceneProblem(path=file, text=problem) for file, problem in found]


def _without_costs(scene: Scene, sample: AnswerSample) -> Iterable[pb.SceneProblem]:
    """Warn that a caller who may not read costs compares by an objective that needs them."""
    if not sample.costs and scene.applied_objective and scene.objective is Objective.MARGIN:
        text = 'costs are left out, because the caller lacks the role "operate"'
        yield pb.SceneProblem(path="objective", text=text)


def _file(found: SceneInUse) -> pb.SceneFile:
    scene, warnings = found.scene, _warnings(found.scene)
    return pb.SceneFile(
        scene=scene.name, version=scene.version, warnings=warnings, number=found.number
    )


def _warnings(scene: Scene) -> Iterable[pb.SceneProblem]:
    for each in scene_checks.warnings(scene):
        path, _, text = each.partition(": ")
        yield pb.SceneProblem(path=path, text=text)

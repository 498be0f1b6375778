"""AdminService on the wire."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import cast

from gateway.admin.status import (
    TEXT,
    VISUAL,
    ComponentState,
    SuiteState,
    check_unused,
    suite_state,
)
from gateway.clients import messages
from gateway.clients.embedder import EmbedderClient
from gateway.clients.ranker import RankerClient
from gateway.clients.retriever import RetrieverClient
from gateway.model.causes import Peer
from gateway.ports import ListedScenes
from gateway.servicer.audit import AuditLog
from gateway.servicer.experiments import ExperimentReports
from gateway.servicer.passthrough import Passthrough
from gateway.servicer.registry import NAMES, RegistryCalls
from gateway.servicer.requests import admit, admit_any
from gateway.servicer.scenes import SceneCalls, file_problems
from gateway.state.experiments import RunningExperiments
from gateway.state.request_context import RequestDependencies
from gateway.state.scenes.texts import ParseToml
from servicekit.admission import quotas
from servicekit.audit.entries import UNDECLARED
from servicekit.catalogs.known import AlsoNamed, KnownCatalogs
from servicekit.rpc.messages import message_of
from servicekit.rpc.requests import page_size
from servicekit.rpc.server import Context
from servicekit.status import to_status
from sightline.common.v1 import answer_pb2, job_pb2
from sightline.common.v1 import audit_service_pb2 as audit_pb
from sightline.embedder.v1 import embedding_service_pb2 as embedding_pb
from sightline.embedder.v1 import space_service_pb2 as space_pb
from sightline.gateway.v1 import admin_service_pb2 as pb
from sightline.gateway.v1 import admin_service_pb2_grpc, webhook_service_pb2
from sightline.ranker.v1 import experiment_service_pb2 as experiments_pb
from sightline.ranker.v1 import privacy_service_pb2 as privacy_pb
from sightline.vision.v1 import webhook_service_pb2 as webhooks_pb
from sightline_core.opaque_messages import EmbedderSpace

WEBHOOKS = webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"]
SERVICE = pb.DESCRIPTOR.services_by_name["AdminService"]
DEFAULT_SEARCHES, MOST_SEARCHES = 50, 200


class AdminServicer(SceneCalls, RegistryCalls, admin_service_pb2_grpc.AdminServiceServicer):
    """Servicer of the suite's status and scenes, and of what the gateway decides about calls that
    their owners answer."""

    def __init__(
        self,
        catalogs: KnownCatalogs,
        passthrough: Passthrough,
        *,
        scenes: ListedScenes,
        follow_scenes: Callable[[], Awaitable[None]],
        parse: ParseToml,
        embedder: EmbedderClient,
        ranker: RankerClient,
        retriever: RetrieverClient,
        audit: AuditLog,
        status_seconds: float,
        service_version: str,
        deps: RequestDependencies,
        experiments: RunningExperiments | None = None,
    ) -> None:
        """`parse`: of TOML texts of callers. `follow_scenes`: returns once this gateway uses what
        is published."""
        self._catalogs = catalogs
        self._audited = AlsoNamed(catalogs, UNDECLARED)
        self._scenes, self._parse, self._follow_scenes = scenes, parse, follow_scenes
        self._deps, self._prices = deps, deps.prices
        self._embedder, self._ranker, self._retriever = embedder, ranker, retriever
        self._audit = audit
        self._experiments, self._history_reads = experiments, deps.history_reads
        calls = SERVICE.methods_by_name
        self._erase_user = passthrough.call(calls["EraseUser"])
        self._get_document = passthrough.call(calls["GetSceneDocument"])
        self._publish = passthrough.call(calls["PublishScene"])
        self._reports = ExperimentReports(ranker, retriever)
        self._list_experiments = passthrough.call(calls["ListExperiments"])
        self._retire_space = passthrough.call(calls["RetireSpace"])
        self._registry = {name: passthrough.call(calls[name], admit_any) for name in NAMES}
        self._seconds = status_seconds
        self._version = service_version
        self._peer_versions = passthrough.versions
        webhooks = passthrough.call(WEBHOOKS.methods_by_name["ListWebhooks"], note=True)
        self._webhooks = webhooks if passthrough.has(Peer.VISION) else None

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        """Return health and status of the suite."""
        catalog_id = admit(request, self._catalogs)
        status = await suite_state(
            lambda: self._embedder.spaces(catalog_id),
            lambda: self._retriever.count(catalog_id, VISUAL),
            lambda: self._retriever.count(catalog_id, TEXT),
            lambda: self._ranker.serving_model(catalog_id),
            self._seconds,
            cameras=self._webhooks
            and partial(self._webhooks, webhooks_pb.ListWebhooksRequest(catalog_id=catalog_id)),
        )
        versions = {"gateway": self._version, **self._peer_versions()}
        answer = _status(status, versions, self._scenes.names(catalog_id))
        answer.scene_problems.extend(file_problems(self._scenes, catalog_id))
        answer.quotas.extend(message_of(pb.CallerQuota, each) for each in quotas.states())
        return answer

    async def EraseUser(
        self, request: privacy_pb.EraseUserRequest, context: Context
    ) -> job_pb2.Job:
        """Start the erasure of a shopper, of whom this gateway then remembers nothing."""
        try:
            job: job_pb2.Job = await self._erase_user(request)
        finally:  # SHOPPER_NOT_FOUND says that nothing is stored, memory apart
            self._history_reads.forget()
            self._deps.recent.forget_shoppers(request.catalog_id)
        whom = messages.shopper(request.shopper)
        if whom is not None and self._experiments is not None:
            self._experiments.forget(request.catalog_id, whom)
        return job

    async def ListTopSearches(
        self, request: pb.ListTopSearchesRequest, context: Context
    ) -> pb.ListTopSearchesResponse:
        """List what most shoppers searched for, and how many products have the words."""
        catalog_id = admit(request, self._catalogs)
        size = page_size(request.page_size, DEFAULT_SEARCHES, MOST_SEARCHES)
        found = await self._ranker.search_counts(catalog_id, size)
        texts = [each.text for each in found.searches]
        counts = await self._retriever.word_counts(catalog_id, texts) if texts else ()
        return pb.ListTopSearchesResponse(
            searches=[
                pb.TopSearch(text=each.text, shopper_count=each.shopper_count, product_count=count)
                for each, count in zip(found.searches, counts, strict=True)
                if not (request.nothing_found and count)
            ],
            least_shoppers=found.least_shoppers,
            count_time=found.count_time,
        )

    async def ListExperiments(
        self, request: experiments_pb.ListExperimentsRequest, context: Context
    ) -> experiments_pb.ListExperimentsResponse:
        """List the experiments, with the problems of this gateway's files."""
        request.catalog_id = admit(request, self._catalogs)
        if self._experiments is not None:
            await self._experiments.refresh()
        answer: experiments_pb.ListExperimentsResponse = await self._list_experiments(request)
        answer.problem = "" if self._experiments is None else self._experiments.problem
        return answer

    async def GetExperimentReport(
        self, request: experiments_pb.GetExperimentReportRequest, context: Context
    ) -> experiments_pb.ExperimentReport:
        """Return the results of an experiment, with money by current prices and costs."""
        catalog_id = admit(request, self._catalogs)
        return await self._reports.report(catalog_id, request.name)

    async def ListAuditEntries(
        self, request: audit_pb.ListAuditEntriesRequest, context: Context
    ) -> audit_pb.ListAuditEntriesResponse:
        """List administrative and destructive calls with their callers."""
        request.catalog_id = admit(request, self._audited)
        return await self._audit.entries(request)

    async def ReadAuditChain(
        self, request: audit_pb.ReadAuditChainRequest, context: Context
    ) -> audit_pb.ReadAuditChainResponse:
        """Return a page of a store's chain, oldest entry first."""
        request.catalog_id = admit(request, self._audited)
        return await self._audit.chain(request)

    async def DropAuditEntries(
        self, request: audit_pb.DropAuditEntriesRequest, context: Context
    ) -> audit_pb.DropAuditEntriesResponse:
        """Delete the oldest entries of a store."""
        request.catalog_id = admit(request, self._audited)
        return await self._audit.drop(request)

    async def RetireSpace(
        self, request: space_pb.RetireSpaceRequest, context: Context
    ) -> embedding_pb.Space:
        """Take a fitted space out of service, unless a generation uses it."""
        catalog_id = admit(request, self._catalogs)
        spaces = await self._embedder.spaces(catalog_id)
        await check_unused(request.version, spaces, partial(self._retriever.holding, catalog_id))
        space: embedding_pb.Space = await self._retire_space(request)
        return space


def _status(
    value: SuiteState, versions: Mapping[str, str], scenes: Iterable[str]
) -> pb.GetStatusResponse:
    """Return the answer to GetStatus."""
    images, texts = value.images, value.texts
    return pb.GetStatusResponse(
        components=[_component(each, versions) for each in value.components],
        visual_space=messages.space_version_message(images.space),
        embedder_space_version=value.embedder_space_version,
        embedder_spaces=map(_offered, value.embedder_spaces),
        products=images.products,
        indexed_images=images.indexed,
        pending_images=images.pending,
        failed_images=images.failed,
        indexed_texts=texts.indexed,
        pending_texts=texts.pending,
        failed_texts=texts.failed,
        freshness=messages.freshness_message(images.freshness),
        model_version=value.model_version,
        recall=cast(Sequence[answer_pb2.RecallEstimate], images.recall),
        advice=[each.advice for each in (images, texts) if each.advice],
        scenes=scenes,
    )


def _offered(space: EmbedderSpace) -> pb.EmbedderSpace:
    names = ("space", "version", "model", "dimension", "ready", "default_version")
    return pb.EmbedderSpace(**{name: getattr(space, name) for name in names})


def _component(value: ComponentState, versions: Mapping[str, str]) -> pb.ComponentStatus:
    message = pb.ComponentStatus(component=value.name)
    message.status.SetInParent()
    if value.error is not None:
        message.status.MergeFrom(to_status(value.error))
    if not message.status.code:
        message.version = versions.get(value.name, "")
    message.latency.FromMicroseconds(round(value.seconds * 1e6))
    return message

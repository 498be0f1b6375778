"""Scripted peers of the gateway on real gRPC servers, and a real gateway in front of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import grpc

from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import Gateway, access_of, build, listeners
from servicekit.catalogs.known import KnownCatalogs
from servicekit.config import ServerSettings
from servicekit.keys.keyring import signing_keys
from servicekit.rpc.server import Binding, RunningServer, start
from sightline.common.v1 import job_service_pb2_grpc
from sightline.gateway.v1 import (
    admin_service_pb2_grpc,
    catalog_service_pb2_grpc,
    detection_service_pb2_grpc,
    recommendation_service_pb2_grpc,
    user_event_service_pb2_grpc,
    watch_service_pb2_grpc,
    webhook_service_pb2_grpc,
)
from tests.fakes.gateway_rest import answer_rest, scripted
from tests.fakes.gateway_script import PRODUCTS, Jobs, Script
from tests.fakes.gateway_wire_embedder import Embedding, FittedSpaces
from tests.fakes.gateway_wire_ranker import Answers, Events, Models, Privacy, Profiles, Ranking
from tests.fakes.gateway_wire_retriever import (
    Backups,
    CatalogLists,
    Fits,
    Index,
    Keywords,
    Products,
    Rebuilds,
    SetSynonyms,
    TakenDown,
    Vectors,
)
from tests.fakes.gateway_wire_vision import Detecting, Watching, Webhooks


@dataclass
class Peer:
    """A server of scripted servicers that can be stopped and started again on its port."""

    bindings: list[Binding]
    script: Script
    name: str
    server: RunningServer | None = None
    port: int = 0

    @classmethod
    def of(cls, name: str, script: Script, *servicers: object) -> Self:
        return cls(scripted(name, servicers), script, name)

    def servicer(self, service: str) -> Any:
        """Return the scripted servicer of a service between services."""
        return next(
            each.servicer for each in self.bindings if each.full_name.endswith(f".{service}")
        )

    async def up(self) -> None:
        self.server = await start(self.bindings, ServerSettings(port=self.port), self.name)
        self.port = self.server.port

    async def down(self) -> None:
        if self.server is not None:
            await self.server.stop()
            self.server = None


@dataclass
class Suite:
    """Four scripted peers, a real gateway and stubs to call it by."""

    embedder: Peer
    retriever: Peer
    ranker: Peer
    vision: Peer
    catalogs: KnownCatalogs
    """Catalogs that the gateway knows."""
    aliases: dict[str, str]
    """The registry's aliases."""
    registered: dict[str, int]
    """The state of each catalog of the registry."""
    products: list[str]
    """Current content of the retriever's record."""
    answers: Answers
    port: int
    recommendation: recommendation_service_pb2_grpc.RecommendationServiceStub
    detection: detection_service_pb2_grpc.DetectionServiceStub
    catalog: catalog_service_pb2_grpc.CatalogServiceStub
    events: user_event_service_pb2_grpc.UserEventServiceStub
    admin: admin_service_pb2_grpc.AdminServiceStub
    jobs: job_service_pb2_grpc.JobServiceStub
    watches: watch_service_pb2_grpc.WatchServiceStub
    webhooks: webhook_service_pb2_grpc.WebhookServiceStub
    retriever_jobs: dict[str, int]
    """The retriever's jobs; see Jobs."""
    ranker_jobs: dict[str, int]
    vision_jobs: dict[str, int]
    gateway: Gateway
    settings: GatewaySettings


@asynccontextmanager
async def running(*, whole: bool = False, **settings: object) -> AsyncIterator[Suite]:
    """Run a gateway with the given settings and scripted peers. `whole`: they answer every call.
    Its deadlines are longer than a shop's, because other tests may occupy the processor."""
    products = list(PRODUCTS)
    answers = Answers(Script())
    retriever_jobs, ranker_jobs, vision_jobs = {"2": 2}, {"1": 1}, dict[str, int]()
    aliases: dict[str, str] = {}
    registered: dict[str, int] = {}
    peers = embedder, retriever, ranker, vision = _peers(
        products, answers, retriever_jobs, ranker_jobs, vision_jobs
    )
    retriever.bindings.append(Binding.of(CatalogLists(aliases, registered)))
    for peer in peers if whole else ():
        answer_rest(peer.bindings, peer.script, peer.name)
    for peer in peers:
        await peer.up()
    values = GatewaySettings(
        **{  # type: ignore[arg-type]
            "port": 0,
            "embedder_target": f"127.0.0.1:{embedder.port}",
            "retriever_target": f"127.0.0.1:{retriever.port}",
            "ranker_target": f"127.0.0.1:{ranker.port}",
            "vision_target": f"127.0.0.1:{vision.port}",
            "catalogs": ("default", "other"),
            "default_seconds": 10.0,
            "snapshot_seconds": 0.0,
            **settings,
        }
    )
    gateway = build(values, SceneFiles(values.scenes_folder), signing_keys(values.token_keys_file))
    own, *also = listeners(values, access_of(values))
    server = await start(
        gateway.bindings,
        values,
        "gateway",
        own.access,
        also=also,
        audit=gateway.audit,
        catalogs=gateway.catalogs,
    )
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        try:
            yield Suite(
                embedder=embedder,
                retriever=retriever,
                ranker=ranker,
                vision=vision,
                catalogs=gateway.catalogs,
                aliases=aliases,
                registered=registered,
                products=products,
                answers=answers,
                port=server.port,
                recommendation=recommendation_service_pb2_grpc.RecommendationServiceStub(channel),
                detection=detection_service_pb2_grpc.DetectionServiceStub(channel),
                catalog=catalog_service_pb2_grpc.CatalogServiceStub(channel),
                events=user_event_service_pb2_grpc.UserEventServiceStub(channel),
                admin=admin_service_pb2_grpc.AdminServiceStub(channel),
                jobs=job_service_pb2_grpc.JobServiceStub(channel),
                watches=watch_service_pb2_grpc.WatchServiceStub(channel),
                webhooks=webhook_service_pb2_grpc.WebhookServiceStub(channel),
                retriever_jobs=retriever_jobs,
                ranker_jobs=ranker_jobs,
                vision_jobs=vision_jobs,
                gateway=gateway,
                settings=values,
            )
        finally:
            await server.stop()
            await gateway.close(0.1)
            for peer in peers:
                await peer.down()


def _peers(
    products: list[str],
    answers: Answers,
    retriever_jobs: dict[str, int],
    ranker_jobs: dict[str, int],
    vision_jobs: dict[str, int],
) -> tuple[Peer, Peer, Peer, Peer]:
    embedding, retrieving, ranking, seeing = Script(), Script(), answers.script, Script()
    return (
        Peer.of("embedder", embedding, Embedding(embedding), FittedSpaces(embedding)),
        Peer.of(
            "retriever",
            retrieving,
            Keywords(retrieving),
            Vectors(retrieving, products),
            Products(retrieving, products),
            Index(retrieving),
            Jobs(retrieving, "retriever", retriever_jobs),
            Backups(retrieving),
            Rebuilds(retrieving),
            TakenDown(retrieving),
            SetSynonyms(retrieving),
            Fits(retrieving),
        ),
        Peer.of(
            "ranker",
            ranking,
            Ranking(ranking, answers),
            answers,
            Events(ranking),
            Privacy(ranking),
            Models(ranking),
            Profiles(ranking),
            Jobs(ranking, "ranker", ranker_jobs),
        ),
        Peer.of(
            "vision",
            seeing,
            Detecting(seeing),
            Watching(seeing),
            Webhooks(seeing),
            Jobs(seeing, "vision", vision_jobs),
        ),
    )

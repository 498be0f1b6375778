"""Connects the parts of a gateway."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import grpc

from gateway.callers.admission import Admission, Tokens
from gateway.callers.keys import Keys
from gateway.callers.signed import Claims, SignedTokens, public_keys
from gateway.clients import embedder, ranker, retriever
from gateway.clients.calls import Caller
from gateway.model.causes import Peer
from gateway.servicer import admin, catalog, events, jobs, recommendation
from gateway.servicer.passthrough import Connection, Passthrough
from gateway.settings import GatewaySettings
from gateway.state.answers import AnswerQueue
from gateway.state.run import Dependencies, Peers
from gateway.state.scenes import SceneFiles
from servicekit.access import OPEN, Access
from servicekit.channel import connect
from servicekit.server import Binding

VERSION = version("sightline-gateway")


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of a gateway that is ready to serve."""

    bindings: Sequence[Binding]
    answers: AnswerQueue
    channels: Sequence[grpc.aio.Channel]

    async def close(self, seconds: float) -> None:
        """Hand over what waits, for at most `seconds`, then close the channels."""
        await self.answers.close(seconds)
        for each in self.channels:
            await each.close(None)


def build(settings: GatewaySettings, scenes: SceneFiles) -> Gateway:
    """Connect the parts. To be called where an event loop runs."""
    clients = {Peer.EMBEDDER: embedder, Peer.RETRIEVER: retriever, Peer.RANKER: ranker}
    connections = {peer: _connect(settings, peer, of.IDEMPOTENT) for peer, of in clients.items()}
    embedding = embedder.EmbedderClient(*connections[Peer.EMBEDDER])
    retrieving = retriever.RetrieverClient(*connections[Peer.RETRIEVER])
    ranking = ranker.RankerClient(*connections[Peer.RANKER])
    once, _ = _connect(settings, Peer.RETRIEVER, ())
    passthrough = Passthrough(settings.catalogs, connections, once)
    answers = AnswerQueue(ranking.record, settings.answer_queue_products)
    deps = Dependencies(
        peers=Peers(embedding, retrieving, ranking),
        scenes=scenes,
        answers=answers,
        catalogs=frozenset(settings.catalogs),
        service_version=VERSION,
        default_seconds=settings.default_seconds,
        longest_seconds=settings.longest_seconds,
        reserve_seconds=settings.reserve_seconds,
        answer_seconds=settings.answer_days * 86400.0,
    )
    # The passthrough gives three of them the calls that they do not have themselves.
    servicers = (
        recommendation.RecommendationServicer(deps),
        catalog.CatalogServicer(  # type: ignore[abstract]
            settings.catalogs, passthrough, *connections[Peer.RETRIEVER]
        ),
        events.UserEventServicer(settings.catalogs, passthrough),  # type: ignore[abstract]
        admin.AdminServicer(  # type: ignore[abstract]
            settings.catalogs,
            passthrough,
            scenes=scenes,
            embedder=embedding,
            ranker=ranking,
            retriever=retrieving,
            status_seconds=settings.status_seconds,
            service_version=VERSION,
        ),
        jobs.JobServicer(settings.catalogs, connections),
    )
    channels = [once, *(channel for channel, _ in connections.values())]
    bindings = [Binding.of(servicer) for servicer in servicers]
    return Gateway(bindings, answers, channels)


def access_of(settings: GatewaySettings) -> Access:
    """Who may call. Raises Unreadable."""
    kinds: list[Tokens] = []
    if settings.keys_file is not None:
        kinds.append(Keys(settings.keys_file))
    if settings.jwt_keys_file is not None:
        claims = Claims(
            settings.jwt_issuer,
            settings.jwt_audience,
            settings.jwt_roles_claim,
            settings.jwt_catalogs_claim,
        )
        kinds.append(SignedTokens(public_keys(settings.jwt_keys_file).get, claims))
    return Admission(kinds) if kinds else OPEN


def _connect(
    settings: GatewaySettings, peer: Peer, idempotent: Sequence[tuple[str, str]]
) -> Connection:
    target = getattr(settings, f"{peer}_target")
    caller = Caller(peer, reserve=settings.reserve_seconds, longest=settings.call_seconds)
    most = settings.max_message_bytes
    return connect(target, service_configs=idempotent, max_message_bytes=most), caller

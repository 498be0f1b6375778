"""Connects the parts of a gateway."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from types import SimpleNamespace
from typing import TypeVar

from gateway.callers.admission import Admission, Public, TokenKind
from gateway.callers.keys import Keys
from gateway.callers.published import PublishedKeys
from gateway.callers.signed import Claims, SignedTokens, public_keys
from gateway.clients import embedder, ranker, retriever
from gateway.clients.columns import columns_of_rows
from gateway.clients.local_embedder import LocalEmbedder
from gateway.clients.local_ranker import LocalRanker
from gateway.clients.local_retriever import LocalRetriever
from gateway.clients.matches import MatchMessages
from gateway.clients.peer_calls import PeerCaller
from gateway.model.causes import Peer
from gateway.servicer import (
    admin,
    catalog,
    charging,
    concealment,
    events,
    filter_texts,
    jobs,
    recommendation,
    write_prices,
)
from gateway.servicer.audit import AuditLog
from gateway.servicer.passthrough import OPTIONAL, Connection, Passthrough
from gateway.settings import GatewaySettings
from gateway.state.answers import AnswerQueue
from gateway.state.expensive_requests import ExpensiveRequestLimiter
from gateway.state.experiments import RunningExperiments
from gateway.state.prices import RequestPrices
from gateway.state.recent_requests import RecentRequests
from gateway.state.request_context import PeerClients, RequestDependencies
from gateway.state.scenes import SceneFiles
from gateway.state.scenes.copies import SceneCopies
from gateway.state.scenes.recorded import SteeredScenes
from gateway.state.scenes.texts import ParseToml
from gateway.state.snapshots import Snapshots
from gateway.state.snapshots.files import SnapshotFiles
from gateway.state.snapshots.reading import SnapshotSource
from servicekit.admission.access import OPEN, AccessPolicy, PeerName
from servicekit.audit.entries import Audit
from servicekit.catalogs.known import AlsoNamed, CatalogChange, KnownCatalogs
from servicekit.decoding.untrusted_toml import TomlParser
from servicekit.keys.keyring import SigningKeys
from servicekit.processes import process_group
from servicekit.rpc import owned
from servicekit.rpc.breaker import CircuitBreaker, by_health
from servicekit.rpc.catalog_registry import registry_of
from servicekit.rpc.channel import borrowing, connect
from servicekit.rpc.peers import PeerCredentials
from servicekit.rpc.server import Binding, Listener
from servicekit.rpc.tls import Certificates
from sightline.common.v1.product_pb2 import Product

C = TypeVar("C")
VERSION = version("sightline-gateway")
CATALOGS_FILE = "catalogs.json"
POLL_SECONDS = 1.0
"""Seconds between two reads of the list of catalogs, which tells changes of published scenes: those
are in use within 2 seconds."""


CLIENTS = {Peer.EMBEDDER: embedder, Peer.RETRIEVER: retriever, Peer.RANKER: ranker}
"""The services that answers are made of."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of a gateway that is ready to serve."""

    bindings: Sequence[Binding]
    audit: Audit
    answers: AnswerQueue
    snapshots: Snapshots
    toml: TomlParser
    connections: Sequence[Connection]
    catalogs: KnownCatalogs
    scenes: SteeredScenes

    async def start(self) -> None:
        """Read what serving needs."""
        await self.catalogs.start()
        await self.scenes.start()

    async def close(self, seconds: float) -> None:
        """Send queued records for at most `seconds`, then close the channels."""
        await asyncio.gather(self.answers.close(seconds), self.audit.close(seconds))
        await asyncio.gather(self.snapshots.close(), self.scenes.close())
        self.toml.close()
        for channel, caller in self.connections:
            caller.close()
            await channel.close(None)


def build(settings: GatewaySettings, files: SceneFiles, keys: SigningKeys) -> Gateway:
    """Connect the parts. Requires a running event loop.

    `keys` sign tokens. Raises Unreadable.
    """
    known = credentials_of(settings)
    connections = {
        peer: _connect(settings, peer, of, getattr(CLIENTS.get(peer), "IDEMPOTENT", ()))
        for peer, of in known.items()
    }
    ranking: ranker.RankerClient = _client(
        *(settings.ranker_target, ranker.RankerClient, LocalRanker, *connections[Peer.RANKER])
    )
    places = ExpensiveRequestLimiter(settings.expensive_requests)
    prices = RequestPrices(settings.request_seconds, places)
    clients = PeerClients(
        _client(
            *(settings.embedder_target, embedder.EmbedderClient, LocalEmbedder),
            *connections[Peer.EMBEDDER],
        ),
        _client(
            *(settings.retriever_target, retriever.RetrieverClient, LocalRetriever),
            *(*connections[Peer.RETRIEVER], prices.learn),
        ),
        ranking,
    )
    beside = _beside(settings, known)
    catalogs = _catalogs(settings, beside)
    passthrough = Passthrough(catalogs, connections, keys)
    log = AuditLog(connections, keys)
    answers = AnswerQueue(ranking.record, settings.answer_queue_products)
    snapshots = _snapshots(settings, beside, catalogs)
    snapshots.start()
    folder = settings.experiments_folder
    toml = TomlParser()
    scenes = _scenes(settings, files, beside, catalogs, toml.parse)
    experiments = RunningExperiments(folder, catalogs, scenes, ranking) if folder else None
    deps = _dependencies(
        settings,
        clients,
        scenes,
        catalogs=catalogs,
        answers=answers,
        keys=keys,
        snapshots=snapshots,
        experiments=experiments,
        prices=prices,
        recent=RecentRequests(ranking.last_erasure),
    )
    servicers = (
        recommendation.RecommendationServicer(deps),
        _admin(
            settings,
            passthrough,
            connections,
            scenes,
            log,
            catalogs=catalogs,
            parse=toml.parse,
            experiments=experiments,
            deps=deps,
        ),
        catalog.CatalogServicer(  # type: ignore[abstract]
            *(catalogs, *connections[Peer.RETRIEVER], keys),
            prices=prices,
            retriever=clients.retriever,
        ),
        events.UserEventServicer(catalogs, passthrough, keys),  # type: ignore[abstract]
        jobs.JobProxyServicer(catalogs, connections, keys),
    )
    catalogs.on_change(scenes.follow)
    _follow(catalogs, deps, snapshots, experiments)
    bindings = [
        concealment.serve(charging.serve(filter_texts.serve(binding), prices))
        for binding in public_bindings(servicers, passthrough, prices)
    ]
    channels = [*connections.values(), *beside.values()]
    audit = Audit(log.append, AlsoNamed(catalogs))
    return Gateway(bindings, audit, answers, snapshots, toml, channels, catalogs, scenes)


def _client(target: str, plain: Callable[..., C], local: Callable[..., C], *parts: object) -> C:
    """Return the client of requests to a target: where it runs in this process, one that takes what
    is lent in place of messages."""
    borrowed = borrowing(target)
    return plain(*parts) if borrowed is None else local(*parts, borrowed)


def _catalogs(settings: GatewaySettings, beside: Mapping[Peer, Connection]) -> KnownCatalogs:
    """Return the catalogs, which the retriever's registry has. Snapshots and this list are in the
    same folder."""
    registry = registry_of(settings.retriever_target, beside[Peer.RETRIEVER][0])
    folder = settings.snapshots
    file = None if folder is None else folder / CATALOGS_FILE
    return KnownCatalogs(
        settings.catalogs, registry, file=file, aliases=True, poll_seconds=POLL_SECONDS
    )


def _scenes(
    settings: GatewaySettings,
    files: SceneFiles,
    beside: Mapping[Peer, Connection],
    catalogs: KnownCatalogs,
    parse: ParseToml,
) -> SteeredScenes:
    client = retriever.RetrieverClient(*beside[Peer.RETRIEVER])
    copies = None if settings.snapshots is None else SceneCopies(settings.snapshots)
    return SteeredScenes(files, catalogs, client.published_scenes, parse, copies)


def _follow(
    catalogs: KnownCatalogs,
    deps: RequestDependencies,
    snapshots: Snapshots,
    experiments: RunningExperiments | None,
) -> None:
    """Let everything that is kept by catalog follow the changes of the list."""

    def forget(change: CatalogChange) -> None:
        for catalog_id in change.removed:
            deps.forget(catalog_id)

    catalogs.on_change(forget)
    catalogs.on_change(snapshots.follow)
    if experiments is not None:
        catalogs.on_change(experiments.follow)


def public_bindings(
    servicers: Sequence[object], passthrough: Passthrough, prices: RequestPrices
) -> list[Binding]:
    """Return the bindings of the public services. Their owners answer what no servicer has.

    Raises TypeError if a method has no owner, no role or no price.
    """
    owned.check_declared()
    own = {Binding.of(each).full_name: each for each in servicers}
    around = write_prices.around(prices)
    return [
        passthrough.serve(each, own.get(each.full_name, SimpleNamespace()), prices, around)
        for each in owned.public_services()
    ]


def _admin(
    settings: GatewaySettings,
    passthrough: Passthrough,
    connections: Mapping[Peer, Connection],
    scenes: SteeredScenes,
    log: AuditLog,
    *,
    catalogs: KnownCatalogs,
    parse: ParseToml,
    experiments: RunningExperiments | None,
    deps: RequestDependencies,
) -> admin.AdminServicer:
    return admin.AdminServicer(  # type: ignore[abstract]
        catalogs,
        passthrough,
        scenes=scenes,
        follow_scenes=partial(_follow_scenes, catalogs, scenes),
        parse=parse,
        embedder=embedder.EmbedderClient(*connections[Peer.EMBEDDER]),
        ranker=ranker.RankerClient(*connections[Peer.RANKER]),
        retriever=retriever.RetrieverClient(*connections[Peer.RETRIEVER]),
        audit=log,
        status_seconds=settings.status_seconds,
        service_version=VERSION,
        deps=deps,
        experiments=experiments,
    )


async def _follow_scenes(catalogs: KnownCatalogs, scenes: SteeredScenes) -> None:
    await catalogs.refresh()
    await scenes.refresh()


def _beside(
    settings: GatewaySettings, known: Mapping[Peer, PeerCredentials]
) -> dict[Peer, Connection]:
    """Open separate channels for background reads.

    They must not count as slow requests, nor delay the reconnection of requests to a starting peer.
    """
    return {
        peer: _connect(settings, peer, known[peer], CLIENTS[peer].IDEMPOTENT)
        for peer in (Peer.RETRIEVER, Peer.RANKER)
    }


def _dependencies(
    settings: GatewaySettings,
    clients: PeerClients,
    scenes: SteeredScenes,
    *,
    catalogs: KnownCatalogs,
    answers: AnswerQueue,
    keys: SigningKeys,
    snapshots: Snapshots,
    experiments: RunningExperiments | None,
    prices: RequestPrices,
    recent: RecentRequests,
) -> RequestDependencies:
    return RequestDependencies(
        peers=clients,
        scenes=scenes,
        answers=answers,
        matches=MatchMessages(),
        catalogs=catalogs,
        service_version=VERSION,
        default_seconds=settings.default_seconds,
        longest_seconds=settings.longest_seconds,
        reserve_seconds=settings.reserve_seconds,
        answer_seconds=settings.answer_days * 86400.0,
        keys=keys,
        snapshot_of=snapshots.get,
        experiments=experiments,
        prices=prices,
        recent=recent,
    )


def _snapshots(
    settings: GatewaySettings, connections: Mapping[Peer, Connection], catalogs: KnownCatalogs
) -> Snapshots:
    source = SnapshotSource(
        retriever.RetrieverClient(*connections[Peer.RETRIEVER]),
        ranker.RankerClient(*connections[Peer.RANKER]),
        columns_of_rows,
        settings.snapshot_products,
        settings.snapshot_category_products,
    )
    folder = settings.snapshots
    return Snapshots(
        source,
        catalogs,
        seconds=settings.snapshot_seconds,
        most_age_seconds=settings.snapshot_age_seconds,
        files=None
        if folder is None
        else SnapshotFiles(folder, columns_of_rows, Product.FromString),
    )


def access_of(settings: GatewaySettings) -> AccessPolicy:
    """Return the access policy for callers. Raises Unreadable."""
    kinds: list[TokenKind] = []
    if settings.keys_file is not None:
        kinds.append(Keys(settings.keys_file))
    claims = Claims(
        settings.jwt_issuer,
        settings.jwt_audience,
        settings.jwt_roles_claim,
        settings.jwt_catalogs_claim,
        settings.jwt_shopper_claim,
        settings.jwt_max_seconds,
    )
    if settings.jwt_keys_file is not None:
        kinds.append(SignedTokens(public_keys(settings.jwt_keys_file).get, claims))
    if settings.jwt_keys_url:
        published = PublishedKeys(settings.jwt_keys_url)
        kinds.append(SignedTokens(published.get, claims, published.refresh))
    return Admission(kinds) if kinds else OPEN


def listeners(settings: GatewaySettings, access: AccessPolicy) -> list[Listener]:
    """Return the public port, the administrative one and the socket if configured. Raises
    Unreadable.

    Of several processes the first one has the socket: unlike a port, it can't be shared.
    """
    tls = certificates_of(settings)
    public = Public(access, settings.admin_port) if settings.admin_port else access
    found = [Listener(settings.port, public, tls)]
    if settings.admin_port:
        found.append(Listener(settings.admin_port, access, tls))
    if settings.socket is not None and process_group.number() in (None, 1):
        found.append(Listener(0, public, socket=settings.socket))
    return found


def certificates_of(settings: GatewaySettings) -> Certificates | None:
    """Return the certificates for callers; None: plain text. Raises Unreadable."""
    if settings.tls_folder is None:
        return None
    return Certificates(settings.tls_folder, settings.tls_callers_ca_file, "callers")


def credentials_of(settings: GatewaySettings) -> dict[Peer, PeerCredentials]:
    """Return the credentials for calls to each peer. Raises Unreadable."""
    known = PeerCredentials.of(settings)
    return {peer: known.calling(PeerName(peer)) for peer in _called(settings)}


def _called(settings: GatewaySettings) -> list[Peer]:
    """Return the services that this installation has; of the optional ones those with a target."""
    optional = (peer for peer in OPTIONAL if getattr(settings, f"{peer}_target"))
    return [*CLIENTS, *optional]


def _connect(
    settings: GatewaySettings,
    peer: Peer,
    known: PeerCredentials,
    idempotent: Sequence[tuple[str, str]],
) -> Connection:
    target = getattr(settings, f"{peer}_target")
    most = settings.max_message_bytes
    configs = [*idempotent, *owned.idempotent_of(PeerName(peer))]
    channel = connect(target, peers=known, service_configs=configs, max_message_bytes=most)
    caller = PeerCaller(
        peer,
        reserve=settings.reserve_seconds,
        longest=settings.call_seconds,
        breaker=CircuitBreaker(by_health(channel), peer),
    )
    return channel, caller

"""Vision over real gRPC before scripted peers, as the gateway calls it for products in photos."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from servicekit.rpc.server import Binding
from sightline.gateway.v1.detection_service_pb2_grpc import DetectionServiceStub
from tests.fakes.gateway_script import PRODUCTS, Script
from tests.fakes.gateway_wire import Peer
from tests.fakes.gateway_wire_embedder import Embedding
from tests.fakes.gateway_wire_ranker import Events
from tests.fakes.gateway_wire_retriever import CatalogLists, Products, Vectors
from tests.stores import Stores
from tests.wire.vision_shop import VisionShop, seeing


@dataclass
class Cameras:
    """Vision, called as the gateway does, and its scripted peers."""

    embedder: Peer
    retriever: Peer
    ranker: Peer
    detection: DetectionServiceStub
    vision: VisionShop


@pytest.fixture
async def suite(stores: Stores, tmp_path: Path, shared_decoders: None) -> AsyncIterator[Cameras]:
    embedding, retrieving, ranking = Script(), Script(), Script()
    found = Vectors(retrieving, list(PRODUCTS)), Products(retrieving, list(PRODUCTS))
    peers = {
        "embedder": Peer.of("embedder", embedding, Embedding(embedding)),
        "retriever": Peer.of("retriever", retrieving, *found),
        "ranker": Peer.of("ranker", ranking, Events(ranking)),
    }
    peers["retriever"].bindings.append(Binding.of(CatalogLists({}, {})))
    for peer in peers.values():
        await peer.up()
    targets = {name: f"127.0.0.1:{peer.port}" for name, peer in peers.items()}
    async with seeing(stores, tmp_path, **targets) as vision:
        yield Cameras(**peers, detection=DetectionServiceStub(vision.channel), vision=vision)
    for peer in peers.values():
        await peer.down()

"""Engines of benches, and the generation of products in them."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from pymilvus import MilvusClient

from retriever.domain.collection_names import shaped
from retriever.domain.generation import EXACT, Generation, GenerationState, IndexParameters
from tests.engines import EngineProcess, milvus_lite, milvus_server

LITE, SERVER = "Milvus Lite", "Milvus server"
ENGINES: Mapping[str, Callable[[Path], AbstractContextManager[EngineProcess]]] = {
    LITE: milvus_lite,
    SERVER: milvus_server,
}
CATALOG, SPACE, VERSION = "default", "visual", "bench"


def client(uri: str) -> MilvusClient:
    """Open a separate connection without keepalive pings. pymilvus pings every ten seconds and
    shares connections between clients, and Milvus Lite would end the connection with "too many
    pings" while another contender is measured.
    """
    options = {"grpc.keepalive_time_ms": 2**31 - 1, "grpc.use_local_subchannel_pool": 1}
    return MilvusClient(uri, dedicated=True, grpc_options=options)


def product_id(number: int) -> str:
    """Return a product's id by its number."""
    return f"p{number}"


def image_id(number: int) -> str:
    """Return the id of a product's photo, as long as a real one."""
    return f"{number:064x}"


def generation(
    name: str, dimension: int, parameters: IndexParameters = EXACT, *, applied: int = 0
) -> Generation:
    """Return an active generation that is not registered yet.

    `applied`: the newest write that its collection holds.
    """
    return Generation(
        catalog_id=CATALOG,
        name=name,
        space=SPACE,
        space_version=VERSION,
        dimension=dimension,
        collection=shaped(f"bench_{name}"),
        state=GenerationState.READY,
        active=True,
        created=0,
        applied_seq=applied,
        applied_time=applied,
        check_wanted=False,
        parameters=parameters,
    )

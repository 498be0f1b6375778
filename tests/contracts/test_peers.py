"""Calls between services: every RPC names its peers, exactly these are admitted, and the code of
each makes the call.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from servicekit.admission import access
from servicekit.admission.access import PeerForbidden, PeerName, PeersOnly
from servicekit.rpc import owned

ROOT = Path(__file__).parents[2]
PUBLIC = "sightline.gateway.v1"
UNCALLED = {"sightline.ranker.v1.EventService/GetEvents"}
"""No service makes these calls: operators do, on one machine."""
REGISTRY = "kit/src/servicekit/rpc/catalog_registry.py"
"""The list of catalogs, which each of these reads."""
REMOVAL = "kit/src/servicekit/catalogs/removal.py"
FRAMES = (
    "services/vision/src/vision/adapters/embedder.py",
    "services/vision/src/vision/adapters/patches.py",
    "services/vision/src/vision/adapters/product_vectors.py",
    "services/vision/src/vision/adapters/takedowns.py",
)
"""Both processes of vision check frames and fit references, and look for takedowns."""
CALLERS: Mapping[PeerName, tuple[str, ...]] = {
    PeerName.GATEWAY: ("services/gateway/src/gateway", REGISTRY),
    PeerName.RETRIEVER: ("services/retriever/src/retriever/adapters/face_finder.py",),
    PeerName.RETRIEVER_WORKER: ("services/retriever/src/retriever/adapters/embedder.py",),
    PeerName.RANKER_WORKER: (
        *("services/ranker/src/ranker/adapters/retriever.py", REGISTRY),
        REMOVAL,
    ),
    PeerName.EMBEDDER: (REGISTRY, REMOVAL),
    PeerName.RANKER: (REGISTRY,),
    PeerName.VISION: (
        *FRAMES,
        *(
            f"services/vision/src/vision/adapters/{name}.py"
            for name in ("catalog_products", "photo_objects", "product_search", "ranker")
        ),
        REGISTRY,
    ),
    PeerName.VISION_WORKER: (
        *FRAMES,
        "services/vision/src/vision/adapters/audit_log.py",
        REGISTRY,
    ),
}
"""Modules in which each caller makes its calls."""


def services() -> Iterator[Any]:
    """Yield all services of the protos."""
    for file in sorted(ROOT.glob("protos/sightline/*/v1/*_pb2.py")):
        name = ".".join(file.relative_to(ROOT / "protos").with_suffix("").parts)
        yield from importlib.import_module(name).DESCRIPTOR.services_by_name.values()


def calls(*, public: bool) -> list[str]:
    """Return every method as package.Service/Method: those of the gateway's own protos, or the
    others."""
    return [
        f"{service.full_name}/{method.name}"
        for service in services()
        if service.full_name.startswith(PUBLIC) is public
        for method in service.methods
    ]


def owned_calls() -> list[str]:
    """Return the public calls that services behind the gateway answer."""
    owners = (PeerName.EMBEDDER, PeerName.RETRIEVER, PeerName.RANKER, PeerName.VISION)
    return [owned.path_of(method) for owner in owners for method in owned.methods_of(owner)]


@cache
def source(caller: PeerName) -> str:
    paths = [ROOT / each for each in CALLERS[caller]]
    files = [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])]
    return "\n".join(file.read_text() for file in files)


def made_by(caller: PeerName) -> set[str]:
    """Return the calls in a caller's code, as `_stub.Method`; of the gateway also those that it
    forwards to their owners."""
    found = set()
    for call in (*calls(public=False), *owned_calls()):
        service, _, name = call.rpartition(".")[2].partition("/")
        text = source(caller)
        stub = "_admin" if call.startswith(PUBLIC) else r"\w"
        if f"{service}Stub(" in text and re.search(rf"{stub}\.{name}\b", text):
            found.add(call)
    if caller is PeerName.GATEWAY:
        found |= {*owned_calls()}
    return found


def test_every_call_between_services_names_its_peers() -> None:
    between = calls(public=False)
    assert len(between) > 40
    assert {call for call in between if not access.rule(call).peers} == UNCALLED


def test_the_gateways_own_calls_name_no_peer() -> None:
    assert owned_calls()
    for call in {*calls(public=True)} - {*owned_calls()}:
        assert not access.rule(call).peers, call


@pytest.mark.parametrize("peer", PeerName)
def test_a_peer_makes_exactly_the_calls_that_name_it(peer: PeerName) -> None:
    policy = PeersOnly(lambda _metadata, _context: peer)
    for call in [*calls(public=False), *calls(public=True), "sightline.none.v1.None/None"]:
        if peer in access.rule(call).peers:
            assert policy.admit(call, {}, None).name == "peer"
        else:
            with pytest.raises(PeerForbidden, match=f"{peer} may not"):
                policy.admit(call, {}, None)


def test_servers_that_call_no_peer_are_named_nowhere() -> None:
    named = {peer for call in calls(public=False) for peer in access.rule(call).peers}
    assert named == CALLERS.keys()


@pytest.mark.when("agents", "client", "console", "kit", "rules", "services", "tests/contracts")
@pytest.mark.parametrize("peer", CALLERS)
def test_a_peer_is_named_where_its_code_makes_the_call_and_nowhere_else(peer: PeerName) -> None:
    named = {
        call for call in (*calls(public=False), *owned_calls()) if peer in access.rule(call).peers
    }
    assert named == made_by(peer)


def test_the_protos_and_the_code_know_the_same_peers() -> None:
    names = access.access_pb2.Peer.keys()
    assert [name.removeprefix("PEER_").lower().replace("_", "-") for name in names[1:]] == [
        *PeerName
    ]

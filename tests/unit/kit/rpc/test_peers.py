"""Keys of pairs of services: a key identifies the calling service, is valid for one other service
only, and changes without a failed call.
"""

import hashlib
import os
import re
import subprocess
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import grpc
import pytest

from servicekit.admission import access
from servicekit.admission.access import Caller, PeerName
from servicekit.config import PeerSettings, ServerSettings
from servicekit.rpc import channel, server
from servicekit.rpc.peers import PeerCredentials
from servicekit.status import from_rpc_error
from servicekit.watched_files import Unreadable
from sightline.embedder.v1 import embedding_service_pb2
from sightline.ranker.v1 import event_service_pb2
from tests.fakes.kit_echo import Echo, acting, binding
from tests.fakes.kit_ways import served
from tests.waiting import SECONDS

OLD, NEW, OTHER = (hashlib.sha256(name).hexdigest() for name in (b"old", b"new", b"other"))
EMBEDDING = embedding_service_pb2.DESCRIPTOR.services_by_name["EmbeddingService"].full_name
"""A service whose BatchEmbed gateway and retriever-worker may call; Classify, the gateway alone."""
EVENTS = event_service_pb2.DESCRIPTOR.services_by_name["EventService"].full_name
"""A service whose GetEvents no service may call."""
BOTH_WAYS = pytest.mark.usefixtures("way")


def folder(path: Path, **keys: str) -> Path:
    """Return a folder of keys by the peer's name, with _ for -."""
    path.mkdir(exist_ok=True)
    for name, text in keys.items():
        (path / f"{name.replace('_', '-')}.key").write_text(text)
    return path


def known(path: Path, **more: Any) -> PeerCredentials:
    return PeerCredentials.of(PeerSettings(peer_keys_folder=path, **more))


def to_embedder(path: Path, **more: Any) -> PeerCredentials:
    return known(path, **more).calling(PeerName.EMBEDDER)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Return the embedder's keys."""
    return folder(tmp_path / "embedder", gateway=f"{OLD}\n", retriever_worker=f"{OTHER}\n")


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """Return the gateway's keys."""
    return folder(tmp_path / "gateway", embedder=f"{OLD}\n")


def started(who: access.AccessPolicy, peek: Any = None) -> AbstractAsyncContextManager[str]:
    """Run an embedder with this policy. Yield its target."""
    offered = [
        acting(Echo(peek), EMBEDDING, "BatchEmbed", "Classify"),
        acting(Echo(), EVENTS, "GetEvents"),
        binding(Echo()),
    ]
    return served("embedder", server.start(offered, ServerSettings(), "embedder", who))


async def reason(target: str, peers: PeerCredentials, call: str = f"{EMBEDDING}/BatchEmbed") -> str:
    """Return the reason of a rejected call; empty if it is accepted."""
    async with channel.connect(target, peers=peers) as peer:
        try:
            await peer.unary_unary(f"/{call}", None, None)(b"x", timeout=SECONDS)
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error).reason
    return ""


@BOTH_WAYS
async def test_a_peer_is_known_by_the_key(ours: Path, theirs: Path) -> None:
    async with started(known(theirs).access()) as target:
        assert await reason(target, to_embedder(ours)) == ""
        assert await reason(target, PeerCredentials()) == "PEER_UNKNOWN"
        for other in (NEW, OLD[:-1], f"{OLD}a", ""):
            guessed = PeerCredentials(lambda other=other: {PeerName.EMBEDDER: [other]})
            assert await reason(target, guessed.calling(PeerName.EMBEDDER)) == "PEER_UNKNOWN"


@BOTH_WAYS
async def test_a_peer_makes_the_calls_whose_protos_name_it_and_no_others(
    ours: Path, theirs: Path, tmp_path: Path
) -> None:
    worker = to_embedder(folder(tmp_path / "worker", embedder=OTHER))
    async with started(known(theirs).access()) as target:
        assert await reason(target, worker) == ""
        assert await reason(target, worker, f"{EMBEDDING}/Classify") == "PEER_FORBIDDEN"
        assert await reason(target, to_embedder(ours), f"{EMBEDDING}/Classify") == ""
        for nobodys in (f"{EVENTS}/GetEvents", "test.Echo/Unary"):
            assert await reason(target, to_embedder(ours), nobodys) == "PEER_FORBIDDEN"


@BOTH_WAYS
async def test_the_key_of_one_service_is_not_sent_to_another(theirs: Path, tmp_path: Path) -> None:
    path = folder(tmp_path / "gateway", embedder=NEW, ranker=OLD)
    async with started(known(theirs).access()) as target:
        assert await reason(target, to_embedder(path)) == "PEER_UNKNOWN"
    assert to_embedder(path).metadata() == {"x-sightline-peer-key": NEW}


@BOTH_WAYS
async def test_a_service_that_knows_a_key_can_not_call_others_by_it(
    ours: Path, theirs: Path, tmp_path: Path
) -> None:
    """Try the gateway's key for the embedder, which a compromised embedder has, on other
    services."""
    ranker = folder(tmp_path / "ranker", gateway=NEW)
    folder(ours, ranker=NEW)
    stolen = (theirs / "gateway.key").read_text().strip()
    taken_over = PeerCredentials(lambda: {PeerName.RANKER: [stolen]}).calling(PeerName.RANKER)
    gateway = known(ours).calling(PeerName.RANKER)
    async with started(known(ranker).access()) as target:
        assert await reason(target, taken_over) == "PEER_UNKNOWN"
        assert await reason(target, gateway) == ""


@BOTH_WAYS
async def test_a_worker_is_not_believed_for_whom_it_calls(theirs: Path, tmp_path: Path) -> None:
    """Check that a worker can't name a caller, whose quotas its calls would use."""

    async def named() -> bytes:
        return access.caller.get().name.encode()

    worker = to_embedder(folder(tmp_path / "worker", embedder=OTHER))
    async with (
        started(known(theirs).access(), named) as target,
        channel.connect(target, peers=worker) as peer,
    ):
        access.caller.set(Caller("shop", frozenset()))
        method = peer.unary_unary(f"/{EMBEDDING}/BatchEmbed", None, None)
        assert await method(b"peek", timeout=SECONDS) == b"peer"


@BOTH_WAYS
@pytest.mark.parametrize("asks", [True, False])
async def test_the_gateway_alone_is_believed_for_whom_it_calls(
    ours: Path, theirs: Path, asks: bool
) -> None:
    async def named() -> bytes:
        return access.caller.get().name.encode()

    async with (
        started(known(theirs).access() if asks else access.OPEN, named) as target,
        channel.connect(target, peers=to_embedder(ours)) as peer,
    ):
        method = peer.unary_unary(f"/{EMBEDDING}/BatchEmbed", None, None)
        for caller in (access.ANYONE, access.PEER):
            access.caller.set(caller)
            assert await method(b"peek", timeout=SECONDS) == (b"peer" if asks else b"anyone")
        access.caller.set(Caller("façade\n%2f", frozenset()))
        assert (await method(b"peek", timeout=SECONDS)).decode() == (
            "façade\n%2f" if asks else "anyone"
        )


@BOTH_WAYS
async def test_while_keys_change_both_are_good_and_the_first_is_sent(
    ours: Path, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(text: str, changed: int) -> None:
        for file in (ours / "embedder.key", theirs / "gateway.key"):
            file.write_text(text)
            os.utime(file, ns=(changed, changed))

    def by(key: str) -> PeerCredentials:
        return PeerCredentials(lambda: {PeerName.EMBEDDER: [key]}).calling(PeerName.EMBEDDER)

    monkeypatch.setattr("servicekit.watched_files.LOOK_SECONDS", 0.0)
    here = to_embedder(ours)
    async with started(known(theirs).access()) as target:
        written(f"{OLD}\n{NEW}\n", 1)
        assert here.metadata() == {"x-sightline-peer-key": OLD}
        assert [await reason(target, by(key)) for key in (OLD, NEW)] == ["", ""]
        written(f"{NEW}\n{OLD}\n", 2)
        assert here.metadata() == {"x-sightline-peer-key": NEW}
        written(f"{NEW}\n", 3)
        assert await reason(target, by(OLD)) == "PEER_UNKNOWN"
        assert await reason(target, here) == ""


@pytest.mark.parametrize(
    "text",
    ["", "short", f"{OLD}\n{OLD}\n{OLD}", f"{OLD}\n\x00{OLD}", "ü" * 32],
)
def test_a_file_without_a_good_key_is_refused_and_not_shown(ours: Path, text: str) -> None:
    folder(ours, embedder=text)
    with pytest.raises(Unreadable, match=r"embedder\.key") as caught:
        known(ours)
    assert OLD not in str(caught.value)


def test_a_key_that_is_guessed_is_refused_with_a_word_on_how_to_make_one(ours: Path) -> None:
    folder(ours, embedder=f"{OLD}\n{'a' * 32}\n")
    with pytest.raises(Unreadable, match=r"embedder\.key: a key is easily guessed.*openssl rand"):
        known(ours)


def test_a_file_of_no_service_is_refused(ours: Path) -> None:
    folder(ours, reviewer=NEW)
    with pytest.raises(Unreadable, match=r"reviewer\.key: names no service.*retriever-worker"):
        known(ours)


def test_one_key_for_two_services_is_refused(ours: Path) -> None:
    folder(ours, ranker=f"{NEW}\n{OLD}\n")
    with pytest.raises(Unreadable, match="each pair of services needs its own"):
        known(ours)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"none: has no SERVICE\.key"):
        known(tmp_path / "none")


def test_a_missing_key_of_a_service_that_is_called_is_refused(ours: Path) -> None:
    with pytest.raises(Unreadable, match=r"no ranker\.key"):
        known(ours).calling(PeerName.RANKER)


def test_a_bad_change_leaves_the_former_key(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servicekit.watched_files.LOOK_SECONDS", 0.0)
    here = to_embedder(ours)
    folder(ours, embedder="oops")
    assert here.metadata() == {"x-sightline-peer-key": OLD}


@pytest.mark.parametrize("ending", ["\n", ""])
def test_a_key_is_added_and_put_first_by_the_commands_of_the_page(ours: Path, ending: str) -> None:
    (ours / "embedder.key").write_text(f"{OLD}{ending}")
    page = (Path(__file__).parents[4] / "docs/operate/keys.md").read_text()
    page = page.partition("## Change keys and certificates")[2]
    end, add, turn = re.findall(r"^\$ (.+)$", page, re.MULTILINE)
    held = []
    for command in (f"{end}; {add}", turn):
        subprocess.run(["bash", "-c", command], cwd=ours, check=True)
        held.append((ours / "embedder.key").read_text().split())
    assert held[0][0] == OLD
    assert held[1] == held[0][::-1]
    assert to_embedder(ours).metadata()["x-sightline-peer-key"] == held[1][0]

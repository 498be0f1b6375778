"""The key that services share: who has it is a peer, and it changes without a failed call."""

import hashlib
import os
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from servicekit import access, channel, server
from servicekit.access import Caller
from servicekit.config import PeerSettings, ServerSettings
from servicekit.peers import PeerCredentials
from servicekit.reloaded import Unreadable
from servicekit.status import from_rpc_error
from tests.fakes.kit_echo import Echo, binding
from tests.waiting import SECONDS

OLD, NEW = (hashlib.sha256(name).hexdigest() for name in (b"old", b"new"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "peers.key"
    file.write_text(f"{OLD}\n")
    return file


@pytest.fixture
async def target(path: Path) -> AsyncIterator[str]:
    """A service that takes its peers alone."""
    settings = ServerSettings(peer_key_file=path)
    running = await server.start(
        [binding(Echo())], settings, "shop", PeerCredentials.of(settings).access()
    )
    yield f"127.0.0.1:{running.port}"
    await running.stop()


async def reason(target: str, peers: PeerCredentials) -> str:
    """Why a call is refused; empty = it is not."""
    async with channel.connect(target, peers=peers) as peer:
        try:
            await peer.unary_unary("/test.Echo/Unary", None, None)(b"x", timeout=SECONDS)
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error).reason
    return ""


async def test_a_peer_is_known_by_the_key(target: str, path: Path) -> None:
    assert await reason(target, PeerCredentials.of(PeerSettings(peer_key_file=path))) == ""
    assert await reason(target, PeerCredentials()) == "PEER_UNKNOWN"
    for other in (NEW, OLD[:-1], f"{OLD}a", ""):
        assert await reason(target, PeerCredentials(lambda other=other: [other])) == "PEER_UNKNOWN"


@pytest.mark.parametrize("asks", [True, False])
async def test_a_peer_alone_is_believed_for_whom_it_calls(path: Path, asks: bool) -> None:
    async def named() -> bytes:
        return access.caller.get().name.encode()

    known = PeerCredentials.of(PeerSettings(peer_key_file=path))
    who = known.access() if asks else access.OPEN
    running = await server.start([binding(Echo(named))], ServerSettings(), "shop", who)
    async with channel.connect(f"127.0.0.1:{running.port}", peers=known) as peer:
        method = peer.unary_unary("/test.Echo/Unary", None, None)
        for caller in (access.ANYONE, access.PEER):
            access.caller.set(caller)
            assert await method(b"peek", timeout=SECONDS) == (b"peer" if asks else b"anyone")
        access.caller.set(Caller("façade\n%2f", frozenset()))
        assert (await method(b"peek", timeout=SECONDS)).decode() == (
            "façade\n%2f" if asks else "anyone"
        )
    await running.stop()


async def test_while_keys_change_both_are_good_and_the_first_is_sent(
    target: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(text: str, changed: int) -> None:
        path.write_text(text)
        os.utime(path, ns=(changed, changed))

    monkeypatch.setattr("servicekit.reloaded.LOOK_SECONDS", 0.0)
    here = PeerCredentials.of(PeerSettings(peer_key_file=path))
    written(f"{OLD}\n{NEW}\n", 1)
    assert here.metadata() == {"authorization": f"Bearer {OLD}"}
    assert [await reason(target, PeerCredentials(lambda key=key: [key])) for key in (OLD, NEW)] == [
        "",
        "",
    ]
    written(f"{NEW}\n{OLD}\n", 2)
    assert here.metadata() == {"authorization": f"Bearer {NEW}"}
    written(f"{NEW}\n", 3)
    assert await reason(target, PeerCredentials(lambda: [OLD])) == "PEER_UNKNOWN"
    assert await reason(target, here) == ""


@pytest.mark.parametrize(
    "text",
    ["", "short", f"{OLD}\n{OLD}\n{OLD}", f"{OLD}\n\x00{OLD}", "ü" * 32],
)
def test_a_file_without_a_good_key_is_refused_and_not_shown(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(Unreadable, match=r"peers\.key") as caught:
        PeerCredentials.of(PeerSettings(peer_key_file=path))
    assert OLD not in str(caught.value)


def test_a_key_that_is_guessed_is_refused_with_a_word_on_how_to_make_one(path: Path) -> None:
    path.write_text(f"{OLD}\n{'a' * 32}\n")
    with pytest.raises(Unreadable, match=r"peers\.key: a key is easily guessed.*openssl rand"):
        PeerCredentials.of(PeerSettings(peer_key_file=path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="No such file"):
        PeerCredentials.of(PeerSettings(peer_key_file=tmp_path / "none"))


def test_a_bad_change_leaves_the_former_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servicekit.reloaded.LOOK_SECONDS", 0.0)
    here = PeerCredentials.of(PeerSettings(peer_key_file=path))
    path.write_text("oops")
    assert here.metadata() == {"authorization": f"Bearer {OLD}"}


@pytest.mark.parametrize("ending", ["\n", ""])
def test_a_key_is_added_and_put_first_by_the_commands_of_the_page(path: Path, ending: str) -> None:
    path.write_text(f"{OLD}{ending}")
    page = (Path(__file__).parents[3] / "docs/operate/rotating.md").read_text()
    end, add, turn = re.findall(r"^\$ (.+)$", page, re.MULTILINE)
    held = []
    for command in (f"{end}; {add}", turn):
        subprocess.run(["bash", "-c", command], cwd=path.parent, check=True)
        keys = PeerCredentials.of(PeerSettings(peer_key_file=path)).keys
        assert keys is not None
        held.append([*keys()])
    assert held[0][0] == OLD
    assert held[1] == held[0][::-1]

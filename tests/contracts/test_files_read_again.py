"""Files that are read again while a process serves: each is broken, one kind after the other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from prometheus_client import REGISTRY

from gateway.callers.keys import Keys
from gateway.callers.signed import public_keys
from gateway.state.experiments import RunningExperiments
from gateway.state.scenes import SceneFiles
from servicekit.config import PeerSettings
from servicekit.keys.keyring import signing_keys
from servicekit.keys.wrapping import FileKeys
from servicekit.rpc.peers import PeerCredentials
from servicekit.rpc.tls import AUTHORITY, Certificates
from servicekit.watched_files import Unreadable
from tests import certificates
from tests.broken_files import WAYS, removed
from tests.contracts.files_read import RELOADS, ROWS
from tests.fakes.experiments import Keeper
from tests.unit.gateway.callers.conftest import entry


@dataclass(frozen=True)
class Kind:
    """A kind of files that a process reads again while it serves."""

    module: str
    broken: str
    """The file that is broken."""
    write: Callable[[Path, int], None]
    """Writes the first or the second content of all files."""
    use: Callable[[Path], Callable[[], object]]
    """Begins to use a folder's files; returns what returns their content."""
    metric: tuple[str, dict[str, str]]
    valid: frozenset[str] = field(default_factory=frozenset)
    """Ways to break the file that leave another good one, or none, which is fine too."""
    other: Callable[[Path], None] | None = None
    """Changes another file to its second content."""
    starts: bool = False
    """Whether a process starts with the other files if one is broken."""


def _token(folder: Path, number: int) -> None:
    (folder / "keys.toml").write_text(entry("shop", f"t{number}", '["read"]'))


def _used_keys(folder: Path) -> Callable[[], object]:
    keys = Keys(folder / "keys.toml")
    return lambda: [keys.caller(f"t{number}") is not None for number in (0, 1)]


_CURVES = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]


def _jwks(folder: Path, number: int) -> None:
    key = json.loads(ECAlgorithm.to_jwk(_CURVES[number].public_key()))
    (folder / "jwks.json").write_text(json.dumps({"keys": [{**key, "kid": str(number)}]}))


def _used_jwks(folder: Path) -> Callable[[], object]:
    keys = public_keys(folder / "jwks.json")
    return lambda: [each.key_id for each in keys.get().keys]


def _random(*of: object) -> str:
    return hashlib.sha256(repr(of).encode()).hexdigest()


def _ring(folder: Path, number: int) -> None:
    (folder / "ring.keys").write_text(_random("ring", number) + "\n")


def _used_ring(folder: Path) -> Callable[[], object]:
    keys = signing_keys(folder / "ring.keys")
    return lambda: keys().sign(("test",), b"")


def _used_wrapping(folder: Path) -> Callable[[], object]:
    keys = FileKeys(folder / "ring.keys")
    return lambda: keys.current


def _peer(folder: Path, number: int) -> None:
    for name in ("embedder", "ranker"):
        (folder / f"{name}.key").write_text(_random(name, number)[:40])


def _used_peers(folder: Path) -> Callable[[], object]:
    keys = PeerCredentials.of(PeerSettings(peer_keys_folder=folder)).keys
    assert keys is not None
    return lambda: {str(peer): each[0][0] for peer, each in keys().items()}


_SIGNER = certificates.authority()


def _certificate(folder: Path, number: int) -> None:
    certificates.write(folder, _SIGNER, changed=number + 1)


def _used_certificate(folder: Path) -> Callable[[], object]:
    held = Certificates(folder, folder / AUTHORITY, "peers")
    return held.calling


def _scene(folder: Path, number: int) -> None:
    for name in ("home", "sale"):
        (folder / f"{name}.toml").write_text(f"over_fetch = {number + 3}.0\n")


def _used_scenes(folder: Path) -> Callable[[], object]:
    scenes = SceneFiles(folder)
    return lambda: {name: scenes.get(name).over_fetch for name in ("home", "sale")}


def _experiment(folder: Path, number: int) -> None:
    for name in ("home", "sale"):
        (folder / f"{name}.toml").write_text(
            f'scenes = ["default"]\nstart = 2026-01-01T00:00:00Z\nmetric = "click_rate"\n'
            f'catalog = "{name}"\ndescription = "{number}"\n'
            f'[[arms]]\nname = "one"\nshare = 0.5\n[[arms]]\nname = "two"\nshare = 0.5\n'
        )


def _used_experiments(folder: Path) -> Callable[[], object]:
    found = RunningExperiments(folder, ("home", "sale"), SceneFiles(), Keeper())
    return lambda: {each.name: each.description for each in found._files.get().values()}


def _second(write: Callable[[Path, int], None], name: str) -> Callable[[Path], None]:
    """Return what writes the second content of one of several files."""

    def change(folder: Path) -> None:
        new = folder / "new"
        new.mkdir()
        write(new, 1)
        (new / name).replace(folder / name)
        removed(new)

    return change


def _stale(keys: str) -> tuple[str, dict[str, str]]:
    return "sightline_key_file_stale", {"keys": keys}


_LEAVES = frozenset({"missing"})
KINDS = {
    "callers' keys": Kind(
        "gateway.callers.keys", "keys.toml", _token, _used_keys, _stale("callers")
    ),
    "a provider's keys": Kind(
        "gateway.callers.signed", "jwks.json", _jwks, _used_jwks, _stale("jwks")
    ),
    "signing keys": Kind(
        "servicekit.keys.keyring", "ring.keys", _ring, _used_ring, _stale("signing")
    ),
    "wrapping keys": Kind(
        "servicekit.keys.keyring", "ring.keys", _ring, _used_wrapping, _stale("wrapping")
    ),
    "a peer's keys": Kind(
        *("servicekit.rpc.peers", "ranker.key", _peer, _used_peers, _stale("peers"), _LEAVES),
        _second(_peer, "embedder.key"),
    ),
    **{
        file: Kind("servicekit.rpc.tls", file, _certificate, _used_certificate, _stale("tls"))
        for file in ("tls.crt", "tls.key", "ca.crt")
    },
    "a scene": Kind(
        *("gateway.state.scenes", "sale.toml", _scene, _used_scenes),
        ("sightline_gateway_scenes_stale", {"source": "files"}),
        _LEAVES | {"empty"},
        _second(_scene, "home.toml"),
        starts=True,
    ),
    "an experiment": Kind(
        *("gateway.state.experiments", "sale.toml", _experiment, _used_experiments),
        ("sightline_gateway_experiments_stale", {}),
        _LEAVES,
        _second(_experiment, "home.toml"),
        starts=True,
    ),
}
CASES = [(kind, way) for kind in KINDS for way in WAYS if way not in KINDS[kind].valid]


def test_all_kinds_that_are_read_again_are_broken() -> None:
    assert {kind.module for kind in KINDS.values()} == {
        module for module, row in ROWS.items() if row.test == RELOADS
    }


@pytest.mark.parametrize(("name", "way"), CASES)
def test_a_file_that_is_broken_at_the_start_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, way: str
) -> None:
    kind = KINDS[name]
    kind.write(tmp_path, 0)
    WAYS[way](tmp_path / kind.broken)
    if kind.starts:
        kind.use(tmp_path)
        (said,) = [each for each in _lines(capsys) if "rejected" in each]
        assert REGISTRY.get_sample_value(*kind.metric) == 1
    else:
        with pytest.raises(Unreadable) as caught:
            kind.use(tmp_path)
        said = str(caught.value)
    assert str(tmp_path / kind.broken) in said


@pytest.mark.parametrize(("name", "way"), CASES)
def test_a_file_that_breaks_while_it_is_in_use_costs_nothing_but_itself(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    way: str,
) -> None:
    monkeypatch.setattr("servicekit.watched_files.LOOK_SECONDS", 0.0)
    kind = KINDS[name]
    kind.write(tmp_path, 0)
    used = kind.use(tmp_path)
    before = used()
    WAYS[way](tmp_path / kind.broken)
    if kind.other is not None:
        kind.other(tmp_path)
    capsys.readouterr()

    for _ in range(3):
        found = used()
    assert REGISTRY.get_sample_value(*kind.metric) == 1
    (said,) = [each for each in _lines(capsys) if "rejected" in each]
    assert str(tmp_path / kind.broken) in said

    removed(tmp_path / kind.broken)
    kind.write(tmp_path, 1)
    after = used()
    assert REGISTRY.get_sample_value(*kind.metric) == 0
    assert after != before
    if isinstance(before, dict) and isinstance(after, dict):
        changed = {each for each in before if found[each] != before[each]}  # type: ignore[index]
        assert changed == before.keys() - {Path(kind.broken).stem}
        assert all(found[each] == after[each] for each in changed)  # type: ignore[index]
    else:
        assert found == before


def _lines(capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    written = capsys.readouterr()
    yield from f"{written.out}{written.err}".splitlines()


def test_what_failed_without_a_change_of_the_files_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as too many open files."""
    now = [0.0]
    _token(tmp_path, 0)
    keys = Keys(tmp_path / "keys.toml", clock=lambda: now[0])
    _token(tmp_path, 1)
    with monkeypatch.context() as full:
        full.setattr(Path, "read_text", _full)
        now[0] = 2.0
        assert keys.caller("t1") is None
    now[0] = 40.0
    assert keys.caller("t1") is not None


def _full(*_: Any) -> str:
    raise OSError(24, "Too many open files")


@pytest.mark.parametrize("way", WAYS)
def test_a_broken_file_of_settings_is_named_at_the_start(tmp_path: Path, way: str) -> None:
    from embedder.settings import EmbedderSettings
    from embedder.wiring import control_key
    from ranker.settings.recipe_file import read_recipe
    from retriever.settings import RetrieverSettings
    from retriever.wiring import milvus_authority

    path = tmp_path / "file"
    path.write_text("epochs = 1")
    WAYS[way](path)
    if way != "empty":  # the recipe has all defaults
        with pytest.raises(ValueError, match=r"can't be read|is not TOML"):
            read_recipe(str(path))
    if way not in {"cut in the middle", "of another kind"}:  # any text is a key
        with pytest.raises(Unreadable, match=str(path)):
            control_key(EmbedderSettings(triton_key_file=path))
    if path.is_file():  # else the setting is refused
        with pytest.raises(Unreadable, match=str(path)):
            milvus_authority(RetrieverSettings(milvus_ca_file=path))

"""TLS to the gateway: commands trust the named authority, and send a certificate."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from sightline_client import SyncSightlineClient, tls_credentials
from tests import certificates
from tests.fakes.gateway import FakeGateway
from tests.unit.client.command_line import call, flat

OURS, OTHERS = certificates.authority(), certificates.authority()


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return certificates.write(tmp_path / "ours", OURS)


@pytest.fixture
def others(tmp_path: Path) -> Path:
    return certificates.write(tmp_path / "others", OTHERS)


@pytest.fixture(params=[False, True])
def strict(request: pytest.FixtureRequest) -> bool:
    """Return whether the gateway requires client certificates."""
    return bool(request.param)


@pytest.fixture
def target(ours: Path, strict: bool) -> Iterator[str]:
    chain, key, roots = ((ours / name).read_bytes() for name in ("tls.crt", "tls.key", "ca.crt"))
    credentials = grpc.ssl_server_credentials(
        [(key, chain)], roots if strict else None, require_client_auth=strict
    )
    with FakeGateway(credentials) as gateway:
        yield gateway.target


def shown(folder: Path) -> tuple[str, ...]:
    """Return the options that send a client certificate."""
    return ("--cert", str(folder / "tls.crt"), "--key", str(folder / "tls.key"))


@pytest.mark.slow
def test_who_is_believed_answers_whom_it_believes(
    target: str, strict: bool, ours: Path, others: Path
) -> None:
    ask = ("status", "--target", target, "--timeout", "20")
    believing = ("--ca", str(ours / "ca.crt"))
    assert call(*ask, *believing, *shown(ours)).exit_code == 0
    assert (call(*ask, *believing).exit_code == 0) == (not strict)
    refused = [
        ("--ca", str(others / "ca.crt"), *shown(ours)),
        ("--tls", *shown(ours)),
        (),
    ]
    refused += [(*believing, *shown(others))] if strict else []
    for options in refused:
        result = call(*ask, *options)
        assert result.exit_code == 1, options
        assert "GATEWAY_UNREACHABLE" in result.output


def test_the_environment_may_name_the_files(
    target: str, ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, file in (("CA", "ca.crt"), ("CERT", "tls.crt"), ("KEY", "tls.key")):
        monkeypatch.setenv(f"SIGHTLINE_{name}_FILE", str(ours / file))
    assert call("status", "--target", target).exit_code == 0


def test_programs_take_the_same_files(target: str, ours: Path) -> None:
    credentials = tls_credentials(ca=ours / "ca.crt", cert=ours / "tls.crt", key=ours / "tls.key")
    with SyncSightlineClient(target, credentials=credentials) as client:
        assert client.status().products == 100


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--cert", "tls.crt"), "give both"),
        (("--key", "tls.key"), "give both"),
        (("--ca", "nowhere.crt"), "nowhere.crt: No such file"),
        (("--ca", "garbled"), "garbled: invalid certificates"),
        (("--cert", "tls.crt", "--key", "garbled"), "garbled: invalid certificate or key"),
    ],
)
def test_files_that_can_not_be_used_are_wrong_usage(
    ours: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], problem: str
) -> None:
    (ours / "garbled").write_text("no PEM")
    monkeypatch.chdir(ours)
    result = call("status", "--target", "127.0.0.1:1", *options)
    assert result.exit_code == 2
    assert problem in flat(result.output.replace("│", ""))

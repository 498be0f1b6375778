"""Several services in one process: which, with which targets, and what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sightline_all import services as program

from embedder.settings import EmbedderSettings
from gateway.settings import GatewaySettings
from ranker.settings import RankerSettings
from tests import certificates
from tests.waiting import SECONDS

NO_CERTIFICATES = (
    "{}_PEER_TLS_FOLDER: calls in one process have no certificates: run the services apart, or"
    " unset it"
)


def test_all_services_run_unless_some_are_named() -> None:
    assert program._named([]) == ["gateway", "embedder", "retriever", "ranker"]
    assert program._named(["--target", "all"]) == program._named([])
    assert program._named(["--target", "ranker,gateway"]) == ["gateway", "ranker"]
    with pytest.raises(SystemExit):
        program._named(["--target", "gateway,shop"])


@pytest.mark.parametrize("name", ["embedder", "retriever", "ranker"])
def test_one_setting_takes_a_service_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"GATEWAY_{name.upper()}_TARGET", "elsewhere:8600")
    assert program._named([]) == [each for each in program.SERVICES if each != name]
    monkeypatch.setenv(f"GATEWAY_{name.upper()}_TARGET", f"local:{name}")
    assert program._named([]) == list(program.SERVICES)


def test_services_of_the_process_call_one_another_and_others_by_their_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [each for each in os.environ if each.endswith("_TARGET")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GATEWAY_RETRIEVER_TARGET", "elsewhere:8602")
    with monkeypatch.context() as patched:
        patched.setattr(os, "environ", dict(os.environ))
        program._set_targets(["gateway", "embedder", "retriever"])
        assert os.environ["GATEWAY_EMBEDDER_TARGET"] == "local:embedder"
        assert os.environ["RETRIEVER_EMBEDDER_TARGET"] == "local:embedder"
        assert os.environ["GATEWAY_RETRIEVER_TARGET"] == "elsewhere:8602"
        assert "GATEWAY_RANKER_TARGET" not in os.environ
        assert "GATEWAY_METRICS_PORT" not in os.environ
        assert os.environ["RETRIEVER_METRICS_PORT"] == "0"


def test_what_one_process_can_not_do_is_refused_with_the_setting(tmp_path: Path) -> None:
    gateway = GatewaySettings(processes=2)
    embedder = EmbedderSettings(peer_tls_folder=tmp_path)
    found = list(program._impossible({"gateway": gateway, "embedder": embedder}))
    assert found == [
        "GATEWAY_PROCESSES: one process runs several services here: run gateway alone, or set it"
        " to 1",
        NO_CERTIFICATES.format("EMBEDDER"),
    ]
    assert list(program._impossible({"embedder": embedder})) == []


def test_services_that_would_send_traces_elsewhere_are_refused() -> None:
    ranker = RankerSettings(traces_endpoint="http://collector:4317")
    alike = GatewaySettings(traces_endpoint="http://collector:4317")
    (found,) = program._different({"gateway": GatewaySettings(), "ranker": ranker})
    assert found.startswith("RANKER_TRACES_ENDPOINT: one process")
    assert list(program._different({"gateway": alike, "ranker": ranker})) == []


def started(folder: Path, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    """Run the program until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "sightline_all", *arguments],
        env={**os.environ, "RANKER_CREATE_KEY": "true", **given},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


@pytest.mark.full
def test_the_settings_are_checked_without_a_start(tmp_path: Path) -> None:
    done = started(tmp_path, "--check")
    assert (done.returncode, done.stderr) == (0, "")
    done = started(tmp_path, "--check", GATEWAY_PROCESSES="2")
    assert done.returncode == 2
    assert "GATEWAY_PROCESSES" in done.stderr


@pytest.mark.full
def test_a_start_with_certificates_between_services_is_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    tls = str(certificates.write(tmp_path / "tls", certificates.authority()))
    names = [each.upper() for each in program.SERVICES]
    done = started(tmp_path, **{f"{name}_PEER_TLS_FOLDER": tls for name in names})
    assert done.returncode == 2
    found = [line.strip() for line in done.stderr.splitlines()]
    assert found == ["4 problem(s):", *map(NO_CERTIFICATES.format, names)]

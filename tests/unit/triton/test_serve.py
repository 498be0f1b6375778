"""Preparation and arguments of the server; the live tests start the server itself."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from triton_engine import control, serve

OPTIONS = serve.Options(
    models=Path("/models"),
    spaces=None,
    load=(),
    grpc_port=1004,
    http_port=None,
    metrics_port=None,
    control_key_file=None,
    traces_url="",
    verbose=False,
)
SERVER = Path("/wheel/bin/tritonserver")


def line(options: serve.Options) -> list[str]:
    return serve.command(options, SERVER, Path("/backends"), "shm_1_")


def test_every_front_that_is_on_binds_to_this_machine_only() -> None:
    found = line(replace(OPTIONS, http_port=1005, metrics_port=1006))
    for front in ("grpc", "http", "metrics"):
        assert f"--{front}-address=127.0.0.1" in found


def test_http_and_metrics_are_off_unless_they_have_a_port() -> None:
    found = line(OPTIONS)
    assert "--allow-http=false" in found
    assert "--allow-metrics=false" in found
    assert not [word for word in found if word.startswith(("--http-", "--metrics-"))]


def test_models_are_loaded_explicitly_and_a_broken_one_does_not_unready_the_others() -> None:
    found = line(OPTIONS)
    assert found[0] == str(SERVER)
    assert {"--model-control-mode=explicit", "--load-model=*", "--strict-readiness=false"} <= set(
        found
    )


def test_the_models_asked_for_are_loaded_and_those_of_spaces_are_left_to_the_embedder(
    tmp_path: Path,
) -> None:
    (tmp_path / "visual_a").mkdir()
    (tmp_path / "visual_a" / "config.pbtxt").touch()
    found = line(replace(OPTIONS, spaces=tmp_path, load=("lite", "text")))
    assert [w for w in found if w.startswith("--model-repository=")] == [
        "--model-repository=/models",
        f"--model-repository={tmp_path}",
    ]
    assert [w.removeprefix("--load-model=") for w in found if w.startswith("--load-model=")] == [
        "lite",
        "text",
    ]


def test_shared_memory_is_closed_to_callers_by_a_key_that_differs_each_time() -> None:
    keys = {w for _ in range(2) for w in line(OPTIONS) if w.startswith("--grpc-restricted")}
    assert len(keys) == 2
    assert all("=shared-memory,trace,logging:" in key for key in keys)


def test_models_are_listed_and_loaded_with_a_key_alone_once_there_is_one() -> None:
    assert not [word for word in line(OPTIONS) if "model-repository:" in word]
    found = serve.command(OPTIONS, SERVER, Path("/backends"), "shm_1_", "abc")
    assert "--grpc-restricted-protocol=model-repository:sightline-control=abc" in found


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    assert control.key_of(None) == ""
    file = tmp_path / "new" / "triton.key"
    key = control.key_of(file)
    assert len(key) == 64
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(f"{key}\n")
    assert control.key_of(file) == key
    assert control.key_of(tmp_path / "other.key") != key


def test_two_servers_name_their_shared_memory_differently() -> None:
    assert serve.shared_memory_prefix(10) != serve.shared_memory_prefix(11)


def test_only_the_regions_of_dead_servers_of_this_machine_are_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = serve.shared_memory_prefix(ended.pid) + "a"
    alive = serve.shared_memory_prefix(os.getpid()) + "b"
    elsewhere = f"sightline_triton_1_{ended.pid}_c"
    for name in (dead, alive, elsewhere, "other"):
        (tmp_path / name).touch()
    assert serve.remove_orphans(tmp_path) == [dead]
    assert {p.name for p in tmp_path.iterdir()} == {alive, elsewhere, "other"}


def test_the_stub_finds_this_environment_first() -> None:
    found = serve.environment({"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/cuda"})
    assert found["PATH"].split(os.pathsep) == [str(Path(sys.prefix) / "bin"), "/usr/bin"]
    assert found["LD_LIBRARY_PATH"].endswith(os.pathsep + "/cuda")
    assert not serve.environment({})["LD_LIBRARY_PATH"].endswith(os.pathsep)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    root = tmp_path / "wheel"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for name in (
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_utils.py",
        f"python_backend_stubs/{version}/triton_python_backend_stub",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_the_backend_folder_holds_links_and_preparing_it_again_fixes_them(
    wheel: Path, tmp_path: Path
) -> None:
    backends = serve.prepare_backends(wheel, tmp_path / "backends")
    stub = backends / "python" / "triton_python_backend_stub"
    assert {p.name for p in stub.parent.iterdir() if p.resolve().is_file()} == {
        "libtriton_python.so",
        "triton_python_backend_utils.py",
        "triton_python_backend_stub",
    }
    stub.unlink()
    stub.symlink_to("/nowhere")
    serve.prepare_backends(wheel, tmp_path / "backends")
    assert stub.resolve().is_relative_to(wheel)


def test_a_wheel_without_a_stub_for_this_python_is_named(wheel: Path, tmp_path: Path) -> None:
    (stub,) = wheel.glob("python_backend_stubs/*/*")
    stub.unlink()
    with pytest.raises(FileNotFoundError, match="python_backend_stub"):
        serve.prepare_backends(wheel, tmp_path / "backends")


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Yield a function that starts a child process which looks like a model's, and returns its
    id."""
    started: list[subprocess.Popen[bytes]] = []

    def start(server: int, models: Path, suite: str = "here", name: str = serve.STUB) -> int:
        script = models / "m" / "1" / "model.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text("print(flush=True); import time; time.sleep(60)")
        process = subprocess.Popen(
            [f"/wheel/{name}", script, serve.shared_memory_prefix(server) + "6c10", "1048576"],
            executable=sys.executable,
            env={**os.environ, serve.SUITE: suite},
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_only_the_model_processes_that_a_killed_server_of_this_suite_left_are_ended(
    stub: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(serve.SUITE, "here")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    models = tmp_path / "models"
    left = [stub(ended.pid, models), stub(ended.pid, models)]
    kept = {
        "its server lives": stub(os.getpid(), models),
        "another repository": stub(ended.pid, tmp_path / "models2"),
        "another suite": stub(ended.pid, models, suite="there"),
        "no stub": stub(ended.pid, models, name="python"),
    }
    assert sorted(serve.end_orphans(models)) == sorted(left)
    for pid in left:
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    for why, pid in kept.items():
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), why


def test_traces_are_those_that_callers_record_and_show_no_tensors() -> None:
    def settings(url: str) -> list[str]:
        line = serve.command(replace(OPTIONS, traces_url=url), SERVER, Path("/b"), "p")
        flag = "--trace-config="
        return [each.removeprefix(flag) for each in line if each.startswith(flag)]

    assert settings("") == []
    found = settings("http://otel-collector:4318/v1/traces")
    assert {"mode=opentelemetry", "rate=0", "level=TIMESTAMPS"} < set(found)
    assert not any("TENSORS" in each for each in found)
    component = Path(__file__).parents[3] / "deploy/k8s/components/tracing/kustomization.yaml"
    assert set(re.findall(r"--trace-config=([^\s\"]+)", component.read_text())) == set(found)

"""The production Triton: its backends, and access to model control. tests/wire/test_triton_locks.py
checks the real server.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import dockerfiles
from tests.contracts.k8s import Document, main, pod, settings_of
from tests.contracts.test_compose import load
from tests.dockerfiles import ROOT

SERVER = ROOT / "deploy" / "triton" / "server"
SCRIPT = SERVER / "locked-triton"
SAFE = (25, 7)
"""The Python backend and the HTTP front of older ones have published vulnerabilities."""


def stage() -> dockerfiles.Stage:
    (only,) = dockerfiles.read(SERVER / "Dockerfile")
    return only


def test_it_is_a_safe_release_and_runs_as_nobody_in_particular() -> None:
    found = re.fullmatch(
        r"nvcr\.io/nvidia/tritonserver:(\d+)\.(\d+)-py3(@sha256:[0-9a-f]{64})?", stage().base
    )
    assert found is not None, stage().base
    assert (int(found[1]), int(found[2])) >= SAFE
    assert stage().all("USER")[-1] == "1000:1000"


def test_it_has_the_backend_of_our_models_and_no_other(tmp_path: Path) -> None:
    for name in ("onnxruntime", "python", "pytorch", "tensorrt", "dali"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"libtriton_{name}.so").touch()
    (command,) = stage().runs()
    there = command.replace("/opt/tritonserver/backends", str(tmp_path))
    assert there != command
    subprocess.run(["/bin/sh", "-c", there], check=True)
    assert [each.name for each in tmp_path.iterdir()] == ["onnxruntime"]
    configs = [*ROOT.glob("deploy/triton/models/*/configs/*.pbtxt")]
    assert configs
    for path in configs:
        text = path.read_text()
        assert 'platform: "onnxruntime_onnx"' in text
        assert "backend:" not in text


def locked(file: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run the script with a server that prints its arguments."""
    server = tmp_path / "bin" / "tritonserver"
    server.parent.mkdir(exist_ok=True)
    server.write_text('#!/bin/sh\nfor each in "$@"; do echo "$each"; done\n')
    server.chmod(0o755)
    return subprocess.run(
        [SCRIPT, file, "--model-repository=/a b"],
        env={"PATH": f"{server.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("ending", ["", "\n"])
def test_it_asks_for_the_key_of_a_file_and_for_one_that_nobody_has(
    tmp_path: Path, ending: str
) -> None:
    (tmp_path / "key").write_text("0123abc" + ending)
    first, again = (locked(tmp_path / "key", tmp_path).stdout.splitlines() for _ in range(2))
    assert first[0] == "--model-repository=/a b"
    assert "--grpc-restricted-protocol=model-repository:sightline-control=0123abc" in first
    assert first[:2] == again[:2]
    assert not set(first[2:]) & set(again[2:]), "nobody can know what differs each time"


@pytest.mark.parametrize("text", [None, "", "\n", "  \n"])
def test_without_a_key_it_does_not_start(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "key").write_text(text)
    done = locked(tmp_path / "key", tmp_path)
    assert done.returncode == 2
    assert "no key" in done.stderr
    assert not done.stdout


def test_in_kubernetes_it_and_the_embedder_have_the_same_key(base: list[Document]) -> None:
    container = main(base, "triton")
    script, file, *arguments = container["args"]
    assert script == SCRIPT.name
    assert all(argument.startswith("--") for argument in arguments)
    assert settings_of(base, "embedder")["EMBEDDER_TRITON_KEY_FILE"] == file
    for name in ("triton", "embedder"):
        mounts = {each["mountPath"]: each for each in main(base, name)["volumeMounts"]}
        mount = mounts[str(Path(file).parent)]
        assert mount["readOnly"] is True
        (volume,) = [each for each in pod(base, name)["volumes"] if each["name"] == mount["name"]]
        assert volume["secret"]["secretName"] == "triton-control"


@pytest.mark.parametrize("files", [["compose.yaml"], ["compose.yaml", "compose.gpu.yaml"]])
def test_in_compose_it_and_the_embedder_have_the_same_key(files: list[str]) -> None:
    services: dict[str, Any] = load(*files)["services"]
    script, file, *arguments = services["triton"]["command"]
    assert script == SCRIPT.name
    assert all(argument.startswith("--") for argument in arguments)
    assert services["embedder"]["environment"]["EMBEDDER_TRITON_KEY_FILE"] == file
    mounted = {
        name: [v for v in service.get("volumes", []) if v.startswith("triton-control:")]
        for name, service in services.items()
    }
    folder = Path(file).parent
    assert mounted.pop("models") == [f"triton-control:{folder}"]
    assert mounted.pop("embedder") == mounted.pop("triton") == [f"triton-control:{folder}:ro"]
    assert not any(mounted.values())


def test_the_key_of_compose_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "config").touch()
    (tmp_path / "control").mkdir()
    shell, option, text = load("compose.yaml")["services"]["models"]["command"]
    for place in ("models", "repository", "control"):
        text = text.replace(f"/{place}/", f"{tmp_path}/{place}/")
    keys = []
    for _ in range(2):
        (tmp_path / "repository").mkdir(exist_ok=True)
        subprocess.run([shell, option, text], check=True)
        keys.append((tmp_path / "control" / "key").read_text())
    assert keys[0] == keys[1]
    assert re.fullmatch(r"[0-9a-f]{64}", keys[0])

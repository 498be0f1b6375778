"""One folder has everything that plain protoc needs, and the wheel has the same files."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sightline.protos import bundle
from tests.tools import tool

ROOT = Path(__file__).parents[2]
LANGUAGES = ROOT / ".tools" / "languages" / "usr"
CONTRACT = ROOT / "protos" / "sightline"


def run(*command: str | Path, cwd: Path, **environment: str) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def protos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the command writes."""
    folder = tmp_path_factory.mktemp("bundle")
    run(sys.executable, "-m", "sightline.protos", folder / "protos", cwd=folder)
    return folder / "protos"


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.proto"))


def test_the_folder_holds_the_contract_and_its_imports(protos: Path) -> None:
    ours = {f"sightline/{path.relative_to(CONTRACT)}" for path in CONTRACT.rglob("*.proto")}
    assert names(protos) == sorted(bundle())
    assert set(names(protos)) - ours == {
        "google/api/annotations.proto",
        "google/api/http.proto",
        "google/rpc/error_details.proto",
        "google/rpc/status.proto",
        "google/type/money.proto",
    }


def debian() -> tuple[str, dict[str, str]]:
    """Return Debian's protoc and its environment; skip if it is not installed."""
    if (unpacked := LANGUAGES / "bin" / "protoc").exists():
        return str(unpacked), {"LD_LIBRARY_PATH": str(LANGUAGES / "lib/x86_64-linux-gnu")}
    return tool("protoc"), {}


@pytest.mark.parametrize("tool", ["grpc_tools", "debian"])
def test_plain_protoc_compiles_it_for_python(tool: str, protos: Path, tmp_path: Path) -> None:
    """Compile with grpc_tools' protoc and with Debian's, each with the one path."""
    command: tuple[str, ...] = (sys.executable, "-m", "grpc_tools.protoc")
    environment = dict[str, str]()
    if tool == "debian":
        protoc, environment = debian()
        command = (protoc,)
    out = f"--python_out={tmp_path}"
    run(*command, f"-I{protos}", out, *names(protos), cwd=protos, **environment)
    made = tmp_path / "sightline/gateway/v1/recommendation_service_pb2.py"
    assert made.stat().st_size > 0
    assert len(list(tmp_path.rglob("*_pb2.py"))) == len(names(protos))


def test_each_proto_says_its_go_and_java_package(protos: Path) -> None:
    for name in names(protos / "sightline"):
        folder, version = Path(name).parts[:2]
        text = (protos / "sightline" / name).read_text("utf-8")
        assert dict(re.findall(r'^option (\w+) = "?([^";]+;?[^";]*)"?;$', text, re.MULTILINE)) == {
            "go_package": f"sightline/{folder}/{version};{folder}{version}",
            "java_multiple_files": "true",
            # Without it, space.proto's outer class and another file's message Space are one file.
            "java_outer_classname": "".join(map(str.capitalize, Path(name).stem.split("_")))
            + "Proto",
            "java_package": f"sightline.{folder}.{version}",
        }, name


@pytest.mark.slow
def test_the_wheel_carries_the_protos_and_the_command(tmp_path: Path) -> None:
    uv = ROOT / ".tools/bin/uv"
    run(uv, "build", "--wheel", "--package", "sightline-protos", "-o", tmp_path, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        held = {name: files.read(name) for name in files.namelist()}
    for name, content in bundle().items():
        if name.startswith("sightline/"):
            assert held[name] == content, name
    assert "sightline/protos.py" in held

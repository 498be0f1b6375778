"""Names of the distributions, and the Pythons on which the client and the protos install."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.when(
    "uv.lock", "pyproject.toml", "protos", "client", "agents", "console", "kit", "rules", "core"
)

ROOT = Path(__file__).parents[2]
UV = ROOT / ".tools/bin/uv"
MANIFESTS = sorted(
    path
    for pattern in ("protos", "kit", "rules", "core", "client", "agents", "console", "services/*")
    for path in ROOT.glob(f"{pattern}/pyproject.toml")
)
EVERYWHERE = ("protos", "client", "agents", "console")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


FETCHED = ROOT / ".cache/pythons"


def run(
    *command: str | Path, given: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=os.environ | {"UV_PYTHON_DOWNLOADS": "never"} | environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def project(manifest: Path) -> dict[str, object]:
    found: dict[str, object] = tomllib.loads(manifest.read_text("utf-8"))["project"]
    return found


@pytest.fixture(scope="module")
def index() -> None:
    """Skip if no package index answers."""
    if run(UV, "pip", "compile", "-q", "-", given="jinja2").returncode:
        pytest.skip("NOT MEASURED: no package index is reached from here")


def interpreter(version: str) -> str:
    """Return a Python of this version on this machine, else one that uv fetches; skip if there is
    none."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for each in (shutil.which(f"python{version}"), *map(str, kept)):
        if each and run(each, "-c", "import ensurepip").returncode == 0:
            return each
    fetching = ("python", "install", "-q", "--no-bin", "--install-dir", FETCHED, version)
    if run(UV, *fetching, UV_PYTHON_DOWNLOADS="manual").returncode == 0:
        return str(max(FETCHED.glob(f"cpython-{version}.*/bin/python{version}")))
    pytest.skip(f"NOT MEASURED: no Python {version} on this machine, and uv can fetch none")


def test_every_distribution_is_called_as_the_page_says() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Names")[2]
    listed = re.findall(r"^\| `([a-z-]+)` \|", page.partition("\n## ")[0], re.MULTILINE)
    assert sorted(listed) == sorted(str(project(each)["name"]) for each in MANIFESTS)
    assert all(name.startswith("sightline-") for name in listed)


@pytest.mark.parametrize("folder", EVERYWHERE)
def test_the_manifest_promises_these_pythons(folder: str) -> None:
    assert project(ROOT / folder / "pyproject.toml")["requires-python"] == ">=3.11,<3.15"


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("folder", EVERYWHERE)
def test_what_it_needs_has_wheels_for(folder: str, python: str, index: None) -> None:
    """Check extras too; installing must not require a compiler."""
    asked = ("--python-version", python, "--only-binary", ":all:", "--all-extras", "-q")
    done = run(UV, "pip", "compile", *asked, f"{folder}/pyproject.toml")
    assert done.returncode == 0, done.stderr
    assert "grpcio==" in done.stdout

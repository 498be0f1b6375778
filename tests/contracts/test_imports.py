"""The written architecture holds, and each of its contracts can fail."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SOURCES = [
    "kit/src",
    "rules/src",
    "client/src",
    *(f"services/{name}/src" for name in ("embedder", "retriever", "ranker", "gateway")),
]


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Runs the import contracts on a copy of the code, which shadows the installed packages."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(str(tree / part) for part in SOURCES)},
    )


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("pristine")
    for part in SOURCES:
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tree / "pyproject.toml")
    return tree


@contextmanager
def changed(path: Path, text: str) -> Iterator[None]:
    """The file with this text while the block runs: a copy for each test is 20,000 files."""
    before = path.read_text() if path.exists() else None
    path.write_text(text)
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before)


def broken(output: str) -> list[str]:
    """Names of the contracts that lint-imports reports as broken."""
    return re.findall(r"^(.+) BROKEN\b", output, re.MULTILINE)


VIOLATIONS = [
    (
        "services/gateway/src/gateway/recommend/plan.py",
        "import ranker.domain.model",
        "Services meet only on the wire",
    ),
    (
        "kit/src/servicekit/errors.py",
        "import sightline.common.v1.job_pb2",
        "The kit knows no service, no rule, no contract but jobs, access and limits",
    ),
    (
        "rules/src/sightline_rules/ids.py",
        "import servicekit.errors",
        "Rules are pure: they know nothing of ours and no wire",
    ),
    (
        "client/src/sightline_client/__init__.py",
        "import servicekit.errors",
        "The client knows only the public contract",
    ),
    (
        "client/src/sightline_client/files/offers.py",
        "import sightline_client.api.products",
        "Inside the client: command line > client > calls > transport > values",
    ),
    (
        "client/src/sightline_client/values/photos.py",
        "import sightline_client.values.signals",
        "Inside the client: no circles in any package",
    ),
    (
        "services/retriever/src/retriever/search/search.py",
        "import pymilvus",
        "Each vendor has one adapter",
    ),
    (
        "services/gateway/src/gateway/recommend/recommend.py",
        "import grpc",
        "Use cases and values never see the wire",
    ),
    (
        "services/embedder/src/embedder/domain/photos.py",
        "import embedder.settings",
        "Inside the embedder: wiring > servicer > use cases > adapters > values",
    ),
    (
        "services/embedder/src/embedder/serving/recovery.py",
        "import embedder.adapters.space_metadata",
        "What the embedder does in a request reaches models and files through ports",
    ),
    (
        "services/embedder/src/embedder/domain/items.py",
        "import embedder.domain.models",
        "No circle inside the embedder",
    ),
    (
        "services/gateway/src/gateway/clients/calls.py",
        "import gateway.state.tokens",
        "Inside the gateway: wiring > servicer > use cases > adapters > domain",
    ),
    (
        "services/gateway/src/gateway/ranking/fuse.py",
        "import gateway.retrieval.parallel",
        "Inside the gateway: retrieval, ranking and admin do not know one another",
    ),
    (
        "services/gateway/src/gateway/model/branch.py",
        "import gateway.ports",
        "Inside the gateway: no circles in any package",
    ),
    (
        "services/gateway/src/gateway/recommend/search.py",
        "import gateway.state.answers",
        "Inside the gateway: use cases reach services, scenes and records through ports",
    ),
    (
        "services/retriever/src/retriever/workers/tasks.py",
        "import retriever.servicer.messages",
        "Inside the retriever: wiring > edges > use cases > adapters > values",
    ),
    (
        "services/retriever/src/retriever/indexing/outbox.py",
        "import retriever.adapters.photos",
        "The retriever's use cases know ports alone",
    ),
    (
        "services/retriever/src/retriever/columns/table.py",
        "import retriever.search.stats",
        "No circle inside the retriever",
    ),
    (
        "services/ranker/src/ranker/workers/nightly.py",
        "import ranker.servicer.requests",
        "Inside the ranker: wiring > edges > use cases > adapters > values",
    ),
    (
        "services/ranker/src/ranker/serving/ranking/rank.py",
        "import ranker.adapters.model_store",
        "What the ranker does in a request reaches the record through ports",
    ),
    (
        "services/ranker/src/ranker/domain/arrays.py",
        "import ranker.domain.model",
        "No circle inside the ranker",
    ),
    ("kit/src/servicekit/errors.py", "import servicekit.server", "The kit is layered"),
]


@pytest.mark.parametrize(("file", "line", "contract"), VIOLATIONS, ids=lambda part: str(part)[:40])
def test_a_violation_breaks_the_contract_that_forbids_it(
    pristine: Path, file: str, line: str, contract: str
) -> None:
    path = pristine / file
    with changed(path, f"{path.read_text()}\n{line}  # noqa\n"):
        result = lint(pristine)
    assert result.returncode == 1, result.stdout + result.stderr
    assert broken(result.stdout) == [contract], result.stdout


def test_the_tree_as_it_is_keeps_every_contract(pristine: Path) -> None:
    result = lint(pristine)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "package",
    [
        "kit/src/servicekit",
        "client/src/sightline_client",
        "services/embedder/src/embedder",
        "services/ranker/src/ranker",
        "services/retriever/src/retriever",
    ],
)
def test_a_stray_module_fails_until_someone_decides_its_room(pristine: Path, package: str) -> None:
    with changed(pristine / package / "utils.py", ""):
        result = lint(pristine)
    assert result.returncode == 1
    assert "utils" in result.stdout

"""The written architecture holds, and each of its contracts can fail."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SOURCES = [
    "kit/src",
    "rules/src",
    "core/src",
    "client/src",
    "agents/src",
    "console/src",
    *(f"services/{name}/src" for name in ("embedder", "retriever", "ranker", "vision", "gateway")),
]


LINTING = """
import contextlib, io, json, sys
from importlinter.cli import lint_imports

for _ in sys.stdin:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        status = lint_imports(no_cache=True)
    print(json.dumps({"status": status, "output": output.getvalue()}), flush=True)
"""
"""Checks the contracts for each line that it reads: one process for all tests."""


class Linted(NamedTuple):
    status: int
    output: str


@dataclass(frozen=True)
class Tree:
    """A copy of the code, and a process that checks its contracts."""

    path: Path
    process: subprocess.Popen[str]

    def lint(self) -> Linted:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print("lint", file=self.process.stdin, flush=True)
        return Linted(**json.loads(self.process.stdout.readline()))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """Yield a copy of the repository that shadows the installed packages."""
    path = tmp_path_factory.mktemp("tree")
    for part in SOURCES:
        shutil.copytree(ROOT / part, path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", path / "pyproject.toml")
    with subprocess.Popen(
        [sys.executable, "-c", LINTING],
        cwd=path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(str(path / part) for part in SOURCES)},
    ) as process:
        yield Tree(path, process)


@contextmanager
def changed(path: Path, text: str) -> Iterator[None]:
    """Replace the file's text during the block: a copy for each test would be 20,000 files."""
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
    """Return the names of the contracts that lint-imports reports as broken."""
    return re.findall(r"^(.+) BROKEN\b", output, re.MULTILINE)


VIOLATIONS = [
    (
        "services/gateway/src/gateway/recommend/plan_request.py",
        "import ranker.domain.model",
        "Services meet only on the wire",
    ),
    (
        "services/ranker/src/ranker/domain/pseudonyms.py",
        "import lab.places",
        "What is installed knows no laboratory, bench, test or example",
    ),
    (
        "kit/src/servicekit/errors.py",
        "import sightline.common.v1.job_pb2",
        "The kit knows no service, no rule, no contract but jobs and call options",
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
        "import sightline_client.values.parts",
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
        "services/gateway/src/gateway/clients/peer_calls.py",
        "import gateway.state.tokens",
        "Inside the gateway: wiring > servicer > use cases > adapters > domain",
    ),
    (
        "services/gateway/src/gateway/ranking/fuse.py",
        "import gateway.retrieval.similar",
        "Inside the gateway: retrieval, ranking and admin do not know one another",
    ),
    (
        "services/gateway/src/gateway/model/query.py",
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
        "The retriever's use cases reach engine, photos and embedder through ports",
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
    (
        "kit/src/servicekit/keys/weak_keys.py",
        "import servicekit.tasks.promise",
        "The kit is layered",
    ),
    (
        "kit/src/servicekit/decoding/wire.py",
        "import servicekit.decoding.pool",
        "No circle inside the kit",
    ),
]


@pytest.mark.when("pyproject.toml")
def test_each_violation_breaks_the_contract_that_forbids_it_and_no_other(tree: Tree) -> None:
    with ExitStack() as stack:
        for file, line, _ in VIOLATIONS:
            path = tree.path / file
            stack.enter_context(changed(path, f"{path.read_text()}\n{line}  # noqa\n"))
        linted = tree.lint()
    assert linted.status == 1, linted.output
    assert sorted(broken(linted.output)) == sorted(contract for _, _, contract in VIOLATIONS)
    for file, _, contract in VIOLATIONS:
        reported = section(linted.output, contract)
        assert names(reported, module(file)), (file, linted.output)
        others = {module(other) for other, _, breaks in VIOLATIONS if breaks != contract}
        importers = re.findall(r"^- +([\w.]+) ->", reported, re.MULTILINE)
        assert others.isdisjoint(importers), (contract, linted.output)


def module(file: str) -> str:
    name = file.partition("/src/")[2].removesuffix(".py").replace("/", ".")
    return name.removesuffix(".__init__")


def section(output: str, contract: str) -> str:
    """Return what lint-imports reports of a broken contract."""
    reported = output.partition("Broken contracts\n")[2]
    assert f"\n{contract}\n-" in reported, output
    return re.split(r"\n\S.*\n-+\n", reported.partition(f"\n{contract}\n-")[2])[0]


def names(reported: str, importer: str) -> bool:
    """Return whether a report names a module: that of a contract of imports by its full name, that
    of a contract of circles by the part of it that is in the circle."""
    circle = re.search(r"No cycles are allowed in ([\w.]+)\.\n", reported)
    if circle is None:
        return f"{importer} -> " in reported
    sibling = importer.removeprefix(f"{circle[1]}.").partition(".")[0]
    return re.search(rf" \.{sibling} ->|-> \.{sibling} ", reported) is not None


def test_the_tree_as_it_is_keeps_every_contract(tree: Tree) -> None:
    linted = tree.lint()
    assert linted.status == 0, linted.output


STRAY = (
    *("kit/src/servicekit", "client/src/sightline_client", "agents/src/sightline_agents"),
    "console/src/sightline_console",
    *(f"services/{name}/src/{name}" for name in ("embedder", "ranker", "retriever")),
)


def test_stray_modules_fail_until_someone_decides_their_layers(tree: Tree) -> None:
    with ExitStack() as stack:
        for package in STRAY:
            stack.enter_context(changed(tree.path / package / "utils.py", ""))
        linted = tree.lint()
    assert linted.status == 1
    reported = set(re.findall(r"^- (\w+)\.utils$", linted.output, re.MULTILINE))
    assert reported == {Path(package).name for package in STRAY}

"""Tries mutants: each is compiled in a process that is forked for it, and imported there in the
module's place. So no file changes, whatever happens."""

import ast
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import CodeType, ModuleType

import pytest

from tests.mutation.operators import Mutant, Source

TARGETS: Mapping[str, Sequence[Sequence[str]]] = {
    "gateway.ranking.fuse": (("gateway/ranking/test_fuse.py",), ("gateway",)),
    "gateway.ranking.collapse": (("gateway/ranking/test_collapse.py",), ("gateway",)),
    "gateway.recommend.plan": (("gateway/recommend/test_plan.py",), ("gateway",)),
    "retriever.search.planning": (
        ("retriever/search/test_planning.py",),
        ("retriever/search", "retriever/adapters"),
    ),
    "retriever.search.collapse": (("retriever/search/test_collapse.py",), ("retriever/search",)),
    "retriever.domain.filter_parts": (
        ("retriever/search/test_planning.py", "retriever/adapters/milvus/test_filters.py"),
        ("retriever/search", "retriever/adapters"),
    ),
    "retriever.adapters.milvus.filters": (
        ("retriever/adapters/milvus/test_filters.py",),
        ("retriever/adapters",),
    ),
    "retriever.record.filter_matches": (("retriever/record", "retriever/search/test_nearest.py"),),
    "ranker.ranking.parts": (("ranker/ranking/test_parts.py",), ("ranker/ranking",)),
    "ranker.ranking.fold_in": (("ranker/ranking/test_fold_in.py",), ("ranker/ranking",)),
    "sightline_rules.filters": (("rules/test_filters.py",), ("rules", "retriever/adapters")),
    "sightline_rules.filter_checks": (("rules/test_filter_checks.py",), ("rules",)),
}
"""Of each module its own tests, then more that are asked where those notice nothing."""

MEMORY = 8 << 30
"""Bytes of address space of a mutant: an endless loop may allocate."""

NOT_IMPORTED = 99


class Loader(SourceFileLoader):
    """Loads a module from a tree instead of its file."""

    def __init__(self, source: Source, tree: ast.Module) -> None:
        super().__init__(source.module, str(source.file))
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        """Without the cache of compiled files."""
        return compile(self._tree, self.path, "exec", dont_inherit=True)


class Finder(MetaPathFinder):
    """Finds one module by its loader."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def find_spec(
        self, fullname: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._loader.name:
            return None
        return spec_from_file_location(fullname, self._loader.path, loader=self._loader)


def attempt(source: Source, number: int | None, tests: Sequence[str], folder: str) -> None:
    """In a process of its own: run tests on a mutant, or on the module as it is."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    tree = source.tree if number is None else source.changed(number)
    assert source.module not in sys.modules
    sys.meta_path.insert(0, Finder(Loader(source, tree)))
    code = int(
        pytest.main(
            [
                *("-x", "-q", "-p", "no:cacheprovider", "-k", "not postgresql"),
                *("--hypothesis-profile=mutants", f"--basetemp={folder}"),
                *(f"tests/unit/{each}" for each in tests),
            ]
        )
    )
    if not code and source.module not in sys.modules:
        code = NOT_IMPORTED
    os._exit(code)


@dataclass
class Attempt:
    """A mutant that is being tried."""

    source: Source
    number: int | None
    turn: int
    process: BaseProcess
    began: float
    limit: float

    def result(self) -> str:
        """ "killed", "timeout" or "survived"; "" = not over yet."""
        if self.process.is_alive():
            if time.monotonic() < self.began + self.limit:
                return ""
            os.killpg(self.process.pid or 0, signal.SIGKILL)
            self.process.join()
            return "timeout"
        assert self.process.exitcode != NOT_IMPORTED, f"no test imports {self.source.module}"
        return "killed" if self.process.exitcode else "survived"


@dataclass
class Trial:
    """Tries mutants side by side."""

    folder: Path
    jobs: int
    limits: dict[tuple[str, int], float]
    """Seconds that a module's tests may take, by module and turn."""
    begun: int = 0

    def begin(self, source: Source, number: int | None, turn: int = 0) -> Attempt:
        self.begun += 1
        tests = TARGETS[source.module][turn]
        arguments = (source, number, tests, str(self.folder / str(self.begun)))
        process = multiprocessing.get_context("fork").Process(target=attempt, args=arguments)
        process.start()
        limit = self.limits.get((source.module, turn), 600.0)
        return Attempt(source, number, turn, process, time.monotonic(), limit)

    def measure(self, sources: Sequence[Source]) -> None:
        """See that the tests pass without a mutant, and how long they take."""
        for source in sources:
            for turn in range(len(TARGETS[source.module])):
                known = self.begin(source, None, turn)
                known.process.join()
                assert known.result() == "survived", f"{source.module}: its tests fail as it is"
                seconds = time.monotonic() - known.began
                self.limits[source.module, turn] = 10 + 5 * seconds
                print(
                    f"{source.module}: {seconds:.1f} s for {TARGETS[source.module][turn]}",
                    flush=True,
                )

    def run(self, drawn: Sequence[tuple[Source, int]]) -> Iterator[tuple[Mutant, str]]:
        """Each mutant with what became of it."""
        waiting = deque((source, number, 0) for source, number in drawn)
        running: list[Attempt] = []
        while waiting or running:
            while waiting and len(running) < self.jobs:
                running.append(self.begin(*waiting.popleft()))
            wait([each.process.sentinel for each in running], timeout=1)
            for each, result in [(each, each.result()) for each in running]:
                if not result:
                    continue
                running.remove(each)
                assert each.number is not None
                if result == "survived" and each.turn + 1 < len(TARGETS[each.source.module]):
                    waiting.appendleft((each.source, each.number, each.turn + 1))
                else:
                    yield each.source.mutant(each.number), result

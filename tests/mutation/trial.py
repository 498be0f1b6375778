"""Tries mutants: pytest collects a module's tests once, then runs them in a process that is forked
for each mutant, where the module's functions have its code. So no file changes, whatever happens.
"""

import inspect
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from types import FunctionType, ModuleType

import pytest

from tests.mutation.operators import Source

RANKING = ("ranker/serving/ranking",)
SERVICER = ("ranker/servicer", "ranker/serving/ranking")
GATEWAY = ("gateway/recommend", "gateway/retrieval", "gateway/servicer")
COMPILED = "retriever/adapters/milvus/test_filters.py"

TARGETS: Mapping[str, Sequence[Sequence[str]]] = {
    "gateway.ranking.fuse": (("gateway/ranking/test_fuse.py",), GATEWAY),
    "gateway.ranking.near_duplicates": (("gateway/ranking/test_near_duplicates.py",), GATEWAY),
    "gateway.recommend.plan_request": (("gateway/recommend/test_plan_request.py",), GATEWAY),
    "gateway.model.match": (("gateway/model/test_match.py",), GATEWAY),
    "gateway.model.quality": (("gateway/model/test_quality.py",), GATEWAY),
    "gateway.recommend.controls.active": (("gateway/recommend/test_controls.py",), GATEWAY),
    "gateway.recommend.controls.moves": (("gateway/recommend/test_controls.py",), GATEWAY),
    "retriever.search.planning": (
        ("retriever/search/test_planning.py",),
        ("retriever/search/test_nearest.py", "retriever/search/test_search.py"),
    ),
    "retriever.search.collapse": (
        ("retriever/search/test_choose.py",),
        ("retriever/search/test_collapse.py", "retriever/search/test_exact.py"),
    ),
    "retriever.domain.filter_parts": (("retriever/search/test_planning.py", COMPILED),),
    "retriever.adapters.milvus.filters": ((COMPILED,), ("rules",)),
    "retriever.adapters.milvus.expressions": ((COMPILED,), ("rules",)),
    "retriever.record.filter_matches": (
        ("retriever/record/test_filter_matches.py",),
        ("retriever/search/test_nearest.py", "retriever/record/test_record.py"),
    ),
    "ranker.serving.ranking.parts": (("ranker/serving/ranking/test_parts.py",), RANKING),
    "ranker.serving.ranking.fold_in": (("ranker/serving/ranking/test_fold_in.py",), RANKING),
    "ranker.serving.rank_products": (("ranker/serving/test_rank_products.py",), SERVICER),
    "ranker.serving.nominate": (("ranker/serving/test_nominate.py",), SERVICER),
    "ranker.serving.give_reasons": (("ranker/serving/test_give_reasons.py",), SERVICER),
    "sightline_rules.kinds": (
        ("rules/test_kinds.py", "rules/test_fields.py", "rules/test_filters.py"),
        ("rules", COMPILED),
    ),
    "sightline_rules.filters": (("rules/test_filters.py",), ("rules", COMPILED)),
    "sightline_rules.grouping": (("rules/test_grouping.py",), ("rules",)),
    "sightline_rules.filter_checks": (("rules/test_filter_checks.py",), ("rules",)),
}
"""Tests of each module, followed by more that run if those detect nothing."""

MEMORY = 8 << 30
"""Bytes of address space of a mutant: an endless loop may allocate."""


class Forks:
    """Plugin that runs the tests once for each mutant, in forked processes: `results` by its
    number."""

    def __init__(self, source: Source, numbers: Sequence[int], jobs: int) -> None:
        self._source, self._numbers, self._jobs = source, numbers, jobs
        self.results: dict[int, str] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> bool | None:
        """Fork the trials. Return None in a forked process, which then runs the tests."""
        assert self._source.module in sys.modules, f"no test imports {self._source.module}"
        began, first = time.monotonic(), os.fork()
        if not first:
            return None
        assert os.waitpid(first, 0)[1] == 0, f"{self._source.module}: its tests fail as it is"
        limit = 10 + 5 * (time.monotonic() - began)
        waiting, running = deque(self._numbers), dict[int, tuple[int, float]]()
        while waiting or running:
            while waiting and len(running) < self._jobs:
                number = waiting.popleft()
                process = os.fork()
                if not process:
                    os.setsid()
                    become(self._source, number)
                    return None
                running[process] = number, time.monotonic() + limit
            for number, result in _ended(running):
                self.results[number] = result
            time.sleep(0.005)
        return True


def _ended(running: dict[int, tuple[int, float]]) -> Iterator[tuple[int, str]]:
    """Yield the trials that ended, each "killed", "timeout" or "survived"."""
    for process, (number, end) in list(running.items()):
        late = time.monotonic() > end
        if late:
            os.killpg(process, signal.SIGKILL)
        found, status = os.waitpid(process, 0 if late else os.WNOHANG)
        if found:
            del running[process]
            yield number, "timeout" if late else "killed" if status else "survived"


def become(source: Source, number: int) -> None:
    """Give the functions of a module that is in use the code of a mutant of it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    made = ModuleType(source.module)
    code = compile(source.changed(number), str(source.file), "exec", dont_inherit=True)
    exec(code, made.__dict__)  # noqa: S102
    mutated = functions(made)
    for name, function in functions(sys.modules[source.module]).items():
        function.__code__ = mutated[name].__code__


def functions(module: ModuleType) -> Mapping[str, FunctionType]:
    """Return a module's functions and methods by qualified name, without their decorators."""
    known = [value for value in vars(module).values() if value.__class__ is not ModuleType]
    members = [each for it in known if isinstance(it, type) for each in vars(it).values()]
    plain = [inspect.unwrap(getattr(each, "fget", None) or each) for each in (*known, *members)]
    return {
        each.__qualname__: each
        for each in plain
        if isinstance(each, FunctionType) and each.__module__ == module.__name__
    }


def tried(source: Source, turn: int, numbers: Sequence[int], jobs: int) -> Mapping[int, str]:
    """Return the outcome of each mutant, tried in a separate process, so that pytest starts
    afresh."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_try, args=(source, turn, numbers, jobs, there))
    process.start()
    there.close()
    results: Mapping[int, str] = here.recv()
    process.join()
    return results


def _try(source: Source, turn: int, numbers: Sequence[int], jobs: int, results: Connection) -> None:
    silent, own = os.open(os.devnull, os.O_WRONLY), os.getpid()
    os.dup2(silent, 1)
    forks = Forks(source, numbers, jobs)
    code = pytest.main(
        [
            *("-x", "-q", "-s", "-p", "no:cacheprovider", "-k", "not postgresql and not _hang"),
            "--hypothesis-profile=mutants",
            *(f"tests/unit/{each}" for each in TARGETS[source.module][turn]),
        ],
        plugins=[forks],
    )
    if os.getpid() != own:
        os._exit(code)
    assert code == 0, "see the error above"
    results.send(forks.results)

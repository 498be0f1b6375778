"""Whoever holds permits, turns or promises for a call is tested with calls that are cancelled."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.contracts.test_tasks import modules

ROOT = Path(__file__).parents[2]
HOLDS = re.compile(
    r"Promise(\[|\()|create_future\(|\.acquire\(|Semaphore\(|asyncio\.Lock|[^r]Turns\(|FairTurns\("
    r"|Refreshed\[|ByteBudget\("
)
"""How a class gets what it must give back, or makes what others wait for."""


TESTED = {
    "embedder.adapters.onnxruntime.model_process.ModelProcess": (
        "tests/unit/embedder/adapters/onnxruntime/test_engine.py"
    ),
    "embedder.embedding.cache.EmbeddingCache": "tests/unit/embedder/test_cancellation.py",
    "embedder.serving.batched_inference._Wanted": "tests/unit/embedder/test_cancellation.py",
    "embedder.spaces.learn.Learner": "tests/unit/embedder/spaces/test_learn.py",
    "gateway.state.exposures.Exposures": "tests/unit/gateway/state/test_cancellation.py",
    "gateway.state.past_searches.PastSearches": "tests/unit/gateway/state/test_cancellation.py",
    "gateway.state.text_spaces.TextQuerySpaces": "tests/unit/gateway/state/test_cancellation.py",
    "ranker.events.searches.FrequentSearches": "tests/unit/ranker/events/test_cancellation.py",
    "ranker.record.group_commit.GroupCommit": "tests/unit/ranker/events/test_cancellation.py",
    "servicekit.artefacts.durable.DurableFolder": (
        "tests/unit/kit/artefacts/test_cancelled_writes.py"
    ),
    "retriever.catalog.synonyms.HeldSynonyms": "tests/unit/retriever/test_cancellation.py",
    "retriever.search.sampling.Samples": "tests/unit/retriever/test_cancellation.py",
    "vision.watching.frames.FrameChecks": "tests/unit/vision/test_cancellation.py",
    "servicekit.admission.fair_permits.FairSemaphore": "tests/unit/kit/test_cancellation.py",
    "servicekit.admission.fair_turns.FairTurns": "tests/unit/kit/test_cancellation.py",
    "servicekit.admission.memory_budget.ByteBudget": "tests/unit/kit/test_cancellation.py",
    "servicekit.tasks.turns.Turns": "tests/unit/kit/test_cancellation.py",
    "gateway.state.expensive_requests.ExpensiveRequestLimiter": (
        "tests/unit/gateway/state/test_expensive_requests.py"
    ),
    "servicekit.decoding.decoders.Decoders": "tests/unit/kit/decoding/test_decoders.py",
}
"""What holds something for calls, each with the file that cancels its calls."""
SCOPED = {
    "embedder.adapters.onnxruntime.engine.OnnxEngine": "a lock around a block",
    "embedder.serving.fitted_models.FittedModels": "a lock around a block",
    "embedder.serving.model.ServedModel": "a lock around a block",
    "embedder.serving.model_routes.VersionRoute": "a lock around a block",
    "embedder.serving.priority.ModelQueue": "a FairSemaphore, released after a block",
    "embedder.spaces.promote.Promotion": "a lock around a block",
    "embedder.spaces.sources.ModelSources": "a lock around a block",
    "gateway.recommend.charge.charged_together": "a lock that the calls of one request share",
    "gateway.http.app.HttpApp": "a ByteBudget, which its requests hold",
    "gateway.state.experiments.RunningExperiments": "a lock around a block",
    "gateway.state.scenes.recorded.SteeredScenes": "a lock around a block",
    "ranker.adapters.kafka._Sent": "a Promise of one call",
    "ranker.learning.kept_models.KeptModels": "a lease of a job, which ends by itself",
    "ranker.serving.models.live.LiveModels": "a lock around a block",
    "servicekit.artefacts.durable._Waiting": "a value",
    "retriever.adapters.milvus.index.MilvusIndex": "a semaphore around a block",
    "retriever.columns.column_cache.Columns": "a lock around a block",
    "vision.delivery.deliverer.Deliverer": "a semaphore around a block",
    "vision.detection.heat_maps.HeatMapDrawer": "a semaphore around a block",
    "vision.inspection.references.References": "a lock around a block",
    "vision.watching.frames._Queue": "a value",
    "vision.watching.snapshots.SnapshotPoller": "a semaphore around a block",
    "servicekit.audit.entries._Written": "a Promise of one entry",
    "servicekit.rpc.local_channel._Context": "a future of one call, which its end sets",
    "servicekit.admission.memory_budget.ArrivingBytes": (
        "bytes of one request, released after its block"
    ),
    "servicekit.decoding.fork_server.ForkServer": "a lock around a block",
    "servicekit.decoding.pool.DecodingProcess": "a lock around a block",
    "servicekit.outbound.fetch.GuardedClient": "a semaphore around a block",
    "servicekit.rpc.loans.Loan": "a ByteBudget, released after a block",
    "servicekit.admission.limits.CallAdmission": "a ByteBudget, released after a block",
    "servicekit.admission.limits.CallLimits": "a ByteBudget, which its requests hold",
    "servicekit.tasks.promise.Promise": "the promise itself",
    "servicekit.sql.database.Database": "a semaphore around a block",
}
"""What holds something in a scope of the language, or is a value, each with the reason."""


ACQUIRES = {
    "kit/src/servicekit/decoding/decoders.py",
    "kit/src/servicekit/admission/fair_turns.py",
    "kit/src/servicekit/admission/limits.py",
    "kit/src/servicekit/admission/memory_budget.py",
    "kit/src/servicekit/rpc/loans.py",
    "services/embedder/src/embedder/serving/priority.py",
    "services/gateway/src/gateway/state/expensive_requests.py",
    "services/ranker/src/ranker/learning/kept_models.py",
    "kit/src/servicekit/sql/leadership.py",
}
"""Modules that take a permit, or a lease, without a block."""


@cache
def holders() -> frozenset[str]:
    """Return the classes that hold something for calls, by module."""
    return frozenset(
        f"{name.partition('/src/')[2].removesuffix('.py').replace('/', '.')}.{node.name}"
        for name, tree in modules()
        if not name.startswith(("client/", "agents/", "console/"))
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and HOLDS.search(ast.unparse(node))
    )


@pytest.mark.when(
    "agents", "client", "console", "core", "kit", "rules", "services", "tests/contracts"
)
def test_whoever_holds_something_for_calls_is_tested_or_has_a_reason() -> None:
    assert holders() == TESTED.keys() | SCOPED.keys()
    assert not TESTED.keys() & SCOPED.keys()


def test_the_tests_cancel_calls() -> None:
    for path in set(TESTED.values()):
        text = (ROOT / path).read_text("utf-8")
        assert "cancelled_at_each_await" in text or ".cancel()" in text, path


def test_locks_and_permits_of_asyncio_are_held_by_blocks_alone() -> None:
    """`await lock.acquire()` is for the kit, whose permits outlast a block."""
    found = {
        name
        for name, tree in modules()
        if not name.startswith(("client/", "agents/", "console/"))
        for node in ast.walk(tree)
        if isinstance(node, ast.Await)
        and ast.unparse(node.value).partition("(")[0].endswith(".acquire")
    }
    assert found == ACQUIRES


def own(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a function consists of, without functions inside of it."""
    for each in ast.iter_child_nodes(node):
        yield each
        if not isinstance(each, (ast.AsyncFunctionDef, ast.FunctionDef, ast.Lambda)):
            yield from own(each)


@pytest.mark.when(
    "agents", "client", "console", "core", "kit", "rules", "services", "tests/contracts"
)
def test_a_generator_closes_those_that_it_loops_over() -> None:
    """One whose caller leaves ends at its `yield`. What an inner one holds in a block would be held
    until that one is collected as garbage: `aclosing` ends it at once. The client leaves this to
    its user, who would have to close the outer one first."""
    loops = {
        f"{name}:{each.lineno} {ast.unparse(each.iter)}"
        for name, tree in modules()
        if not name.startswith("client/")
        for function in ast.walk(tree)
        if isinstance(function, ast.AsyncFunctionDef)
        and any(isinstance(each, ast.Yield) for each in own(function))
        for each in own(function)
        if isinstance(each, ast.AsyncFor) and isinstance(each.iter, ast.Call)
    }
    assert loops == set()

"""Recall under filters on a real Milvus server's graph, by the plans of searches."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from bench import search
from tests.engines import milvus_server


def test_recall_holds_under_every_filter(tmp_path: Path) -> None:
    """Where the engine alone, with the same graph, loses rows."""
    given = search.data(6_000, 64)
    with milvus_server(tmp_path / "engine") as engine:
        done = asyncio.run(
            search.measure("Milvus server", engine.uri, tmp_path, given, lambda _: None)
        )
    assert {case.name for case in done} >= {"plain", "50.0% by price", "0.5% by tag"}
    for case in done:
        least = search.LEAST_PLAIN if case.name == "plain" else search.LEAST_FILTERED
        assert np.mean(case.recalls) >= least, (case.name, case.plan)
    assert min(np.mean(case.bare_recalls) for case in done) < search.LEAST_FILTERED

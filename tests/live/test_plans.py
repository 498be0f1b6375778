"""Recall under filters on a real Milvus server's graph, by the plans of searches."""

from __future__ import annotations

import numpy as np
import pytest

from bench.cases.search import measured
from bench.cases.search_report import LEAST_FILTERED, LEAST_PLAIN
from bench.datasets.corpus import clustered
from bench.harness.engines import SERVER

pytestmark = pytest.mark.full


def test_recall_holds_under_every_filter() -> None:
    """Search under filters where the engine alone, with the same graph, loses rows."""
    corpus = clustered(6_000, 64)
    cases = measured(SERVER, [corpus], lambda _: None, rates=False).cases
    assert {case.name for case in cases} >= {"plain", "50.0% by price", "0.5% by tag"}
    for case in cases:
        least = LEAST_PLAIN if case.name == "plain" else LEAST_FILTERED
        assert np.mean(case.ours.recalls) >= least, (case.name, case.plan)
    assert min(np.mean(case.bare.recalls) for case in cases) < LEAST_FILTERED

"""Metrics of a suite's processes (Prometheus)."""

import sqlite3
import urllib.request
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from bench.cases.monolith import goals
from bench.harness.model import Goal
from local_suite.suite import Suite

BYTES, PRODUCTS = "sightline_columns_bytes", "sightline_columns_products"
PENDING, LAG = "sightline_index_pending", "sightline_index_lag_seconds"
WAITING = (PENDING, LAG)
"""Metric of the retriever's worker; 0 when the index is complete."""
_SECONDS = 10.0


def samples(suite: Suite, program: str) -> Iterator[tuple[str, float]]:
    """Yield the names and values of all samples that a program reports."""
    port = suite.programs[program].ports["metrics"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_SECONDS) as answer:
        text = answer.read().decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.value


def total(suite: Suite, program: str, name: str) -> float | None:
    """Return the sum of a metric over its labels; None if it is not reported."""
    found = [value for each, value in samples(suite, program) if each == name]
    return sum(found) if found else None


def columns(name: str, suite: Suite) -> Goal:
    """Measure memory of the retriever's columns per product, less ids and tags."""
    held, products = (total(suite, "retriever", each) for each in (BYTES, PRODUCTS))
    if not held or not products:
        return goals.columns(name, None)
    return goals.columns(name, held / products - _texts(suite))


def _texts(suite: Suite) -> float:
    """Return the mean bytes of a product's ids and tags."""
    record = sqlite3.connect(f"file:{suite.layout.data}/retriever/record.db?mode=ro", uri=True)
    try:
        (mean,) = record.execute(
            "SELECT avg(length(CAST(product_id || parent_id || tags AS BLOB))) FROM products"
        ).fetchone()
    finally:
        record.close()
    return float(mean or 0.0)

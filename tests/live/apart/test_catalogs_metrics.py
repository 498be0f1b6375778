"""Metrics of two shops of one suite."""

import asyncio
import hashlib
import re
import time
import urllib.request
from collections.abc import Mapping
from typing import TypeAlias

import pytest
from prometheus_client.parser import text_string_to_metric_families

from local_suite.suite import Suite
from sightline_client import Product, ProductImage, SightlineClient
from tests.engines import ROOT
from tests.fakes.photos import photo
from tests.live.apart.conftest import CATALOGS
from tests.live.apart.test_registry import CREATED
from tests.live.two_shops import (
    ANN,
    BESIDE,
    COOKIE,
    ISOLATED,
    NEWCOMER,
    ONLY_HERE,
    PHOTOS,
    SHARED,
    Shops,
    beside,
    isolated,
    refusal,
    shops,
)
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

__all__ = ["beside", "isolated", "shops"]  # fixtures


async def test_metrics_name_neither_products_nor_people_and_tell_the_shops_apart(
    suite: Suite, isolated: SightlineClient, shops: Shops
) -> None:
    ports = [one.ports["metrics"] for one in suite.programs.values() if "metrics" in one.ports]
    assert len(ports) == 9
    text = "\n".join([await asyncio.to_thread(scraped, port) for port in ports])
    values = set(re.findall(r'="([^"]*)"', text))
    secrets = {ANN, NEWCOMER, COOKIE, ONLY_HERE, *SHARED, shops.model, shops.job.job_id}
    assert not values & secrets
    assert not {value for value in values if hashlib.sha256(PHOTOS[10]).hexdigest() in value}
    scaled = (ROOT / "deploy/k8s/components/autoscaling").glob("*/scaling.yaml")
    asked = set(re.findall(r"(?:sightline|nv)_\w+", "".join(each.read_text() for each in scaled)))
    assert len(asked) == 9
    assert {metric for metric in asked if f"\n{metric}{{" not in text} == set()
    labelled = set(re.findall(r'catalog="([^"]*)"', text))
    assert {ISOLATED, BESIDE} <= labelled <= {*CATALOGS, *CREATED}


async def test_what_one_shop_waits_for_moves_no_figure_of_the_other(
    suite: Suite, isolated: SightlineClient, beside: SightlineClient
) -> None:
    names = [f"waits-{number}" for number in range(5)]
    await asyncio.to_thread(until_still, suite, ISOLATED, BESIDE)
    before = await asyncio.to_thread(figures, suite)
    # Without the embedder the photos wait, long enough to be seen waiting.
    await asyncio.to_thread(suite.stop, "embedder")
    try:
        for seed, name in enumerate(names):
            product = Product(name, "Waits", images=(ProductImage(photo(seed=100 + seed)),))
            assert (await isolated.upsert_products([product])).failures == ()
        assert await refusal(isolated.get_product("never-was")) == "PRODUCT_NOT_FOUND"
        waits = await asyncio.to_thread(until_waiting, suite, ISOLATED, len(names))
    finally:
        await asyncio.to_thread(suite.start, "embedder")
    assert calls(waits, "UpsertProducts", "OK") - calls(before, "UpsertProducts", "OK") == 5
    assert calls(waits, "GetProduct", "NOT_FOUND") - calls(before, "GetProduct", "NOT_FOUND") == 1
    assert {name for name, value in of(waits, ISOLATED).items() if value != before[name]} == {
        figure(program, f"sightline_index_{metric}", catalog=ISOLATED, space=space)
        for program in ("retriever", "retriever-worker")
        for metric in ("pending", "lag_seconds")
        for space in ("visual", "text")
    }
    await isolated.delete_products(names)
    await asyncio.to_thread(until_still, suite, ISOLATED)
    after = await asyncio.to_thread(figures, suite)
    assert of(before, BESIDE), "nothing is exported of the other shop"
    assert of(before, BESIDE) == of(waits, BESIDE) == of(after, BESIDE)


Figure: TypeAlias = tuple[str, str, frozenset[tuple[str, str]]]
"""A program's metric with its labels."""


def figure(program: str, metric: str, **labels: str) -> Figure:
    return program, metric, frozenset(labels.items())


def figures(suite: Suite) -> dict[Figure, float]:
    """Return every metric that our running programs export."""
    return {
        figure(name, sample.name, **sample.labels): sample.value
        for name, program in suite.programs.items()
        if "metrics" in program.ports and name != "triton" and suite.pid(name)
        for family in text_string_to_metric_families(scraped(program.ports["metrics"]))
        for sample in family.samples
    }


def of(found: Mapping[Figure, float], catalog: str) -> dict[Figure, float]:
    """Return the metrics with a catalog's label."""
    return {name: value for name, value in found.items() if ("catalog", catalog) in name[2]}


def calls(found: Mapping[Figure, float], method: str, code: str) -> float:
    """Return the number of the gateway's calls of the catalog that ended with a code."""
    wanted = {("method", f"sightline.gateway.v1.CatalogService/{method}"), ("code", code)}
    return sum(
        value
        for (program, metric, labels), value in found.items()
        if program == "gateway" and metric == "sightline_rpc_seconds_count" and wanted <= labels
    )


def until_waiting(suite: Suite, catalog: str, photos: int) -> dict[Figure, float]:
    """Return the metrics once they report this many photos, and texts, of a catalog without a
    vector."""
    until = time.monotonic() + SECONDS
    while True:
        found = figures(suite)
        exported = of(found, catalog).items()
        pending = [value for name, value in exported if name[1] == "sightline_index_pending"]
        lags = [value for name, value in exported if name[1] == "sightline_index_lag_seconds"]
        if set(pending) == {photos} and (photos or not any(lags)):
            return found
        assert time.monotonic() < until, f"{pending} photos of {catalog} wait, not {photos}"
        time.sleep(0.2)


def until_still(suite: Suite, *catalogs: str) -> None:
    """Wait until the metrics report no pending vectors."""
    for catalog in catalogs:
        until_waiting(suite, catalog, 0)


def scraped(port: int) -> str:
    """Return the metrics page of a program."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS) as answer:
        return str(answer.read().decode())

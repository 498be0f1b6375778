"""Resources of two example shops, service by service: docs/operate/sizing.md.

Pods come from the simulation's last result, stores from the arithmetic of bench.sizing. Prices are
an example; `Prices` takes your own. ``python -m lab.sizing_shops`` writes the page's table.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench import sizing
from bench.harness.machine import ROOT
from bench.sizing import GB, PRODUCT_COLUMNS_BYTES, TASTE_BYTES, ShopSize, retriever_bytes
from lab.capacity.inputs import EMBEDDER, GATEWAY, PHOTO, RANKER, RETRIEVER, TRITON, work
from lab.capacity.runs import PROCESSORS
from lab.capacity.scenarios import EVENING, MEAN, MIX
from lab.places import RESULTS

PAGE = ROOT / "docs" / "operate" / "sizing.md"
SIMULATED, EXTRAPOLATED = "simulated", "extrapolated"
SEARCHED = sum(share for kind, share in MIX.items() if kind != "user")
"""Searches of the engine per request."""
BUSY = MEAN / EVENING
"""A day's mean rate ÷ its peak."""
RECORD_BYTES = 15_411
"""Bytes of an answer's record with 200 candidates: bench `replay` (lab/research/performance.md).
"""
RECORD_DAYS = 30
"""GATEWAY_ANSWER_DAYS."""
SEGMENTS = {1_000_000: 1024, 20_000_000: 4096}
HOURS = 730


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in euros; an example."""

    processor: float = 0.04
    """A processor with 4 GB, per hour."""
    memory: float = 0.005
    """A further GB of memory, per hour."""
    gpu: float = 0.60
    """A small GPU, per hour."""
    disk: float = 0.10
    """A GB of disk, per month."""


@cache
def simulated() -> Sequence[Mapping[str, Any]]:
    """Return the sizes of the newest result that has them. Raise LookupError when none has."""
    found = [json.loads(path.read_text("utf-8")) for path in RESULTS.glob("capacity*.json")]
    with_sizes = [each for each in found if "sizes" in each]
    if not with_sizes:
        raise LookupError("no result of the bench `capacity`: make capacity")
    sizes: Sequence[Mapping[str, Any]] = max(with_sizes, key=lambda each: each["time"])["sizes"]
    return sizes


@dataclass(frozen=True, slots=True)
class Needs:
    """Needs of one shop at one number of dimensions."""

    size: Mapping[str, Any]
    dimension: int

    @property
    def pods(self) -> int:
        """Processors of all pods."""
        return sum(number * PROCESSORS[name] for name, number in self.size["pods"].items())

    def month(self, shop: ShopSize, prices: Prices) -> float:
        """Return the euros a month: pods, query nodes, PostgreSQL's disk and the object store."""
        retrievers = self.size["pods"][RETRIEVER]
        large = max(retriever_bytes(self.size["products"]) / GB - 4, 0) * retrievers
        cores = shop.cores / 100 * self.size["rate"] * SEARCHED
        more = max(shop.memory / GB - 4 * cores, 0)
        hourly = (self.pods + cores) * prices.processor + (large + more) * prices.memory
        disk = shop.record + shop.store + answers_bytes(self.size["rate"])
        return float(hourly * HOURS + disk / GB * prices.disk)


def answers_bytes(rate: float) -> float:
    """Return the bytes of recorded answers in PostgreSQL, by a day's curve and the default
    retention.
    """
    return rate * BUSY * RECORD_BYTES * 86_400 * RECORD_DAYS


def table(prices: Prices | None = None) -> str:
    """Return the page's table."""
    sizes = simulated()
    headers = ("", *(each["name"] for each in sizes), "", "source")
    rows = [*_pods(sizes), *_stores(sizes), *_costs(sizes, prices or Prices())]
    lines = (headers, ["---"] * len(headers), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


Rows = list[tuple[str, ...]]


def _pods(sizes: Sequence[Mapping[str, Any]]) -> Rows:
    def pods(name: str) -> list[str]:
        return [f"{each['pods'][name]} ({each['by_thresholds'][name]})" for each in sizes]

    source = (
        "processor time measured at 100,000 products, ÷ 0.6; in brackets: pods by the autoscaling"
        " thresholds"
    )
    return [
        ("gateway, pods of 1 processor", *pods(GATEWAY), SIMULATED, source),
        ("retriever, pods of 1 processor", *pods(RETRIEVER), SIMULATED, "the same"),
        ("ranker, pods of 1 processor", *pods(RANKER), SIMULATED, "the same"),
        ("embedder, pods of 2 decoders", *pods(EMBEDDER), SIMULATED, "the same; 15% photos"),
        ("Triton, pods of 2 processors", *pods(TRITON), SIMULATED, "the same; Lite0, float32"),
        (
            "GPUs instead of Triton's pods",
            *(str(each["gpus"]) for each in sizes),
            EXTRAPOLATED,
            "assumed: 0.6 ms a photo on a small GPU (measured on an NVIDIA H200 with Lite2: 0.28),"
            " one spare GPU",
        ),
        (
            "p50, p99 of an answer, ms",
            *(f"{1e3 * each['p50']:.0f}, {1e3 * each['p99']:.0f}" for each in sizes),
            SIMULATED,
            "with these pods; measured p99 is up to twice as high",
        ),
        (
            "memory of a retriever, GB",
            *(f"{retriever_bytes(each['products']) / GB:.1f}" for each in sizes),
            EXTRAPOLATED,
            f"{PRODUCT_COLUMNS_BYTES} bytes a product; set RETRIEVER_COLUMNS_PRODUCTS above a"
            " million",
        ),
        (
            "memory of a model in a ranker, GB",
            *(f"{each['products'] * TASTE_BYTES / GB:.1f}" for each in sizes),
            EXTRAPOLATED,
            "30 numbers and a bias for each product",
        ),
        (
            "first import, processor hours",
            *(f"{each['products'] * _photo_seconds() / 3600:,.0f}" for each in sizes),
            EXTRAPOLATED,
            "measured processor time of embedder and Triton for a photo of 0.3 megapixels",
        ),
    ]


def _photo_seconds() -> float:
    return work(PHOTO).embed + work(PHOTO).infer


def _stores(sizes: Sequence[Mapping[str, Any]]) -> Rows:
    found: Rows = []
    for dimension in (80, 1_280):
        shops = [_shop(each, dimension) for each in sizes]
        cores = [
            shop.cores / 100 * each["rate"] * SEARCHED
            for shop, each in zip(shops, sizes, strict=True)
        ]
        found.append(
            (
                f"Milvus, {dimension:,}-d: query nodes, GB and cores",
                *(
                    f"{shop.memory / GB:,.0f}, {math.ceil(each):,}"
                    for shop, each in zip(shops, cores, strict=True)
                ),
                EXTRAPOLATED,
                f"[above](#memory-of-the-query-nodes); {SEARCHED:.2f} searches a request",
            )
        )
    return [
        *found,
        (
            "PostgreSQL: products, GB (80-d)",
            *(f"{_shop(each, 80).record / GB:,.0f}" for each in sizes),
            EXTRAPOLATED,
            "bytes a product measured on SQLite",
        ),
        (
            "PostgreSQL: answer records written, MB/s",
            *(f"{each['rate'] * RECORD_BYTES / 1e6:,.1f}" for each in sizes),
            EXTRAPOLATED,
            f"{RECORD_BYTES:,} bytes for 200 candidates, measured",
        ),
        (
            "PostgreSQL: answer records of 30 days, TB",
            *(f"{answers_bytes(each['rate']) / 1e12:,.1f}" for each in sizes),
            EXTRAPOLATED,
            f"a day's mean rate is {BUSY:.2f} of its peak; GATEWAY_ANSWER_DAYS sets the days",
        ),
        (
            "object store, GB (80-d)",
            *(f"{_shop(each, 80).store / GB:,.0f}" for each in sizes),
            EXTRAPOLATED,
            "[above](#memory-of-the-query-nodes); without photos",
        ),
    ]


def _costs(sizes: Sequence[Mapping[str, Any]], prices: Prices) -> Rows:
    return [
        (
            f"a month, EUR, {dimension:,}-d",
            *(
                f"{Needs(each, dimension).month(_shop(each, dimension), prices):,.0f}"
                for each in sizes
            ),
            EXTRAPOLATED,
            f"example prices: {prices.processor} an hour for a processor with 4 GB, {prices.memory}"
            f" for a further GB, {prices.disk} a month for a GB of disk",
        )
        for dimension in (80, 1_280)
    ]


def _shop(size: Mapping[str, Any], dimension: int) -> ShopSize:
    return ShopSize(size["products"], dimension, segment=SEGMENTS[size["products"]])


def main() -> None:
    """Write the table into the page."""
    PAGE.write_text(sizing.filled(PAGE.read_text("utf-8"), {"shops": table()}), encoding="utf-8")


if __name__ == "__main__":
    main()

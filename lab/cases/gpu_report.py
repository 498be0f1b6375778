"""Tables, goals and figures of the bench `gpu`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, TypeAlias

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import median_ratio, percentile
from lab.peers.gpu.inputs import PHOTOS, TEXTS

BARE: Final = "bare Triton"
OURS: Final = "the embedder"
PLAIN: Final = ", no batching in Triton"
"""Ending of the names of contenders whose models in Triton take requests one by one."""
KINDS: Final = ("embedder", "decoding", "Triton", "model", "callers")
"""Kinds of processes, in the order of the table."""
THINGS: Final = {PHOTOS: "photos", TEXTS: "titles"}
CLIENTS: Final = 32
GOALS: Final = {
    f"{thing}, {CLIENTS} callers: items/s ÷ bare Triton's": model for model, thing in THINGS.items()
}
"""Models by the names of their goals."""


@dataclass(slots=True)
class GpuCell:
    """Measurements of one model, contender and number of callers; lists have a value per round."""

    model: str
    contender: str
    callers: int
    rates: list[float] = field(default_factory=list)
    """Items a second."""
    medians: list[float] = field(default_factory=list)
    """Median latency in milliseconds."""
    tails: list[float] = field(default_factory=list)
    """99th percentile of the latency in milliseconds."""
    batches: list[float] = field(default_factory=list)
    """Mean number of items in a run of the graph."""
    busy: list[float] = field(default_factory=list)
    """Share of the time in which the model's process had a batch."""
    queued: list[float] = field(default_factory=list)
    """Mean milliseconds of a request in Triton's queue."""
    costs: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds of processor time per item, by kind of process."""
    latencies: list[float] = field(default_factory=list)
    """Latency of every item, in milliseconds."""
    refused: list[str] = field(default_factory=list)
    """Errors of items without a vector, of all rounds."""


Cells: TypeAlias = Mapping[tuple[str, str, int], GpuCell]


def result(
    cells: Cells, alone: Mapping[str, Mapping[str, Any]], rounds: int, gpu: str
) -> BenchResult:
    """Return the bench's result."""
    tables = [table for model in THINGS for table in _tables(cells, model, rounds, gpu)]
    return BenchResult(
        tables=(*tables, _batch_table(alone, gpu), _parity_table(alone, gpu)),
        goals=_goals(cells),
        figures={
            "gpu": gpu,
            "cells": [_figures(cell) for cell in cells.values()],
            "alone": alone,
        },
        warnings=(
            "Triton ran the graphs by onnxruntime in its Python backend; its own onnxruntime "
            "backend with TensorRT was not measured",
        ),
    )


def _figures(cell: GpuCell) -> dict[str, object]:
    return {
        "model": cell.model,
        "contender": cell.contender,
        "callers": cell.callers,
        "items_per_second": cell.rates,
        "p50_ms": cell.medians,
        "p99_ms": cell.tails,
        "batch": cell.batches,
        "busy": cell.busy,
        "queued_ms": cell.queued,
        "cpu_ms_per_item": cell.costs,
        "refused": len(cell.refused),
        "errors": sorted(set(cell.refused)),
        "latency_ms": [round(each, 3) for each in sorted(cell.latencies)],
    }


def _goals(cells: Cells) -> list[Goal]:
    """Return the embedder's throughput beside bare Triton's; there is no limit yet."""
    found = []
    for name, model in GOALS.items():
        ours, bare = (cells.get((model, who, CLIENTS)) for who in (OURS, BARE))
        rates = median_ratio(ours.rates, bare.rates) if ours and bare else None
        found.append(Goal(name, None, "×", rates, 0.95))
    return found


def _tables(cells: Cells, model: str, rounds: int, gpu: str) -> tuple[BenchTable, BenchTable]:
    found = [cell for cell in cells.values() if cell.model == model]
    speed = BenchTable(
        title=f"{THINGS[model].capitalize()} to vectors by {model} on a GPU",
        headers=(
            *("callers", "", "items/s", "÷ bare Triton", "p50 ms", "p99 ms"),
            *("batch", "busy", "queued ms", "refused"),
        ),
        rows=tuple(_speed(cell, cells[model, BARE, cell.callers]) for cell in found),
        caption=(
            f"{gpu}. One item a request, {rounds} interleaved rounds, medians and ranges. "
            "batch: items in a run of the graph; busy: share of the time in which the model's "
            "process had a batch; queued: a request's mean time in Triton's queue; refused: items "
            "that waited for more than gpu.pbtxt's 2 s."
        ),
    )
    costs = BenchTable(
        title=f"Processor time per item of {THINGS[model]}, by process",
        headers=("callers", "", *(f"{kind} ms" for kind in KINDS)),
        rows=tuple(_cost(cell) for cell in found),
        caption=(
            "embedder: all of its processes but those that decode; Triton: the server's process; "
            "model: that which calls the GPU."
        ),
    )
    return speed, costs


def _speed(cell: GpuCell, bare: GpuCell) -> tuple[str, ...]:
    return (
        str(cell.callers),
        cell.contender,
        f"{median(cell.rates):,.0f} ({min(cell.rates):,.0f}-{max(cell.rates):,.0f})",
        _between(median_ratio(cell.rates, bare.rates)),
        f"{median(cell.medians):.1f}",
        f"{median(cell.tails):.1f} ({min(cell.tails):.1f}-{max(cell.tails):.1f})",
        f"{median(cell.batches):.1f}",
        f"{median(cell.busy):.0%}",
        f"{median(cell.queued):.1f}",
        str(len(cell.refused)),
    )


def _cost(cell: GpuCell) -> tuple[str, ...]:
    spent = (f"{median(cell.costs[kind]):.2f}" for kind in KINDS)
    return (str(cell.callers), cell.contender, *spent)


def _between(found: Interval) -> str:
    return f"{found.value:.2f} ({found.low:.2f}-{found.high:.2f})"


def _batch_table(alone: Mapping[str, Mapping[str, Any]], gpu: str) -> BenchTable:
    rows = [
        (model, precision, batch, *_each(spent, int(batch)))
        for model, found in alone.items()
        for precision, batches in found["ms"].items()
        for batch, spent in batches.items()
    ]
    return BenchTable(
        title="Batches on the GPU, onnxruntime alone",
        headers=("model", "precision", "batch", "ms an item", "with copies", "items/s"),
        rows=tuple(rows),
        caption=(
            f"{gpu}. Medians of 100 runs, 95% intervals: with all tensors on the GPU, and with "
            "copies to it and back. tf32 rounds products to 10 bits; Triton ran fp32."
        ),
    )


def _each(spent: Mapping[str, Sequence[float]], batch: int) -> tuple[str, str, str]:
    called = percentile(spent["called"], 0.5)
    if "on_the_gpu" not in spent:
        return "", f"{called.value / batch:.3f}", f"{1000 * batch / called.value:,.0f}"
    bound = percentile(spent["on_the_gpu"], 0.5)
    low, high = bound.low / batch, bound.high / batch
    return (
        f"{bound.value / batch:.3f} ({low:.3f}-{high:.3f})",
        f"{called.value / batch:.3f}",
        f"{1000 * batch / called.value:,.0f}",
    )


def _parity_table(alone: Mapping[str, Mapping[str, Any]], gpu: str) -> BenchTable:
    return BenchTable(
        title="Vectors of the GPU beside those of the CPU",
        headers=("model", "precision", "items", "1 − lowest cosine", "largest difference"),
        rows=tuple(
            (
                model,
                precision,
                str(found["items"]),
                f"{found['one_minus_least_cosine']:.1e}",
                f"{found['largest_difference']:.1e}",
            )
            for model, each in alone.items()
            for precision, found in each["parity"].items()
        ),
        caption=f"{gpu}, onnxruntime alone, the example wines' photos and titles, one at a time.",
    )

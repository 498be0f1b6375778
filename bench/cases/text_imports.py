"""Imports of products without photos until they are searchable by text, compared with onnxruntime
alone on the same texts.

Chunks are processed in alternation by the real command and suite, and by one process that only
computes tokens and vectors: batches of texts of like length, as fast as it can on all processors
(for the rate), and with one thread (for the processor time, which waiting threads would blur).
"""

import asyncio
import csv
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from bench.cases import photos
from bench.harness import processes
from bench.harness.model import BenchTable, Goal, Interval
from bench.harness.statistics import ratio
from bench.peers.sentences import SentenceModel
from local_suite.suite import Suite
from retriever.domain.product import Attribute, ProductContent
from retriever.domain.texts import text_of

Say: TypeAlias = Callable[[str], None]

RATE = "products' texts embedded a second by an import, over raw batched onnxruntime on all cores"
AT_LEAST = 0.7
SEED = 7
SHORTER, LONG = 9_000, 50_000
"""Number of products in `make bench`, and with --full."""
CHUNKS = 6
WARM_UP = 100
_SECONDS = 1_200.0

_STUFF = ("Linen", "Cotton", "Wool", "Silk", "Denim", "Leather", "Velvet")
_KINDS = ("shirt", "dress", "jacket", "trousers", "skirt", "coat", "bag", "scarf")
_COLOURS = ("red", "blue", "green", "black", "white", "grey", "navy", "olive")
_FOR = ("Women", "Men", "Kids")


@dataclass(frozen=True, slots=True)
class TextChunk:
    """Cost of one chunk of products."""

    products: int
    seconds: float
    """Seconds from the command's start until every text is searchable."""
    command: float
    """Processor seconds of the command line."""
    programs: Mapping[str, float]
    """Processor seconds of each of the suite's programs."""
    raw_seconds: float
    """Wall-clock seconds of tokens and vectors alone, on all processors."""
    raw: float
    """Processor seconds of the same with one thread."""

    @property
    def suite(self) -> float:
        """Processor seconds of all of the suite's processes."""
        return sum(self.programs.values())


def product(number: int) -> ProductContent:
    """Return a product that differs from some others only in its number."""
    draw = random.Random(f"{SEED}/{number}")
    kind = draw.choice(_KINDS)
    return ProductContent(
        product_id=f"text-{number}",
        title=f"{draw.choice(_STUFF)} {kind} {draw.choice(_COLOURS)} {number}",
        category_path=("Clothing", draw.choice(_FOR), kind),
        brand=f"Brand {number % 100}",
        tags=tuple(draw.sample(_COLOURS, draw.randint(0, 4))),
        attributes=(Attribute("material", draw.choice(_STUFF)),),
    )


def write(path: Path, products: Sequence[ProductContent]) -> None:
    """Write a table of products in the command's format."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("id", "title", "category", "brand", "tags", "attributes"))
        for each in products:
            (material,) = each.attributes
            category, tags = " > ".join(each.category_path), "|".join(each.tags)
            attributes = f'{{"{material.key}": "{material.value}"}}'
            row = (each.product_id, each.title, category, each.brand, tags, attributes)
            table.writerow(row)


def measure(suite: Suite, count: int, say: Say) -> list[TextChunk]:
    """Process every chunk by the suite and by one process, in alternation."""
    single, every = SentenceModel(threads=1), SentenceModel()
    held, _ = asyncio.run(photos.state(suite.addresses()["gateway"]))
    done: list[TextChunk] = []
    start = 0
    for number, size in enumerate([WARM_UP] + [count // CHUNKS] * CHUNKS):
        say(f"products without photos, chunk {number} of {CHUNKS}: {size:,}")
        part = [product(each) for each in range(start, start + size)]
        start += size
        chunk = _one(suite, part, held + start, single, every)
        if number:
            done.append(chunk)
    return done


def _one(
    suite: Suite,
    part: Sequence[ProductContent],
    held: int,
    single: SentenceModel,
    every: SentenceModel,
) -> TextChunk:
    target = suite.addresses()["gateway"]
    with tempfile.TemporaryDirectory(prefix="sightline-texts-") as name:
        path = Path(name) / "products.csv"
        write(path, part)
        before, since = photos.spent(suite), time.perf_counter()
        command = processes.run(
            [photos.SIGHTLINE, "products", "import", str(path), "--target", target]
        )
        asyncio.run(photos.searchable(target, 0, held, _SECONDS))
        seconds, after = time.perf_counter() - since, photos.spent(suite)
    programs = {name: after[name] - before.get(name, 0.0) for name in after}
    texts = sorted(map(text_of, part), key=len)
    since = time.perf_counter()
    every.vectors(texts)
    raw_seconds = time.perf_counter() - since
    return TextChunk(
        len(part), seconds, command.cpu_seconds, programs, raw_seconds, single.seconds(texts)
    )


def goal(done: Sequence[TextChunk]) -> Goal:
    """Return the goal with its verdict, NOT MEASURED without chunks."""
    return Goal(RATE, None, "×", _rate(done) if done else None, at_least=AT_LEAST)


def table(done: Sequence[TextChunk]) -> BenchTable:
    """Return the table for people."""
    total = sum(chunk.products for chunk in done)
    speed = ratio([(chunk.products, chunk.seconds) for chunk in done])
    raw = ratio([(chunk.products, chunk.raw_seconds) for chunk in done])
    rate = _rate(done)
    over = ratio([(chunk.suite, chunk.raw) for chunk in done])
    rows = [
        ("texts/s, table to searchable", f"{speed.value:.1f}", _range(speed, 1)),
        ("texts/s, onnxruntime alone", f"{raw.value:.1f}", _range(raw, 1)),
        ("the suite's rate ÷ raw", f"{rate.value:.2f}", _range(rate, 2)),
        ("onnxruntime, ms", _each(sum(chunk.raw for chunk in done), total), ""),
        ("the suite, ms", _each(sum(chunk.suite for chunk in done), total), ""),
    ]
    rows += [(f"  {name}, ms", _each(value, total), "") for name, value in photos.programs(done)]
    rows += [
        ("the command, ms", _each(sum(chunk.command for chunk in done), total), ""),
        ("suite ÷ raw", f"{over.value:.2f}", _range(over, 2)),
    ]
    return BenchTable(
        title="Products without photos from a table",
        headers=("", "a product", "95% interval"),
        rows=tuple(rows),
        caption=f"{total:,} made-up products in {len(done)} imports by the command; milliseconds"
        " are processor time (user and system) for each product. Raw: one process, the same tokens"
        " and graph, batches of 16 texts of like length; its rate on all processors, its time with"
        " one thread. Interval: bootstrap over the imports.",
        section=None,
    )


def figures(done: Sequence[TextChunk]) -> dict[str, object]:
    """Return all figures, for programs."""
    return {
        "chunks": [{**asdict(chunk), "suite": chunk.suite} for chunk in done],
        "rate_over_raw": asdict(_rate(done)),
    }


def _rate(done: Sequence[TextChunk]) -> Interval:
    """Return the ratio of rates, which is the inverse ratio of seconds as both embed the same
    texts.
    """
    return ratio([(chunk.raw_seconds, chunk.seconds) for chunk in done])


def _each(seconds: float, count: int) -> str:
    return f"{seconds / count * 1e3:.2f}"


def _range(value: Interval, digits: int) -> str:
    return f"{value.low:.{digits}f}–{value.high:.{digits}f}"

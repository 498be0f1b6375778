"""Time of searches by text and by photo beside an import of the same, compared with searches alone,
in alternation.

Rare searches find the suite at full work on the import; those of a caller without pauses slow the
import down.
"""

import asyncio
import contextlib
import itertools
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from bench.cases import photos, text_imports
from bench.cases.monolith import clothing
from bench.datasets import unique
from bench.harness.load import closed_loop, lasting
from bench.harness.model import BenchResult, BenchTable, Goal
from bench.harness.statistics import median_ratio, percentile
from embedder.serving.batched_inference import SHOPPED
from examples.wines import loading
from examples.wines.catalogue import load_wines
from examples.wines.local import own
from lab.cases.beside import suite_in
from local_suite.programs import TARGETS
from sightline_client import SightlineClient

Say: TypeAlias = Callable[[str], None]

TEXT, PHOTO = "text", "photo"
PAUSES: Final[Mapping[str, tuple[float, float]]] = {
    "rare": (SHOPPED + 0.3, 14.0),
    "one after another": (0.0, 4.0),
}
"""Seconds between two searches, and of a round."""
ROUNDS = 3
IMPORTED: Final[Mapping[str, int]] = {TEXT: 5_000, PHOTO: 500}
"""Products of each import: it outlasts a round."""
BEGUN_SECONDS = 2.0
MOST_RATIO = 1.5
WORDS: Final = ("linen", "cotton", "wool", "red", "blue", "green", "shirt", "dress", "bag", "warm")


@dataclass(slots=True)
class SearchTimes:
    """Seconds of searches, a list a round."""

    alone: list[list[float]] = field(default_factory=list)
    beside: list[list[float]] = field(default_factory=list)
    ended: int = 0
    """Rounds in which the import ended before the searches."""


Found: TypeAlias = dict[tuple[str, str, str], SearchTimes]
"""By the suite's target, the kind of search and its pauses."""


def run(say: Say) -> BenchResult:
    """Measure both shapes on the example wines."""
    root, files = photos.find()
    found: Found = {}
    for target in TARGETS:
        say(f"loading wines: {target}")
        with own(partial(suite_in, target)) as suite:
            measured = asyncio.run(_measure(suite.addresses()["gateway"], root, files, say))
        found |= {(target, *case): times for case, times in measured.items()}
    return _result(found)


async def _measure(
    gateway: str, root: Path, files: Sequence[Path], say: Say
) -> dict[tuple[str, str], SearchTimes]:
    found: dict[tuple[str, str], SearchTimes] = {}
    numbers, new = itertools.count(), iter(files)
    asked: dict[str, Iterator[str | bytes]] = {TEXT: _texts()}
    if files:
        asked[PHOTO] = unique.unique(clothing.asked(files))
    async with SightlineClient(gateway, timeout=30) as client:
        wines = load_wines()
        await loading.import_wines(client, wines)
        await loading.wait_indexed(client, len(wines))
        for kind, queries in asked.items():
            await _search(client, queries, (0.0, 4.0))
            for (name, pace), number in itertools.product(PAUSES.items(), range(ROUNDS)):
                say(f"{kind}, {name}, round {number + 1} of {ROUNDS}")
                times = found.setdefault((kind, name), SearchTimes())
                times.alone.append(await _search(client, queries, pace))
                with tempfile.TemporaryDirectory(prefix="sightline-beside-") as folder:
                    made = _products(kind, Path(folder), root, new, numbers)
                    async with _importing(client, [*made, "--target", gateway], times):
                        times.beside.append(await _search(client, queries, pace))
    return found


def _texts() -> Iterator[str | bytes]:
    draw = random.Random(0)
    while True:
        yield " ".join(draw.sample(WORDS, 4))


def _products(
    kind: str, folder: Path, root: Path, new: Iterator[Path], numbers: Iterator[int]
) -> list[str]:
    """Write new products, and return arguments of the command that imports them."""
    if kind == TEXT:
        some = itertools.islice(numbers, IMPORTED[TEXT])
        text_imports.write(folder / "products.csv", [text_imports.product(each) for each in some])
        return [str(folder / "products.csv")]
    for path in itertools.islice(new, IMPORTED[PHOTO]):
        copy = folder / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return ["--folder", str(folder)]


@contextlib.asynccontextmanager
async def _importing(
    client: SightlineClient, arguments: Sequence[str], times: SearchTimes
) -> AsyncIterator[None]:
    """Import during the block, and until all is found."""
    command = await asyncio.create_subprocess_exec(
        *(photos.SIGHTLINE, "products", "import", *arguments), stdout=asyncio.subprocess.DEVNULL
    )
    await asyncio.sleep(BEGUN_SECONDS)
    yield
    times.ended += not await _pending(client)
    if await command.wait():
        raise loading.LoadingFailed("the import failed")
    while True:
        if not await _pending(client):
            return
        await asyncio.sleep(0.5)


async def _pending(client: SightlineClient) -> int:
    status = await client.status()
    return (status.pending_images or 0) + (status.pending_texts or 0)


async def _search(
    client: SightlineClient, asked: Iterator[str | bytes], pace: tuple[float, float]
) -> list[float]:
    """Return the seconds of each search of one caller."""
    pause, seconds = pace

    async def search(query: str | bytes) -> None:
        if isinstance(query, str):
            await client.search(text=query)
        else:
            await client.search(images=[query])

    done: list[float] = []
    for query in lasting(asked, seconds):
        (timed,), _ = await closed_loop([query], 1, search)
        done.append(timed.seconds)
        await asyncio.sleep(pause)
    return done


def _result(found: Found) -> BenchResult:
    rows, goals, warnings = [], [], []
    for (target, kind, name), times in found.items():
        shape = "one process" if target == "all" else target
        alone, beside = (
            [percentile(each, 0.5).value for each in rounds]
            for rounds in (times.alone, times.beside)
        )
        ratio = median_ratio(beside, alone)
        cells = (f"{1000 * percentile(each, 0.5).value:.1f}" for each in (alone, beside))
        shown = ratio.shown(2)
        rows.append((shape, kind, name, *cells, shown))
        goals.append(
            Goal(f"{shape}: p50 by {kind} beside an import, {name}", MOST_RATIO, "×", ratio)
        )
        if times.ended:
            warnings.append(f"{shape}, {kind}, {name}: {times.ended} imports ended too early")
    if not any(kind == PHOTO for _, kind, _ in found):
        warnings.append("there are no photos in $SIGHTLINE_DATA/clothing: see lab/README.md")
    return BenchResult(
        tables=(
            BenchTable(
                "Searches beside an import",
                (
                    "services",
                    "search by",
                    "searches",
                    "alone, ms",
                    "beside an import, ms",
                    "÷ alone",
                ),
                tuple(rows),
                f"One caller, 100 wines and what was imported; medians of {ROUNDS} alternating"
                f" rounds. Rare: a search each {PAUSES['rare'][0]:.1f} s. Products without photos"
                " beside searches by text, photos beside searches by photo.",
                section=None,
            ),
        ),
        figures={
            " ".join(key): {"alone_s": times.alone, "beside_s": times.beside}
            for key, times in found.items()
        },
        goals=tuple(goals),
        warnings=tuple(warnings),
    )

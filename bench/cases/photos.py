"""Imports of products from a folder of photos until they are searchable, compared with the same
work without a suite.

Chunks of photos are processed in alternation by the real command and suite, and by one process that
only decodes and embeds. Both costs are processor time, which other load affects little.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from bench.harness import processes
from bench.harness.model import BenchTable, Goal, Interval
from bench.harness.statistics import ratio
from bench.peers.raw import Raw
from bench.peers.sentences import SentenceModel
from examples.wines.loading import LoadingFailed
from local_suite.processes import marked
from local_suite.suite import Suite
from sightline_client import SightlineClient

Say: TypeAlias = Callable[[str], None]

NAME = "suite's processor time, photo file to searchable, over raw decode + onnxruntime"
WITH_TITLES = f"{NAME}, of photo and title"
AT_MOST = 1.3
CHUNKS = 6
WARM_UP = 64
"""Number of photos that are processed first and not counted."""
SIGHTLINE = str(Path(sys.executable).with_name("sightline"))
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class PhotoChunk:
    """Cost of one chunk of photos."""

    photos: int
    seconds: float
    """Seconds from the command's start until every photo is searchable."""
    command: float
    """Processor seconds of the command line."""
    programs: Mapping[str, float]
    """Processor seconds of each of the suite's programs."""
    raw: float
    """Processor seconds of decoding and embedding alone."""
    titles: float = 0.0
    """Processor seconds of embedding the titles alone (in this folder they are the photos' ids)."""

    @property
    def suite(self) -> float:
        """Processor seconds of all of the suite's processes."""
        return sum(self.programs.values())


class ImportCost(Protocol):
    """Figures that every kind of chunk has."""

    @property
    def programs(self) -> Mapping[str, float]:
        """Processor seconds of each of the suite's programs."""


def find() -> tuple[Path, list[Path]]:
    """Return the folder of clothing photos and its photos, none when the folder is missing."""
    given = os.environ.get("SIGHTLINE_DATA", "")
    folder = Path(given) / "clothing"
    if not given or not folder.is_dir():
        return folder, []
    return folder, sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)


def chunks(files: Sequence[Path]) -> list[list[Path]]:
    """Return the warm-up chunk, then measured ones, each with an equal share of all categories."""
    files = [*files]
    step = max(1, len(files) // WARM_UP)
    first = files[::step][:WARM_UP]
    warm = set(first)
    rest = [path for path in files if path not in warm]
    return [first, *(rest[place::CHUNKS] for place in range(CHUNKS))]


def measure(suite: Suite, root: Path, files: Sequence[Path], say: Say) -> list[PhotoChunk]:
    """Process every chunk by the suite and by one process, in alternation."""
    raw, titles, done, held = Raw(), SentenceModel(threads=1), [], 0
    for number, part in enumerate(chunks(files)):
        say(f"photos, chunk {number} of {CHUNKS}" if number else "photos, warming up")
        held += len(part)
        chunk = _one(suite, root, part, held, raw=raw, titles=titles)
        if number:
            done.append(chunk)
    return done


def _one(
    suite: Suite, root: Path, part: Sequence[Path], held: int, *, raw: Raw, titles: SentenceModel
) -> PhotoChunk:
    target = suite.addresses()["gateway"]
    with tempfile.TemporaryDirectory(prefix="sightline-photos-") as name:
        folder = Path(name)
        for path in part:
            copy = folder / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        before, since = spent(suite), time.perf_counter()
        command = processes.run(
            [SIGHTLINE, "products", "import", "--folder", name, "--target", target]
        )
        asyncio.run(searchable(target, held, held))
        seconds, after = time.perf_counter() - since, spent(suite)
    programs = {name: after[name] - before.get(name, 0.0) for name in after}
    spoken = sorted((path.stem.replace("_", " ").replace("-", " ") for path in part), key=len)
    return PhotoChunk(
        len(part),
        seconds,
        command.cpu_seconds,
        programs,
        raw.seconds(part),
        titles.seconds(spoken),
    )


def spent(suite: Suite) -> dict[str, float]:
    """Return the processor seconds of each program so far."""
    named = {status.pid: status.name for status in suite.status() if status.pid}
    return processes.by_program(processes.read(marked(suite.layout.data)), named)


async def state(target: str) -> tuple[int, int]:
    """Return the numbers of texts and photos in the index."""
    async with SightlineClient(target) as client:
        status = await client.status()
    return status.indexed_texts or 0, status.indexed_images or 0


async def searchable(target: str, photos: int, texts: int, limit: float = _SECONDS) -> None:
    """Wait until the index has this number of photos and texts. Poll rarely, as each status costs
    the suite an inference or two.
    """
    since = time.monotonic()
    async with SightlineClient(target) as client:
        while True:
            status = await client.status()
            if failed := (status.failed_images or 0) + (status.failed_texts or 0):
                raise LoadingFailed(f"{failed} photos and texts could not be embedded")
            missing = max(0, photos - (status.indexed_images or 0))
            left = missing + max(0, texts - (status.indexed_texts or 0))
            if left <= 0 and not status.pending_images and not status.pending_texts:
                return
            if time.monotonic() - since > limit:
                raise LoadingFailed(f"{left} are not in the index after {limit:.0f} s")
            await asyncio.sleep(min(max(0.2, left / 1000), 3))


def goal(done: Sequence[PhotoChunk]) -> Goal:
    """Return the goal with its verdict, NOT MEASURED without chunks."""
    return Goal(NAME, AT_MOST, "×", _over_raw(done) if done else None)


def goal_with_titles(done: Sequence[PhotoChunk]) -> Goal:
    """Return the goal beside photos and titles, as the suite embeds the texts too."""
    return Goal(WITH_TITLES, AT_MOST, "×", _over_both(done) if done else None)


def table(done: Sequence[PhotoChunk]) -> BenchTable:
    """Return the table for people."""
    speed, total = _speed(done), sum(chunk.photos for chunk in done)
    whole = ratio([(chunk.suite + chunk.command, chunk.raw) for chunk in done])
    over, both = _over_raw(done), _over_both(done)
    rows = [
        ("products/s, file to searchable", f"{speed.value:.1f}", _range(speed, 1)),
        ("raw decode + onnxruntime, ms", _each(sum(chunk.raw for chunk in done), total), ""),
        ("the suite, ms", _each(sum(chunk.suite for chunk in done), total), ""),
    ]
    rows += [(f"  {name}, ms", _each(value, total), "") for name, value in programs(done)]
    rows += [
        ("the command, ms", _each(sum(chunk.command for chunk in done), total), ""),
        ("raw onnxruntime of the titles, ms", _each(sum(c.titles for c in done), total), ""),
        ("suite ÷ raw", f"{over.value:.2f}", _range(over, 2)),
        ("suite ÷ raw with titles", f"{both.value:.2f}", _range(both, 2)),
        ("(suite + command) ÷ raw", f"{whole.value:.2f}", _range(whole, 2)),
    ]
    return BenchTable(
        title="Products from a folder of photos",
        headers=("", "a product", "95% interval"),
        rows=tuple(rows),
        caption=f"{total:,} photos of $SIGHTLINE_DATA/clothing in {len(done)} imports by the"
        " command; milliseconds are processor time (user and system) for each product. Raw: one"
        " process with one thread, the same files, decoding and graph. Interval: bootstrap over"
        " the imports.",
        section=None,
    )


def figures(done: Sequence[PhotoChunk]) -> dict[str, object]:
    """Return all figures, for programs."""
    return {
        "chunks": [{**asdict(chunk), "suite": chunk.suite} for chunk in done],
        "products_per_second": asdict(_speed(done)),
        "suite_over_raw": asdict(_over_raw(done)),
        "suite_over_raw_with_titles": asdict(_over_both(done)),
    }


def programs(done: Sequence[ImportCost]) -> list[tuple[str, float]]:
    """Return the processor seconds of each program, largest first."""
    total: dict[str, float] = defaultdict(float)
    for chunk in done:
        for name, seconds in chunk.programs.items():
            total[name] += seconds
    return sorted(total.items(), key=lambda item: -item[1])


def _over_raw(done: Sequence[PhotoChunk]) -> Interval:
    return ratio([(chunk.suite, chunk.raw) for chunk in done])


def _over_both(done: Sequence[PhotoChunk]) -> Interval:
    return ratio([(chunk.suite, chunk.raw + chunk.titles) for chunk in done])


def _speed(done: Sequence[PhotoChunk]) -> Interval:
    return ratio([(chunk.photos, chunk.seconds) for chunk in done])


def _each(seconds: float, count: int) -> str:
    return f"{seconds / count * 1e3:.2f}"


def _range(value: Interval, digits: int) -> str:
    return f"{value.low:.{digits}f}–{value.high:.{digits}f}"

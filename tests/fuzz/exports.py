"""Files of exports with changed columns, imported by the real command: each record is stored or
named."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local_suite.suite import Suite
from sightline.common.v1.product_pb2 import Product
from sightline.gateway.v1.catalog_service_pb2 import UpsertProductsRequest, UpsertProductsResponse
from sightline.retriever.v1.catalog_registry_service_pb2 import Catalog, CreateCatalogRequest
from tests.fuzz import keeping
from tests.fuzz.export_files import EXPORTS, File, draw
from tests.fuzz.model import Finding, Outcome
from tests.fuzz.wire import Sender

SECONDS = 150.0
"""Most seconds of the whole check."""
AT_ONCE = 2
"""Files that are imported at the same time, each into a catalog of its own."""
COMMAND_SECONDS = 60.0
_LEFT_OUT = re.compile(r"([\d,]+) \w+ left out")
_FAULTS = ("Traceback (most recent", "defect of Sightline")


@dataclass(frozen=True, slots=True)
class Imported:
    """Result of importing a file."""

    code: int
    said: str
    """Its standard error."""
    summary: Mapping[str, object] = field(default_factory=dict)
    """Its JSON; empty if it printed none."""
    rejects: bytes = b""
    before: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()
    """Products of the catalog, by id."""
    stored: bytes = b""
    """These products afterwards, as bytes."""


def complaints(file: File, done: Imported, *, full: bool) -> list[str]:
    """Return what is wrong with the import of a file."""
    wrong = [f"says {each!r}: {done.said[-300:]}" for each in _FAULTS if each in done.said]
    refused = _count(done, "rowsRefused") + _count(done, "refusedCount")
    if done.code not in (0, 1, 2):
        wrong.append(f"exit code {done.code}: {done.said[-300:]}")
    elif done.code == 0 and (refused or not done.summary):
        wrong.append(f"exit code 0, although {refused} rows are refused")
    elif done.code and not done.said.strip():
        wrong.append(f"exit code {done.code} without a word")
    if not done.summary:
        return wrong if done.code else [*wrong, "nothing is said of what was read"]
    left_out = sum(int(each.replace(",", "")) for each in _LEFT_OUT.findall(done.said))
    lost = _lost(file, done, refused)
    if lost > left_out:
        wrong.append(f"{lost} of {len(file.records)} records are lost, {left_out} left out")
    gone = done.before - done.after
    if gone and (not full or refused):
        wrong.append(f"{len(gone)} products are deleted, {refused} rows refused")
    return wrong


def _lost(file: File, done: Imported, refused: int) -> int:
    """Return how many records are neither stored nor named."""
    if file.export.noun == "products":
        # Lines of UTF-16, which are no JSON, are kept as they are: with zeros between the letters.
        there = done.stored + done.rejects.replace(rb"\u0000", b"").replace(b"\0", b"")
        return sum(record.encode() not in there for record in file.records)
    written = sum(_count(done, f"{name}Count") for name in ("written", "duplicate", "withheld"))
    return len(file.records) - refused - written


def _count(done: Imported, name: str) -> int:
    return int(str(done.summary.get(name, 0)))


async def check(suite: Suite, sender: Sender, seed: int, seconds: float = SECONDS) -> Outcome:
    """Import files until the time is over. Raises Unanswered if catalogs can't be made."""
    until, changes, codes = time.monotonic() + seconds, Counter[str](), Counter[int]()
    wrong = 0

    async def imports(place: int) -> None:
        nonlocal wrong
        chance, catalog, number = random.Random(f"{seed} {place}"), f"fuzz-exports-{place}", 0
        made = CreateCatalogRequest(catalog_id=catalog, catalog=Catalog(display_name="Exports"))
        await keeping.ask(sender, "CreateCatalog", made, Catalog())
        await _keep_some(sender, catalog)
        while time.monotonic() < until:
            number += 1
            file = draw(chance, chance.choice(list(EXPORTS)), f"zq{place}n{number}")
            full = file.export.noun == "products" and chance.random() < 0.3
            done = await _imported(suite, sender, catalog, file, full=full)
            changes.update(file.changes or ("none",))
            codes[done.code] += 1
            for why in complaints(file, done, full=full):
                wrong += 1
                shown = f"{', '.join(file.changes)}: {why}; the file: {file.data[:600]!r}"
                sender.find(Finding("exports", shown))

    await asyncio.gather(*map(imports, range(AT_ONCE)))
    by = ", ".join(f"{count} exit {code}" for code, count in sorted(codes.items()))
    kinds = ", ".join(f"{count} {name}" for name, count in changes.most_common())
    return Outcome(
        not wrong and codes[0] > 0, f"{codes.total()} files ({by}; {kinds}); {wrong} wrong"
    )


async def _keep_some(sender: Sender, catalog: str) -> None:
    """Write products of which no file knows: a full import may delete them."""
    products = [Product(product_id=f"before-{n}", title="Before") for n in range(3)]
    request = UpsertProductsRequest(catalog_id=catalog, products=products)
    await keeping.ask(sender, "UpsertProducts", request, UpsertProductsResponse())


async def _imported(
    suite: Suite, sender: Sender, catalog: str, file: File, *, full: bool
) -> Imported:
    before = await keeping.stored(sender, catalog)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        path = folder / f"file{file.export.suffix}"
        path.write_bytes(file.data)
        options = ["--mode", "full"] if full else []
        options += ["--set", "currency=EUR"] if file.export.suffix == ".csv" else []
        code, printed, said = await _command(suite, sender, catalog, file, path, options)
        rejects = await asyncio.to_thread(_rejects, folder)
    after = await keeping.stored(sender, catalog)
    return Imported(
        code=code,
        said=said,
        summary=json.loads(printed) if printed.strip() else {},
        rejects=rejects,
        before=frozenset(each.product_id for each in before),
        after=frozenset(each.product_id for each in after),
        stored=b"".join(each.SerializeToString() for each in after),
    )


def _rejects(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.glob("*.rejected.*"))


async def _command(
    suite: Suite, sender: Sender, catalog: str, file: File, path: Path, options: list[str]
) -> tuple[int, str, str]:
    """Run `sightline`. Return its exit code, and what it printed."""
    token = sender.callers.tokens.get("own", "")
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("sightline")), file.export.noun, "import", str(path)),
        *("--json", "--catalog", catalog, "--target", suite.addresses()["gateway"], *options),
        env=os.environ | {"SIGHTLINE_TOKEN": token, "LANG": "C.UTF-8"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        return -1, "", f"no end after {COMMAND_SECONDS:.0f} s"
    return process.returncode or 0, out.decode(), err.decode()

"""The catalog of clothing: photos in folders, and events of generated shoppers."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench.cases import photos
from bench.cases.monolith import shoppers
from bench.cases.monolith.filled import Fill, FilledFacts, Filling, Say, key
from bench.cases.monolith.shoppers import learned
from bench.harness import processes
from examples.wines import loading, transforms
from local_suite.suite import Suite
from sightline_client import SightlineClient

SHOPPERS, EVENTS = 200, 5_000
ASKED = 240
"""Number of photos that a caller sends repeatedly, each time with other bytes."""
NAME, CATALOG = "clothing", "default"


def here() -> tuple[Path, list[Path]]:
    """Return the folder and its photos, none when the folder is missing."""
    return photos.find()


def filling(root: Path, files: Sequence[Path]) -> Filling:
    """Return how to fill a suite with clothing."""
    listed = [(str(path.relative_to(root)), path.stat().st_size) for path in files]
    return Filling(key(NAME, listed, SHOPPERS, EVENTS, shoppers.SEED), _fill(root, files))


def _fill(root: Path, files: Sequence[Path]) -> Fill:
    """Fill the suite by its public API: the import of a folder, events, a training and its
    promotion.
    """

    def imported(suite: Suite, say: Say) -> FilledFacts:
        target, since = suite.addresses()["gateway"], time.monotonic()
        processes.run(
            [photos.SIGHTLINE, "products", "import", "--folder", str(root), "--target", target]
        )
        say(f"{NAME}: stored after {time.monotonic() - since:.0f} s")
        asyncio.run(_indexed(target, len(files)))
        seconds = time.monotonic() - since
        say(f"{NAME}: found after {seconds:.0f} s; events and a training")
        kinds = asyncio.run(_kinds(target))
        users = learned(target, kinds, EVENTS, SHOPPERS)
        ids = sorted(one for each in kinds.values() for one in each)
        return FilledFacts(ids, users, {CATALOG: len(files)}, seconds)

    return imported


async def _indexed(target: str, count: int) -> None:
    async with SightlineClient(target) as client:
        await loading.wait_indexed(client, count)


async def _kinds(target: str) -> dict[str, list[str]]:
    """Return the ids of the products by category."""
    kinds: dict[str, list[str]] = defaultdict(list)
    async with SightlineClient(target) as client:
        async for product in client.list_products():
            kinds[" > ".join(product.category_path)].append(product.product_id)
    return {kind: sorted(each) for kind, each in kinds.items()}


def asked(files: Sequence[Path]) -> list[bytes]:
    """Return shoppers' photos: photos of the catalog, cropped, rotated and darkened."""
    chosen = random.Random(shoppers.SEED).sample(list(files), min(ASKED, len(files)))
    return [
        transforms.apply(path.read_bytes(), *transforms.ALL, seed=shoppers.SEED, key=path.name)
        for path in chosen
    ]

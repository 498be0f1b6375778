"""The service's side of the fitting process: its order, its run, its result."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from embedder.adapters import space_store
from embedder.domain.errors import FitFailed, FitInvalid, ModelNotReady
from embedder.domain.manifest import TEXT_SUFFIX, SpaceManifest
from embedder.domain.models import Description, version_of
from embedder.domain.photos import Pixels
from embedder.domain.recipes import words
from embedder.fitting import process
from embedder.fitting.process import FitOrder, FitResult
from servicekit.processes.background import Priority, half_the_cores


def command(priority: Priority) -> Sequence[str]:
    """Return the command of the fitting process, without its folder."""
    return (sys.executable, "-m", "embedder.fitting", priority)


async def run(command: Sequence[str], work: Path) -> AsyncGenerator[str, None]:
    """Run the fitting process; yield its stages. Raises FitInvalid or FitFailed."""
    running = await asyncio.create_subprocess_exec(
        *command,
        str(work),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | half_the_cores(),
    )
    assert running.stdout is not None  # noqa: S101 - a pipe was asked for
    try:
        async for line in running.stdout:
            said = json.loads(line)
            if "invalid" in said:
                raise FitInvalid(said["invalid"])
            yield said["stage"]
        if code := await running.wait():
            raise FitFailed(code)
    finally:
        if running.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                running.kill()
            await running.wait()


def write_order(work: Path, order: FitOrder, proof: Sequence[Pixels]) -> None:
    """Write the order of the process, and the pixels that verify its graph."""
    (work / process.ORDER).write_bytes(process.ORDERS.dump_json(order))
    with (work / process.PROOF).open("wb") as file:
        np.savez(file, pixels=np.stack(proof))


def manifest(work: Path, order: FitOrder, described: Description) -> SpaceManifest:
    """Return the manifest of the space that the process wrote."""
    result: FitResult = process.RESULTS.validate_json((work / process.RESULT).read_bytes())
    text_name = result.name + TEXT_SUFFIX
    return SpaceManifest(
        name=result.name,
        version=version(replace(described, hashes={"1": result.graph_sha256})),
        catalog_id=order.catalog_id,
        backbone=order.backbone.name.removesuffix("_features"),
        dimension=result.dimension,
        create_time=datetime.fromtimestamp(order.create_time, UTC),
        preprocessing=words(described.recipe),
        licence=described.licence,
        shopper_views=order.shopper_views,
        catalogue_views=order.catalog_views,
        categories=result.categories,
        takes_texts=result.takes_texts,
        evaluation=result.evaluation,
        shopper_photo_tags=order.shopper_photo_tags,
        files=space_store.hashes(work / result.name),
        text_files=space_store.hashes(work / text_name) if result.takes_texts else {},
    )


def version(described: Description) -> str:
    """Return the version of a model's space. Raises ModelNotReady if it has several."""
    try:
        (number,) = described.hashes
    except ValueError:
        raise ModelNotReady(f"{described.model} has several versions") from None
    return version_of(described, number)

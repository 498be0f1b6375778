"""Full volumes: writes get typed errors, nothing that was acknowledged is lost, and writes succeed
once there is room."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sightline_client import Product, ProductImage, SightlineError
from tests.chaos.model import Report
from tests.chaos.retriever.disks import Disk
from tests.chaos.retriever.full_disks import noise
from tests.cluster.kube import until
from tests.cluster.parts.medium import install, open_for_business
from tests.cluster.parts.stage import Stage
from tests.cluster.parts.under_load import UnderLoad, loaded

SPARE_MIB: Final = 96
FULL_SECONDS: Final = 5
RECOVERY_SECONDS: Final = 240
TYPED: Final = {"STORE_FULL", "STORE_UNAVAILABLE", "RETRIEVER_UNAVAILABLE", "RANKER_UNAVAILABLE"}
"""What writes may end with while PostgreSQL's volume is full; it may end, too."""


def disks(stage: Stage, report: Report) -> None:
    """Replace two volumes by small ones, and fill them under load."""
    install(stage, report)
    open_for_business(stage)
    photos = shrink(stage, "retriever-photos", "deployment", ("retriever", "retriever-worker"))
    record = shrink(stage, "records-postgres-0", "statefulset", ("postgres",))
    asyncio.run(play(stage, report, photos, record))


def shrink(stage: Stage, claim: str, kind: str, names: Sequence[str]) -> Disk:
    """Move a claim's files to a file system with little room, while its pods are stopped."""
    volume = stage.kube.one("pvc", claim)["spec"]["volumeName"]
    place = Path(stage.kube.one("pv", volume)["spec"]["hostPath"]["path"])
    for name in names:
        stage.kube.here("scale", f"{kind}/{name}", "--replicas=0")
    chosen = f"app.kubernetes.io/name in ({','.join(names)})"
    until("its pods are gone", lambda: not stage.kube.items("pods", chosen), RECOVERY_SECONDS)
    used = int(subprocess.check_output(["du", "-sm", place]).split()[0])
    kept = place.with_name(f"{place.name}-kept")
    subprocess.run(["cp", "-a", place, kept], check=True)
    size = f"size={used + SPARE_MIB}m,mode=777"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", place], check=True)
    subprocess.run(["cp", "-a", f"{kept}/.", place], check=True)
    subprocess.run(["rm", "-r", kept], check=True)
    for name in names:
        stage.kube.here("scale", f"{kind}/{name}", "--replicas=1")
    for name in names:
        stage.kube.rolled_out(f"{kind}/{name}", RECOVERY_SECONDS)
    stage.kube.available(RECOVERY_SECONDS)
    return Disk(place)


async def play(stage: Stage, report: Report, photos: Disk, record: Disk) -> None:
    """Fill one after the other."""
    async with loaded(stage, report, "disks") as shop:
        photo = Product("photographed", "A thing", images=(ProductImage(content=noise(7)),))
        errors: list[str] = []
        await shop.step(
            f"the photos' volume is full for {FULL_SECONDS} s: 0 failed calls without photos",
            lambda: asyncio.run(write_photo(stage, photo, photos, errors)),
        )
        report.add(
            "a product with a photo gets PHOTO_STORE_FULL meanwhile, and is written afterwards",
            errors[0] == "PHOTO_STORE_FULL" and not errors[1],
            f"full: {errors[0] or 'written'}; room: {errors[1] or 'written'}",
        )
        await full_record(shop, record)


async def write_photo(stage: Stage, product: Product, disk: Disk, errors: list[str]) -> None:
    """Write a product while the disk is full, and again."""
    async with stage.client("gateway", 8600, timeout=FULL_SECONDS) as client:

        async def write() -> str:
            try:
                report = await client.upsert_products([product])
            except SightlineError as error:
                return error.reason or error.code.name
            return next((each.error.reason for each in report.failures if each.error), "")

        disk.fill()
        async with asyncio.TaskGroup() as group:
            group.create_task(disk.stay_full(FULL_SECONDS))
            errors.append(await write())
        disk.free()
        errors.append(await write())


async def full_record(shop: UnderLoad, disk: Disk) -> None:
    """Fill PostgreSQL's volume."""

    def stay_full() -> None:
        disk.fill()
        asyncio.run(disk.stay_full(FULL_SECONDS))
        disk.free()
        time.sleep(1)

    name = f"PostgreSQL's volume is full for {FULL_SECONDS} s: answers go on, writes are refused"
    got = await shop.step(name, stay_full, allowed=None)
    wrong = {f"{each.kind}: {each.error}" for each in got if each.error} - {
        f"{kind}: {error}" for kind in ("product written", "event written") for error in TYPED
    }
    shop.report.add(
        "every error while PostgreSQL's volume is full is a typed one of a write",
        not wrong,
        ", ".join(sorted(wrong)) or "all",
    )

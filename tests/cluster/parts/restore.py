"""The namespace and its data are lost, and restored by docs/operate/disaster.md."""

from __future__ import annotations

import asyncio
import logging
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import s3fs
from moto.server import ThreadedMotoServer

from examples.wines import loading
from examples.wines.catalogue import load_wines
from tests.chaos.model import Report
from tests.chaos.suite.shop import shoppers
from tests.cluster.kube import Refused
from tests.cluster.node import SUBNET
from tests.cluster.parts.medium import install, open_for_business
from tests.cluster.parts.pages import blocks
from tests.cluster.parts.pages import run as run_block
from tests.cluster.parts.production import secret_of
from tests.cluster.parts.stage import Stage, written
from tests.cluster.tools import ROOT
from tests.contracts.k8s import kubectl

PAGE: Final = ROOT / "docs/operate/disaster.md"
PORT: Final = 9000
URL: Final = f"http://{SUBNET}.1:{PORT}"
DATA, COPIES = "shop", "copies"
"""Buckets of the data and of the backups."""
SETTINGS: Final = {
    "retriever|retriever-worker": {"RETRIEVER_PHOTOS_URL": f"s3://{DATA}/photos"},
    "retriever|retriever-worker|retriever-backups": {"RETRIEVER_BACKUPS": f"s3://{COPIES}/catalog"},
    "ranker|ranker-worker|ranker-backup": {"RANKER_MODEL_STORE": f"s3://{DATA}/models"},
    "ranker-worker": {"RANKER_EXPORT_STORE": f"s3://{DATA}/exports"},
    "ranker-worker|ranker-backup": {"RANKER_BACKUPS": f"s3://{COPIES}/ranker"},
    "retriever|retriever-worker|retriever-backups|ranker|ranker-worker|ranker-backup": {
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": URL,
    },
}
"""What an overlay sets for its buckets, by ConfigMaps."""
OPEN: Final = (
    "- { op: replace, path: /spec/egress/0, value: { to: [{ ipBlock: { cidr: "
    f"{SUBNET}.1/32 }} }}], ports: [{{ protocol: TCP, port: {PORT} }}] }} }}"
)
OVERLAY: Final[dict[str, Any]] = {
    "components": ["object-store", "backups"],
    "patches": [
        *(
            {
                "target": {"kind": "ConfigMap", "name": f"({names})"},
                "patch": "\n".join(
                    f'- {{ op: add, path: /data/{key}, value: "{value}" }}'
                    for key, value in each.items()
                ),
            }
            for names, each in SETTINGS.items()
        ),
        {"target": {"kind": "NetworkPolicy", "name": "object-store"}, "patch": OPEN},
    ],
}


def restore(stage: Stage, report: Report) -> None:
    """Back everything up, delete it, restore it, and compare."""
    stage.clear()
    with bucket() as store, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepare(folder)
        key = "[default]\naws_access_key_id = shop\naws_secret_access_key = shop\n"
        given = [secret_of("object-store", {"credentials": key.encode()})]
        install(stage, report, given, **OVERLAY)
        open_for_business(stage)
        before = asyncio.run(seen(stage))
        copy, back = commands(PAGE.read_text("utf-8"))
        began = time.monotonic()
        run(stage, folder, copy)
        copied = time.monotonic()
        stage.clear()
        store.rm(f"{DATA}/", recursive=True)
        store.mkdir(DATA)
        lost = time.monotonic()
        run(stage, folder, ["kubectl create namespace sightline", *back])
        count = asyncio.run(restore_catalog(stage))
        after = asyncio.run(seen(stage))
        differ = [name for name in before if before[name] != after[name]]
        report.add(
            "namespace, volumes and bucket deleted, and restored by the commands of disaster.md",
            not differ and count > 0,
            f"backups {copied - began:.0f} s, restore {time.monotonic() - lost:.0f} s;"
            f" {count} products; different afterwards: {', '.join(differ) or 'nothing'}",
        )
    stage.clear()


@contextmanager
def bucket() -> Iterator[Any]:
    """Serve an S3 store, in memory, on the bridge's address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address=f"{SUBNET}.1", port=PORT, verbose=False)
    server.start()
    try:
        options = {"endpoint_url": URL, "region_name": "eu-central-1"}
        store = s3fs.S3FileSystem(
            key="shop", secret="shop", client_kwargs=options, use_listings_cache=False
        )
        for each in (DATA, COPIES):
            store.mkdir(each)
        yield store
    finally:
        server.stop()


def prepare(folder: Path) -> None:
    """Put the overlay, keep.sh and kubectl where the page has them."""
    written(folder / "deploy/k8s/overlays/yours", "medium", **OVERLAY)
    (folder / "deploy/keep.sh").symlink_to(ROOT / "deploy/keep.sh")
    (folder / "bin").mkdir()
    (folder / "bin/kubectl").symlink_to(kubectl())


def commands(page: str) -> tuple[list[str], list[str]]:
    """Return the page's commands for Kubernetes that make backups, and those that restore."""
    kept = re.findall(r"^ *\$ ((?:openssl|deploy/keep.sh) .*)$", page, re.MULTILINE)
    kept = [each for each in kept if ".data" not in each]
    copy, back = blocks(page)
    make, save, load = (each.replace("-x509", "-x509 -nodes") for each in kept)
    return [make, save, copy], [load, back]


def run(stage: Stage, folder: Path, scripts: list[str]) -> None:
    """Run commands in the folder. Raise Refused."""
    for script in scripts:
        if failed := run_block(stage, f"cd {folder}\n{script}", folder / "bin"):
            raise Refused("; ".join(failed))


async def restore_catalog(stage: Stage) -> int:
    """Restore the newest backup of the catalog. Return the number of its products."""
    async with stage.client("gateway-admin", 8609, timeout=60) as client:
        newest = (await client.list_backups())[0]
        job = await client.restore_backup(newest.backup_id)
        async for state in client.watch_job(job.job_id, timeout=300):
            job = state
        if job.error:
            raise Refused(f"restore of {newest.backup_id}: {job.error}")
        await loading.wait_indexed(client, len(load_wines()))
        return len([each async for each in client.list_products()])


async def seen(stage: Stage) -> dict[str, object]:
    """Return what the shop has and answers."""
    async with stage.client("gateway-admin", 8609, timeout=60) as client:
        found: dict[str, object] = {
            "products": sorted([(p.product_id, p.title) async for p in client.list_products()]),
            "photos": (await client.status()).indexed_images,
            "models": [each.model_version for each in await client.list_models()],
        }
        for name, ask in shoppers(client, 1).items():
            answer = await ask()
            assert answer is not None
            found[f"answer to a {name}"] = [item.product.product_id for item in answer.results]
    return found

"""Labels on photos, read by a suite whose settings and scene ask for it as the page says."""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from examples.wines.catalogue import load_wines
from local_suite.programs import ALL
from sightline_client import Product, ProductImage, SightlineClient, SyncSightlineClient
from tests.engines import ROOT
from tests.live.conftest import running, until_indexed
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.full

PAGE = (ROOT / "docs" / "integrate" / "labels.md").read_text("utf-8")
MERLOT = "100062"
ADDRESS = "http://127.0.0.1:8680"


async def test_a_bottle_is_found_by_what_its_label_reads(tmp_path: Path) -> None:
    (scene,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    (scenes / "photo-labels.toml").write_text(re.sub(r"^ {4}", "", scene, flags=re.MULTILINE))
    environment = {"RETRIEVER_READ_LABELS": "default", "GATEWAY_SCENES_FOLDER": str(scenes)}
    wines = {wine.id: wine for wine in load_wines()[:3]}
    with running(tmp_path / "suite", ("default",), environment, ALL) as suite:
        gateway = suite.addresses()["gateway"]
        async with SightlineClient(gateway, timeout=60) as client:
            # Without titles: only labels tell the products' words.
            report = await client.upsert_products(
                [
                    Product(wine.id, "A bottle", images=(ProductImage(wine.image.read_bytes()),))
                    for wine in wines.values()
                ]
            )
            assert report.stored_count == len(wines)
            await until_indexed(client, len(wines))
            photo = wines[MERLOT].image.read_bytes()

            async def read() -> bool:
                answer = await client.recommend(image=photo, scene="photo-labels")
                assert not answer.degradations
                named = {each.product.product_id: each for each in answer.results}
                reasons = [reason.text for reason in named[MERLOT].reasons]
                return any("VALDUGA MERLOT" in text for text in reasons)

            await until(read)
            answer = await client.recommend(image=photo, scene="photo-labels")
            plain = await client.recommend(image=photo, scene="photo")
            wanted = await client.search(image=photo, read_labels=True)
            unread = await client.search(image=photo)
        (tmp_path / "shelf.jpg").write_bytes(photo)
        first, second = re.findall(r"^```console\n\$ (.*?)\n```$", PAGE, re.MULTILINE)
        assert "labels: has words of the label" in typed(first, tmp_path, gateway)
        assert re.search(r"signals\[0\] reads: .*MERLOT", typed(second, tmp_path, gateway))
        for curl in re.findall(r"^```sh\n(curl .*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
            sent = curl.replace(ADDRESS, suite.http)
            await until(partial(reads, sent, tmp_path, gateway))
        await asyncio.to_thread(run_python, gateway, tmp_path)
    assert [line.text for line in answer.labels[0]][1:3] == ["CASA VALDUGA", "MERLOT"]
    best = answer.results[0]
    assert best.product.product_id == MERLOT
    assert "labels" in best.branches
    assert {part.name for part in best.parts} >= {"visual", "labels"}
    assert not plain.labels
    assert wanted.labels == answer.labels
    assert wanted.results[0].product.product_id == MERLOT
    assert not unread.labels
    assert not unread.unread_labels


def reads(curl: str, folder: Path, gateway: str) -> bool:
    """Run a request, and return whether the label was read: a busy machine leaves no time to.
    AssertionError if it was, and lacks its words."""
    (label,) = json.loads(typed(curl, folder, gateway))["labels"]
    assert label.get("leftOut") or "MERLOT" in [line["text"] for line in label["lines"]]
    return not label.get("leftOut")


def run_python(gateway: str, folder: Path) -> None:
    """Run the page's Python in a folder. AssertionError unless all answers have the label."""
    with contextlib.chdir(folder), SyncSightlineClient(gateway, timeout=60) as client:
        for snippet in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
            names: dict[str, Any] = {"client": client, "Path": Path}
            exec(compile(snippet, "labels.md", "exec"), names)  # noqa: S102
            found = names.get("answer", names.get("found"))
            assert "MERLOT" in [line.text for line in found.labels[0]]


def typed(command: str, folder: Path, gateway: str) -> str:
    """Run a command in a folder. Return what it prints."""
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        env=os.environ
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "SIGHTLINE_TARGET": gateway,
            "COLUMNS": "200",
        },
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return done.stdout

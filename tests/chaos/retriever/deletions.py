"""An engine loses all its data under a running suite; one command brings the index back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from local_suite.suite import Suite
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from tests.chaos.model import ENGINES, NotMeasured, Report
from tests.chaos.retriever.calls import Retriever
from tests.chaos.retriever.ledger import SPACE, values, vector
from tests.chaos.stage import RETRIEVER, START_SECONDS, channel_to, stage

CATALOG = "deletions"
VERSION, DIMENSION = "one", 16
PRODUCTS = 500
QUERIES = 50
TOP = 20
FOLDERS = {"lite": "milvus", "server": "milvus-server"}
"""Folder of each engine's data, within the suite's folder."""
COMMAND_SECONDS = 120.0
SIGHTLINE = Path(sys.executable).with_name("sightline")

Answer = tuple[list[str], list[float]]
"""Ids and similarities, nearest first."""


def deletions(engine: str, report: Report) -> None:
    """Run the scenario once on one engine. Raise SuiteError or NotMeasured."""
    with stage(engine, [CATALOG], (*RETRIEVER, "gateway")) as suite:
        asyncio.run(_deletions(suite, engine, report))


async def _deletions(suite: Suite, engine: str, report: Report) -> None:
    kind = ENGINES[engine]
    async with channel_to(suite, "retriever") as channel:
        retriever = Retriever(channel, CATALOG)
        await retriever.open_generation(VERSION, DIMENSION)
        await retriever.stock([f"p{n:03}" for n in range(PRODUCTS)], {VERSION: DIMENSION})
        expected = await _answers(retriever)
        await asyncio.to_thread(_delete, suite, suite.layout.data / FOLDERS[engine])
        held = (await retriever.counts(SPACE)).indexed
        report.say(f"{kind}: data folder deleted; {_rows(held)}")
        seconds, job = await _rebuild(suite)
        report.say(f"{kind}: `sightline index rebuild` took {seconds:.1f} s: {job}")
        found = await _answers(retriever)
    wrong = sum(not _same(before, now) for before, now in zip(expected, found, strict=True))
    report.add(
        f"{kind}: a deleted data folder is rebuilt by one command",
        not wrong and job["state"] == "STATE_SUCCEEDED",
        f"{PRODUCTS} rows in {seconds:.1f} s; {wrong} of {QUERIES} exact searches answer otherwise",
    )


async def _answers(retriever: Retriever) -> list[Answer]:
    """Return the results of exact searches. Raise NotMeasured if another search than the engine's
    answered."""
    found = []
    for number in range(QUERIES):
        request = vectors_pb.SearchRequest(
            vector=vector(VERSION, values(f"query {number}", 1, DIMENSION)), top_k=TOP
        )
        answer = await retriever.ask(retriever.vectors.Search, request)
        if lost := getattr(answer, "degradations", ()):
            raise NotMeasured(f"the engine does not answer: {lost}")
        found.append((list(answer.candidates.product_ids), list(answer.similarities)))
    return found


def _rows(held: int) -> str:
    return f"the index holds {held} rows" if held >= 0 else "the index does not answer"


def _same(before: Answer, now: Answer) -> bool:
    return before[0] == now[0] and np.allclose(before[1], now[1], rtol=0, atol=1e-5)


def _delete(suite: Suite, folder: Path) -> None:
    """Delete the data while the engine runs, and restart the engine."""
    while folder.exists():  # the engine writes while its folder is deleted
        shutil.rmtree(folder, ignore_errors=True)
    suite.kill("milvus")
    suite.wait_healthy("milvus", START_SECONDS)


async def _rebuild(suite: Suite) -> tuple[float, dict[str, object]]:
    """Rebuild the index by the command. Return its seconds and its output. Raise NotMeasured."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(str(SIGHTLINE), "index", "rebuild", "--space", SPACE, "--catalog", CATALOG, "--json"),
        env=os.environ | {"SIGHTLINE_TARGET": suite.addresses()["gateway"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    if process.returncode:
        raise NotMeasured(f"sightline index rebuild: {(out + error).decode()[:300]}")
    job = json.loads(out)
    results = {item["name"]: item["value"] for item in job.get("results", ())}
    return time.monotonic() - began, {"state": job["state"], **results}

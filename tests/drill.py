"""All data except the backups and one private key are lost, and restored by the commands of
docs/operate/disaster.md: the wines, their events, the model, a scene and the keys, in a suite on
one machine. The answers before and after must be equal bit for bit; each step is timed.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from examples.wines import loading, shop
from examples.wines.loading import load_ratings, load_wines
from examples.wines.local import free_port_base
from local_suite.programs import sightline
from local_suite.suite import Suite
from sightline_client import Event, EventType, JobState, SightlineClient

Say: TypeAlias = Callable[[str], None]
Answer: TypeAlias = tuple[tuple[str, float, tuple[float, ...]], ...]

ROOT = Path(__file__).parents[1]
LOST = ("gateway", "retriever-worker", "ranker-worker", "retriever", "ranker", "milvus")
"""Services whose processes end and whose data are deleted. Triton and the embedder have no data."""
KEYS = ("gateway/tokens.keys", "ranker/pseudonym.key", "gateway/scenes")
WINES, RATINGS = load_wines(), load_ratings()
SHOPPERS = sorted({rating.user_id for rating in RATINGS})
SHOPPER, FORGOTTEN = SHOPPERS[0], "forgotten"
SEARCHES = 3
"""Events of a shopper who is erased after the backup. They name no products, so that no score
changes.
"""
LATE = 20
"""Number of events written after the backup."""
SCENE = "cellar"
SECONDS = 600.0


class DrillFailed(Exception):
    """Restored data differs from what was backed up."""


@dataclass(slots=True)
class DrillFigures:
    """Figures of a drill."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds by step; names of backup steps begin with `backup`."""
    sizes: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    """Events that existed at the backup, without those purged since."""
    lost: int = 0
    """Events that were acknowledged after the backup, and are lost."""

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        since = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - since, 2)

    @property
    def recovery_seconds(self) -> float:
        return sum(s for step, s in self.seconds.items() if not step.startswith("backup"))


def suite_with_backups(data: Path, kept: Path, catalogs: tuple[str, ...] = ("default",)) -> Suite:
    """Return a suite with one custom scene that stores its backups outside of its own folder."""
    outside = {
        "RETRIEVER_BACKUPS": str(kept / "catalog"),
        "RANKER_BACKUPS": str(kept / "ranker"),
        "RANKER_KEY_FILE": str(data / "ranker" / "pseudonym.key"),
        "GATEWAY_SCENES_FOLDER": str(data / "gateway" / "scenes"),
    }
    scenes = data / "gateway" / "scenes"
    scenes.mkdir(parents=True, exist_ok=True)
    built_in = ROOT / "services/gateway/src/gateway/state/scenes/for-you.toml"
    shutil.copyfile(built_in, scenes / f"{SCENE}.toml")
    programs = sightline(data, free_port_base(), catalogs)
    return Suite(data, [_with(program, outside) for program in programs], report=lambda _: None)


def _with(program: Any, more: Mapping[str, str]) -> Any:
    prefix = f"{program.name.partition('-')[0].upper()}_"
    chosen = {name: value for name, value in more.items() if name.startswith(prefix)}
    return replace(program, environment={**program.environment, **chosen})


async def drill(suite: Suite, kept: Path, say: Say) -> DrillFigures:
    """Delete everything except the backups in `kept`, restore it and compare. Raise DrillFailed on
    a difference.
    """
    found = DrillFigures()
    gateway = suite.addresses()["gateway"]
    async with SightlineClient(gateway, timeout=30) as client:
        say("filling")
        await _fill(client)
        say("backing up")
        before = await _answers(client)
        token = (await _page(client)).next_page_token
        second = _said(await _page(client, token))
        await _settled(client)
        catalog = await _back_up(suite, client, kept, found)
        await _write_on(client)
    say("losing everything")
    _lose(suite)
    say("restoring")
    _restore_files(suite, kept, found)
    async with SightlineClient(gateway, timeout=30) as client:
        await _restore_catalog(client, catalog, found)
        _same("recommendations", before, await _answers(client))
        _same("the page of an earlier token", second, _said(await _page(client, token)))
        await _count(client, found)
    return found


async def _fill(client: SightlineClient) -> None:
    await loading.import_wines(client, WINES)
    await loading.import_ratings(client, RATINGS)
    searches = [
        Event(event_id=f"search-{n}", type=EventType.SEARCH, user=FORGOTTEN, query="red")
        for n in range(SEARCHES)
    ]
    await client.write_events(searches)
    await loading.wait_indexed(client, len(WINES))
    version = await loading.train(client)
    await loading.promote(client, version)
    await _until(client, lambda status: status.model_version == version)


async def _answers(client: SightlineClient) -> list[Answer]:
    """Request answers by photo, by product, for a shopper and by the custom scene."""
    asked = [client.recommend(image=wine.image, user=SHOPPER) for wine in WINES[::25]]
    asked += [client.recommend(products=wine.id) for wine in WINES[::25]]
    asked += [client.recommend(user=user, scene=SCENE) for user in SHOPPERS[:3]]
    answers = [await one for one in asked]
    for answer in answers:
        if answer.degradations:
            raise DrillFailed(f"an answer is degraded: {answer.degradations}")
    return [_said(answer) for answer in answers]


def _said(answer: Any) -> Answer:
    """Return an answer's products, scores and parts of scores."""
    return tuple(
        (one.product.product_id, one.raw_score, tuple(part.value for part in one.parts))
        for one in answer.results
    )


async def _page(client: SightlineClient, token: str = "") -> Any:
    return await client.recommend(products=WINES[3].id, page_size=5, page_token=token)


async def _back_up(suite: Suite, client: SightlineClient, kept: Path, found: DrillFigures) -> str:
    """Back up everything by the commands that an operator types.

    Return the id of the catalog's backup.
    """
    with found.timed("backup of the catalog"):
        made = _typed(suite, "retriever", "backups", "create", "--keep", "3")
    catalog = str(made["backup"])
    with found.timed("backup of events and models"):
        made = _typed(suite, "ranker", "backups", "create")
    found.sizes["ranker_bytes"] = made["bytes"]
    with found.timed("backup of keys and scenes"):
        certificate(kept)
        keep("save", kept / "keys", kept / "keep.crt", "-C", suite.layout.data, *KEYS)
    (backup,) = await client.list_backups()
    found.sizes["catalog_bytes"] = backup.size
    return catalog


async def _write_on(client: SightlineClient) -> None:
    """Write events that no backup has, and erase a shopper."""
    late = [
        replace(shop.event(rating), event_id=f"late-{n}", user=SHOPPER)
        for n, rating in enumerate(RATINGS[:LATE])
    ]
    async for batch in client.write_events(late):
        if batch.failures:
            raise DrillFailed(f"an event was refused: {batch.failures}")
    purge = await client.purge_events(user=FORGOTTEN, force=True)
    await _ended(client, purge.job)


def _lose(suite: Suite) -> None:
    for name in LOST:
        suite.stop(name, kill=True)
    for folder in ("gateway", "retriever", "ranker", "milvus"):
        shutil.rmtree(suite.layout.data / folder)


def _restore_files(suite: Suite, kept: Path, found: DrillFigures) -> None:
    """Restore keys and scenes, then events and models, and start the services.

    Without the keys no service starts.
    """
    with found.timed("keys and scenes"):
        keep("restore", kept / "keys", kept / "keep.key", suite.layout.data)
    with found.timed("events and models"):
        _typed(suite, "ranker", "backups", "restore", "newest")
    with found.timed("start"):
        for name in reversed(LOST):
            suite.start(name)


async def _restore_catalog(client: SightlineClient, backup_id: str, found: DrillFigures) -> None:
    with found.timed("catalog"):
        await _ended(client, await client.restore_backup(backup_id))
    with found.timed("index"):
        await loading.wait_indexed(client, len(WINES))
        await _settled(client)


async def _settled(client: SightlineClient) -> None:
    """Wait until searches find all writes, and a model serves."""
    await _until(
        client,
        lambda status: (
            bool(status.model_version)
            and status.pending_images == 0
            and status.freshness is not None
            and not status.freshness.lag
        ),
    )


async def _count(client: SightlineClient, found: DrillFigures) -> None:
    """Count restored and lost events, by the counts of a purge."""
    everybody = (
        await client.purge_events(before=datetime.now(UTC) + timedelta(days=1))
    ).event_count
    found.kept = len(RATINGS)
    found.lost = LATE
    _same("events", found.kept, everybody)
    forgotten = (await client.purge_events(user=FORGOTTEN)).event_count
    _same("events of an erased shopper", 0, forgotten)


def _typed(suite: Suite, service: str, command: str, *words: str) -> dict[str, Any]:
    """Run `python -m SERVICE.COMMAND` with the settings of the service and its worker.

    Return its JSON.
    """
    environment = os.environ | suite.programs[service].environment
    environment |= suite.programs[f"{service}-worker"].environment
    line = [sys.executable, "-m", f"{service}.{command}", *words]
    return dict(json.loads(_run(line, environment)))


def certificate(folder: Path) -> None:
    """Make the certificate that encrypts keys, folder/keep.crt; folder/keep.key decrypts them."""
    made = ["openssl", "req", "-x509", "-newkey", "rsa:3072", "-nodes", "-days", "2"]
    made += ["-subj", "/CN=drill", "-keyout", str(folder / "keep.key")]
    _run([*made, "-out", str(folder / "keep.crt")], os.environ)


def keep(*words: object) -> None:
    """Run `deploy/keep.sh` with these arguments."""
    _run([str(ROOT / "deploy/keep.sh"), *map(str, words)], os.environ)


def _run(command: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DrillFailed(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


async def _ended(client: SightlineClient, job: Any) -> Any:
    async for state in client.watch_job(job.job_id, timeout=SECONDS):
        job = state
    if job.state is not JobState.SUCCEEDED:
        raise DrillFailed(f"{job.kind} ended as {job.state}: {job.error}")
    return job


async def _until(client: SightlineClient, holds: Callable[[Any], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not holds(status := await client.status()):
        if time.monotonic() > until:
            raise DrillFailed(f"not there after {SECONDS:.0f} s: {status}")
        await asyncio.sleep(0.1)


def _same(what: str, expected: object, found: object) -> None:
    if expected != found:
        raise DrillFailed(
            f"{what}: expected {expected!r:.500} as before the loss, found {found!r:.500}"
        )

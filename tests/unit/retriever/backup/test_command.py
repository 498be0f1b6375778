"""`python -m retriever.backups`: jobs that a worker runs, and files that the command reads."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from retriever import backups as program
from retriever.backup import backups, restores
from servicekit.errors import ServiceError
from tests.stores import address
from tests.unit.retriever.backup.conftest import Place

Typed = Callable[..., Awaitable[list[dict[str, Any]]]]


@pytest.fixture
async def worker(here: Place) -> AsyncIterator[None]:
    """Run a worker for the command's jobs."""

    async def work() -> None:
        while True:
            job = await here.jobs.claim(backups.KINDS, "worker", 30)
            if job is None:
                await asyncio.sleep(0.01)
                continue
            try:
                if job.kind == backups.BACKUP:
                    done = await backups.back_up(job, here.deps, "1.2.3")
                else:
                    done = await restores.restore(job, here.deps, "s")
            except ServiceError as error:
                await here.jobs.fail(job, error)
            else:
                await here.jobs.finish(job, done)

    task = asyncio.create_task(work())
    yield
    task.cancel()
    await asyncio.wait({task})


@pytest.fixture
def typed(
    here: Place,
    worker: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Typed:
    """Return a function that runs the command and returns the printed lines."""
    monkeypatch.setenv("RETRIEVER_DATABASE_URL", address(here.db))
    monkeypatch.setenv("RETRIEVER_BACKUPS", str(tmp_path / "backups"))
    monkeypatch.setenv("RETRIEVER_CATALOGS", "default,other")
    monkeypatch.setattr(program, "SECONDS", 0.01)
    monkeypatch.setattr(program.telemetry, "configure_logging", lambda *_: None)

    async def type_(*words: str, refused: str = "") -> list[dict[str, Any]]:
        monkeypatch.setattr("sys.argv", ["retriever.backups", *words])
        status = await asyncio.to_thread(program.main)
        said = capsys.readouterr()
        assert (status, refused in said.err) == (1 if refused else 0, True), said.err
        return [json.loads(line) for line in said.out.splitlines()]

    return type_


@pytest.mark.full
async def test_each_catalog_is_backed_up_and_only_the_newest_stay(
    here: Place, typed: Typed
) -> None:
    first, other = await typed("create")
    assert (first["catalog"], first["rows"]["products"], first["lost"]) == ("default", 3, 0)
    assert (other["catalog"], other["rows"]["products"]) == ("other", 0)
    (second,) = await typed("create", "--catalog", "default", "--keep", "1")
    assert second["deleted"] == [first["backup"]]
    listed = [one["backup"] for one in await typed("list")]
    assert listed == [second["backup"], other["backup"]]
    (checked,) = await typed("check", "newest")
    assert checked["backup"] == second["backup"]
    await typed("delete", second["backup"])
    assert here.store.ids("default") == []
    await typed("check", "newest", refused="BACKUP_NOT_FOUND")


@pytest.mark.full
async def test_by_default_the_14_newest_stay_as_in_0_15(typed: Typed, tmp_path: Path) -> None:
    (first,) = await typed("create", "--catalog", "default")
    folder = tmp_path / "backups" / "default"
    older = [f"20200101T0000{n:02}Z-00000000" for n in range(14)]
    for name in older:
        shutil.copytree(folder / first["backup"], folder / name)
    (kept,) = await typed("create", "--catalog", "default", "--keep", "0")
    assert kept["deleted"] == []
    (second,) = await typed("create", "--catalog", "default")
    assert sorted(second["deleted"]) == older[:3]
    with pytest.raises(SystemExit):
        await typed("create", "--keep", "-1")


async def test_a_backup_is_restored_where_it_may_be(
    here: Place, typed: Typed, tmp_path: Path
) -> None:
    (made,) = await typed("create", "--catalog", "default")
    await typed("restore", "newest", refused="CATALOG_NOT_EMPTY")
    (done,) = await typed("restore", "newest", "--catalog", "other", "--from", "default")
    assert (done["product_count"], done["catalog"]) == (3, "other")
    assert await here.products("other") == await here.products()
    await typed("restore", made["backup"], "--force")
    file = tmp_path / "backups" / "default" / made["backup"] / "tables" / "vectors.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    await typed("check", "newest", refused="BACKUP_DAMAGED")
    await typed("restore", "newest", "--force", refused="BACKUP_DAMAGED")


async def test_a_catalog_that_can_not_be_backed_up_does_not_stop_the_others(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRIEVER_BACKUP_COUNT", "1")
    await typed("create", "--catalog", "default")
    (other,) = await typed("create", refused="BACKUP_QUOTA")
    assert other["catalog"] == "other"

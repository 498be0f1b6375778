"""The command that moves watches is killed in the middle, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.stores import address, only_postgresql
from tests.unit.vision.test_move import Shop, former_url, keyed, shop
from tests.waiting import SECONDS, until
from vision.move import move

__all__ = ["former_url", "shop"]  # fixtures


@only_postgresql
@pytest.mark.parametrize("shop", ["0.43"], indirect=True)
async def test_a_process_that_is_killed_while_it_copies_leaves_nothing_that_blocks_the_next(
    shop: Shop, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "vision.move", "--from", address(shop.source)]
    command += ["--photos", str(tmp_path / "photos")]
    environment = os.environ | {
        "VISION_DATABASE_URL": address(shop.target),
        "VISION_PHOTOS_URL": str(tmp_path / "frames"),
    }
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with shop.target.engine.connect() as holder:
        holder.execute(sa.text("LOCK TABLE watch_alerts IN SHARE MODE"))  # reads go on
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: ASYNC220
        try:
            await until(lambda: holder.execute(waiting).scalar_one() > 0)
        finally:
            process.kill()
            process.wait(SECONDS)
        assert not any((await shop.rows(shop.target)).values())
    assert await asyncio.wait_for(move(shop.move(), ("default",), str), SECONDS)
    assert await shop.rows(shop.target) == keyed(await shop.rows(shop.source))

"""Which loops a worker has: some are always there, the others by their settings."""

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ranker.settings import WorkerSettings
from ranker.worker import loops

ALWAYS = ["jobs", "jobs", "nothing swept", "nothing swept"]
NIGHT, HEALTH = "night not worked on", "feedback not looked at"


@pytest.mark.parametrize(
    ("settings", "others"),
    [
        ({}, [HEALTH]),
        ({"health_seconds": 0}, []),
        ({"publish": True, "health_seconds": 0}, ["models not published"]),
        ({"auto_promote": True, "health_seconds": 0}, [NIGHT]),
        ({"auto_promote": True, "catalogs": ("a", "b")}, [NIGHT, NIGHT, HEALTH]),
    ],
)
async def test_what_is_turned_off_is_not_looked_at(
    tmp_path: Path, settings: dict[str, Any], others: list[str]
) -> None:
    given = WorkerSettings(export_store=str(tmp_path), **settings)
    found = []
    for loop in loops(given, Mock(), asyncio.Event()):
        found.append(loop.cr_frame.f_locals.get("failed", "jobs"))
        loop.close()
    assert found == ALWAYS + others

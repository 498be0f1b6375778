"""A suite loses all its data; the commands of docs/operate/disaster.md restore it."""

from pathlib import Path

import pytest

from tests import drill

pytestmark = pytest.mark.full


async def test_what_was_backed_up_answers_the_same_after_everything_was_lost(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    with drill.suite_with_backups(tmp_path / "suite", kept) as suite:
        found = await drill.drill(suite, kept, print)
    print(found)
    assert (found.kept, found.lost) == (1_000, drill.LATE)

"""A folder after writes that are cancelled at any await."""

from pathlib import Path

from servicekit.artefacts.durable import DurableFolder
from tests.cancelling import cancelled_at_each_await


async def test_a_folder_takes_files_after_each_cancelled_write(tmp_path: Path) -> None:
    folder = DurableFolder(tmp_path)
    try:

        async def call() -> None:
            await folder.write(tmp_path / "a", b"1")

        async def check() -> None:
            await folder.write(tmp_path / "b", b"2")
            assert not folder._waiting

        assert await cancelled_at_each_await(call, check) > 0
    finally:
        folder.close()

"""Files and folders that are written and deleted whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from servicekit.whole_files import delete_whole, move_whole, write_whole


@pytest.mark.parametrize("beside", [True, False])
def test_a_write_that_fails_leaves_the_former_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, beside: bool
) -> None:
    folder, work = tmp_path / "folder", tmp_path / "work"
    folder.mkdir(), work.mkdir()
    write_whole(folder / "state", b"old", None if beside else work)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_whole(folder / "state", b"new", None if beside else work)
    assert (folder / "state").read_bytes() == b"old"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["state"]
    assert (folder / "state").stat().st_mode & 0o777 == 0o600


def test_a_folder_replaces_another_and_is_deleted_at_once(tmp_path: Path) -> None:
    work, target = tmp_path / "work", tmp_path / "models" / "m"
    for content in ("one", "two"):
        made = tmp_path / "made"
        made.mkdir()
        (made / content).write_text(content)
        move_whole(made, target, work)
    assert [path.name for path in target.iterdir()] == ["two"]
    delete_whole(target, work)
    delete_whole(target, work)
    assert not target.exists()
    assert list(work.iterdir()) == []

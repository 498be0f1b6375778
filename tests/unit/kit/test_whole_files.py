"""Files and folders that are written and deleted whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from servicekit import whole_files
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


@pytest.mark.parametrize("beside", [True, False])
def test_drafts_of_killed_writers_go_with_a_later_write_and_those_under_way_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, beside: bool
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    folder = None if beside else work
    (tmp_path / ".hidden").touch()
    os.utime(tmp_path / ".hidden", (1_000, 1_000))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as kill:
        kill.setattr(Path, "replace", killed)
        kill.setattr(Path, "unlink", lambda *_, **__: None)
        for name in ("state", "other", "late"):
            with pytest.raises(KeyboardInterrupt):
                write_whole(tmp_path / name, b"x", folder)
    drafts = {path: path.name.split(".")[1] for path in tmp_path.rglob(".*.draft")}
    assert sorted(drafts.values()) == ["late", "other", "state"]
    for path, name in drafts.items():
        if name != "late":
            os.utime(path, (1_000, 1_000))
    whole_files.sweep.cache_clear()  # as in another process
    write_whole(tmp_path / "state", b"new", folder)
    late = next(path.name for path, name in drafts.items() if name == "late")
    found = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(found) == sorted([".hidden", late, "state"])


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

"""Files of folders and buckets: complete or absent."""

from __future__ import annotations

import errno
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from servicekit.artefacts.store import Draft, Store


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path) if request.param == "folder" else f"memory://{tmp_path.name}")


def test_a_file_is_complete_or_absent(store: Store) -> None:
    store.write("a/1/model", b"old")
    with store.begin("a/1/model.part") as draft:
        draft.write(b"new and longer")
        assert store.read("a/1/model") == b"old"
        draft.publish("a/1/model")
    assert store.read("a/1/model") == b"new and longer"
    assert (store.names("a/1"), store.size("a")) == (["model"], 14)


def test_a_full_disk_leaves_the_former_file_and_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("a/model", b"old")
    write = Draft.write

    def full(self: Draft, data: bytes) -> None:
        write(self, data[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Draft, "write", full)
    with pytest.raises(OSError, match="No space"):
        store.write("a/model", b"new")
    assert (store.names("a"), store.read("a/model")) == (["model"], b"old")


def test_names_of_what_does_not_exist_are_none_and_its_deletion_says_so(store: Store) -> None:
    assert (store.names("none"), store.delete("none")) == ([], False)
    store.write("a/1", b"x")
    assert (store.delete("a"), store.names("a"), store.exists("a/1")) == (True, [], False)
    with pytest.raises(FileNotFoundError):
        store.remove("a/1")
    with pytest.raises(FileNotFoundError):
        store.open("a/1")


class Silent(MemoryFileSystem):
    """A bucket whose driver raises errors of its own."""

    protocol = "silent"

    def ls(self, *_: object, **__: object) -> None:
        raise RuntimeError("no credentials")


def test_an_error_of_a_driver_is_an_os_error() -> None:
    fsspec.register_implementation("silent", Silent, clobber=True)
    with pytest.raises(OSError, match="does not answer"):
        Store("silent://bucket").names("a")

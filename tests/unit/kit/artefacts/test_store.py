"""Files of folders and buckets: complete or absent."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from servicekit.artefacts.backup_errors import BackupsUnavailable
from servicekit.artefacts.backups import Backups
from servicekit.artefacts.store import Draft, Store
from servicekit.keys.keyring import KeyRing


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


class Upload(io.BytesIO):
    """An object that its bucket has once it is closed."""

    lost = False
    """True if it can't be uploaded."""

    def __init__(self, keep: Callable[[bytes], object]) -> None:
        super().__init__()
        self._keep = keep

    def close(self) -> None:
        if not self.closed:
            data = self.getvalue()
            super().close()
            if self.lost:
                raise OSError("the upload is lost")
            self._keep(data)


class Bucket(MemoryFileSystem):
    """A bucket whose objects are replaced when their upload ends, as those of S3."""

    protocol = "uploads"

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        opened = partial(super()._open, path, mode)
        return opened(**options) if "r" in mode else Upload(lambda data: opened(data=data))


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    fsspec.register_implementation("uploads", Bucket, clobber=True)
    return f"uploads://{tmp_path.name}"


def test_an_upload_that_fails_leaves_the_former_object(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(bucket)

    def put(data: bytes) -> None:
        with store.begin("note") as draft:
            draft.write(data)
            draft.publish("note")

    put(b"old")
    monkeypatch.setattr(Upload, "lost", True)
    with pytest.raises(OSError, match="lost"):
        put(b"new")
    assert (store.names(), store.read("note")) == (["note"], b"old")


@pytest.mark.parametrize("failing", ["write", "publish"])
@pytest.mark.parametrize("suffix", [".hmac", ".json"])
def test_a_signed_document_that_can_t_be_replaced_stays(
    bucket: str, monkeypatch: pytest.MonkeyPatch, failing: str, suffix: str
) -> None:
    """Fail the document's write or upload, or those of its signature."""
    backups = Backups(bucket, "kit", lambda: KeyRing([b"k" * 32]))
    write = Draft.write

    def lose(self: Draft, data: bytes) -> None:
        if self._path.removesuffix(".part").endswith(suffix):
            if failing == "write":
                raise OSError("the bucket is full")
            monkeypatch.setattr(self.file, "lost", True, raising=False)
        write(self, data)

    backups.put_signed("notes/a.json", {"said": 1})
    with monkeypatch.context() as patch:
        patch.setattr(Draft, "write", lose)
        with pytest.raises(BackupsUnavailable):
            backups.put_signed("notes/a.json", {"said": 2})
    assert backups.get_signed("notes/a.json", unsigned=False) == {"said": 1}
    backups.put_signed("notes/a.json", {"said": 3})
    assert backups.get_signed("notes/a.json", unsigned=False) == {"said": 3}
    assert list(backups.names("notes")) == ["a.json", "a.json.hmac"]


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

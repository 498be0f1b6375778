"""A folder is a table of its photos, without files outside of it."""

import os
import unicodedata
from pathlib import Path

import pytest

from sightline_client.files.folder import PhotoTree
from sightline_client.files.photos import PhotoFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    for name in ("hat/straw/b.jpg", "hat/a_red-one.PNG", "top.webp", "hat/notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_each_photo_is_a_product_named_by_its_path(root: Path) -> None:
    tree = PhotoTree(root)
    rows = list(tree.rows())
    assert [dict(row.cells) for row in rows] == [
        {
            "id": "hat/a_red-one.PNG",
            "title": "a red one",
            "category": ["hat"],
            "images": ["hat/a_red-one.PNG"],
        },
        {
            "id": "hat/straw/b.jpg",
            "title": "b",
            "category": ["hat", "straw"],
            "images": ["hat/straw/b.jpg"],
        },
        {"id": "top.webp", "title": "top", "category": [], "images": ["top.webp"]},
    ]
    assert [row.number for row in rows] == [1, 2, 3]
    assert (tree.done, tree.total, tree.not_photos) == (3, 3, 1)


def test_links_that_point_outside_are_not_followed_nor_are_links_to_folders(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.jpg").write_bytes(b"x")
    (root / "outside.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    (root / "circle").symlink_to(root)
    (root / "loop.jpg").symlink_to("loop.jpg")
    (root / "nothing.jpg").symlink_to("none.jpg")
    (root / "inside.jpg").symlink_to("top.webp")
    tree = PhotoTree(root)
    ids = [row.cells["id"] for row in tree.rows()]
    assert ids == ["hat/a_red-one.PNG", "hat/straw/b.jpg", "inside.jpg", "top.webp"]
    assert tree.not_followed == 5


def test_a_name_that_is_no_utf_8_is_a_bad_row(root: Path) -> None:
    (root / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    bad = [row for row in PhotoTree(root).rows() if row.error is not None]
    assert len(bad) == 1
    assert "not UTF-8" in str(bad[0].error)


def test_a_pipe_that_is_named_like_a_photo_is_no_photo(root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    assert PhotoTree(root).total == 3


def test_the_fingerprint_follows_names_sizes_and_times(root: Path) -> None:
    before = PhotoTree(root).fingerprint
    assert PhotoTree(root).fingerprint == before
    (root / "top.webp").write_bytes(b"other")
    assert PhotoTree(root).fingerprint != before


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_the_same_composed_and_decomposed(tmp_path: Path, form: str) -> None:
    name = unicodedata.normalize(form, "Crème-1.jpg")
    (tmp_path / name).write_bytes(b"jpeg")
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", name)
    folder = PhotoFolder(tmp_path, by_id=True)
    assert folder.named("Crème-1") == [name]
    assert folder.images([other])[0].content == b"jpeg"
    (row,) = PhotoTree(tmp_path).rows()
    assert (row.cells["id"], row.cells["title"]) == ("Crème-1.jpg", "Crème 1")

"""Photos that callers send, or name."""

import base64
import os
from pathlib import Path

import pytest

from sightline_agents.catalog import photos
from sightline_agents.catalog.photos import PhotoFolder, PhotoInvalid, decoded, media_type

CONTENT = b"\xff\xd8\xff a photo"
TEXT = base64.b64encode(CONTENT).decode()


@pytest.mark.parametrize(
    "text", [TEXT, f"data:image/jpeg;base64,{TEXT}", f"{TEXT[:5]}\n{TEXT[5:]}"]
)
def test_a_photo_in_base64_is_read(text: str) -> None:
    assert decoded(text) == CONTENT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://shop.example/a.jpg", "addresses are not fetched"),
        ("file:///etc/passwd", "addresses are not fetched"),
        ("data:image/jpeg,abc", "base64"),
        ("not base64!", "is not base64"),
        ("é", "is not base64"),
        ("data:;base64,", "is empty"),
    ],
)
def test_what_is_no_photo_is_rejected(text: str, words: str) -> None:
    with pytest.raises(PhotoInvalid, match=words):
        decoded(text)


async def test_a_file_of_the_folder_is_read(folder: Path) -> None:
    assert (await PhotoFolder(folder).read("shelf.jpg")).startswith(b"\xff\xd8\xff")


async def test_no_other_file_is_read(folder: Path) -> None:
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "link.jpg").symlink_to(folder.parent / "secret.txt")
    (folder / "empty.jpg").touch()
    os.mkfifo(folder / "pipe.jpg")
    names = ("../secret.txt", "/etc/passwd", "link.jpg", "none.jpg", ".", "a\0b", "x" * 5_000)
    for name in (*names, "pipe.jpg", "empty.jpg"):
        with pytest.raises(PhotoInvalid) as caught:
            await PhotoFolder(folder).read(name)
        assert str(folder) not in str(caught.value)


async def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    (folder / "again.jpg").symlink_to("shelf.jpg")
    assert await PhotoFolder(folder).read("again.jpg")


async def test_a_large_file_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "MAX_BYTES", 5)
    with pytest.raises(PhotoInvalid, match="1 to 5 bytes"):
        await PhotoFolder(folder).read("shelf.jpg")


async def test_without_a_folder_no_file_is_read() -> None:
    with pytest.raises(PhotoInvalid, match="--photos"):
        await PhotoFolder(None).read("shelf.jpg")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (CONTENT, "image/jpeg"),
        (b"RIFF0000WEBPVP8 ", "image/webp"),
        (b"\0\0\0 ftypavif", "image/avif"),
        (b"<html>", "application/octet-stream"),
    ],
)
def test_a_photo_is_known_by_its_first_bytes(content: bytes, kind: str) -> None:
    assert media_type(content) == kind

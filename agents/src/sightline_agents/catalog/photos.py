"""Photos that callers send: in base64, or as files of a folder that the operator names."""

import asyncio
import base64
import binascii
import os
from pathlib import Path

from sightline_client.values.photos import MAX_BYTES

MAX_ENCODED = -(-MAX_BYTES // 3) * 4 + 64
"""Maximum characters of a photo in base64, with the head of a data: address."""


_BEGINNINGS = (
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"\x89PNG\r\n", 0, "image/png"),
    (b"WEBP", 8, "image/webp"),
    (b"GIF8", 0, "image/gif"),
    (b"ftypavif", 4, "image/avif"),
    (b"ftyphei", 4, "image/heic"),
    (b"BM", 0, "image/bmp"),
    (b"II*\x00", 0, "image/tiff"),
    (b"MM\x00*", 0, "image/tiff"),
)
"""Bytes of a file, where they stand, and the type that has them there."""


def media_type(content: bytes) -> str:
    """Return the type of a photo by its first bytes."""
    for beginning, at, kind in _BEGINNINGS:
        if content.startswith(beginning, at):
            return kind
    return "application/octet-stream"


class PhotoInvalid(Exception):
    """A photo can't be read; the message says what to send instead."""


def decoded(text: str) -> bytes:
    """Return the bytes of a photo in base64, with or without the head of a data: address."""
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise PhotoInvalid("photo: a data: address must be in base64")
    elif text.startswith(("http:", "https:", "file:")):
        raise PhotoInvalid("photo: addresses are not fetched; send the file's bytes in base64")
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise PhotoInvalid("photo: is not base64; send the file's bytes in base64") from None
    if not content:
        raise PhotoInvalid("photo: is empty")
    return content


class PhotoFolder:
    """A folder whose files callers may name as photos; None: they may name none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else folder.resolve()

    async def read(self, name: str) -> bytes:
        """Return the bytes of a file in the folder. Raises PhotoInvalid."""
        if self._folder is None:
            raise PhotoInvalid(
                "photo_path: this server reads no files; send the bytes as `photo`, or start it"
                " with --photos FOLDER"
            )
        return await asyncio.to_thread(_content, self._folder, name)


def _content(folder: Path, name: str) -> bytes:
    missing = PhotoInvalid("photo_path: is no file in the folder of photos")
    try:
        path = (folder / name).resolve(strict=True)
        if not path.is_relative_to(folder) or not path.is_file():
            raise missing
        # What becomes a link or a pipe between the checks is not followed, nor waited for.
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(number, "rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError, RuntimeError):
        raise missing from None
    if not content or len(content) > MAX_BYTES:
        raise PhotoInvalid(f"photo_path: must have 1 to {MAX_BYTES:,} bytes")
    return content

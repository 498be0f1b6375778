"""A web and a name server for tests of fetching."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from servicekit.outbound.fetch import (
    Fetcher,
    FetchPolicy,
)
from tests.fakes.web import FakeWeb, answer

PHOTO = b"\xff\xd8\xff" + bytes(range(256)) * 40


class Names:
    """Name server with answers that a test chooses; each is given once, the last one repeatedly."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): found for name, found in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise OSError("no such name")
        found = self.answers[host]
        return found.pop(0) if len(found) > 1 else found[0]


@pytest.fixture
async def web() -> AsyncIterator[FakeWeb]:
    async with FakeWeb({"/photo.jpg": answer(PHOTO)}).serving() as served:
        yield served


async def fetch(fetcher: Fetcher, uri: str) -> bytes:
    """Return the file at an address."""
    async with fetcher.fetched(uri) as data:
        return data


def fetcher(web: FakeWeb, names: Names | None = None, **policy: Any) -> Fetcher:
    """Return a fetcher that may fetch from photos.test, which is this machine."""
    chosen: dict[str, Any] = {
        "hosts": (f"photos.test:{web.port}",),
        "schemes": ("http", "https"),
        "max_bytes": 100_000,
        "seconds": 2,
    }
    return Fetcher(
        FetchPolicy(**(chosen | policy)),
        resolver=names or Names(photos_test=[["127.0.0.1"]]),
        loopback_for_tests=True,
    )

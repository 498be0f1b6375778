"""The check of a Milvus before the first start."""

from typing import Any

import pytest

from retriever import preflight
from retriever.adapters.milvus.index import LEAST_VERSION
from retriever.domain.errors import IndexUnavailable
from servicekit.preflight import Finding

URI = "https://milvus.example:19530"


class Engine:
    """A Milvus of a version, or one that answers with an error."""

    def __init__(
        self, version: str | None, error: Exception | None = None, refused: str = "create"
    ) -> None:
        self._version, self._error, self._refused = version, error, refused

        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def call(collection: str, *_: Any) -> None:
            self.asked.append(name)
            assert collection.startswith("shop_preflight_")
            if self._error is not None and name == self._refused:
                raise self._error

        return call

    async def version(self) -> str | None:
        return self._version


async def checked(*engine: Any) -> Finding:
    made: Any = Engine(*engine)
    (found,) = [each async for each in preflight.engine(URI, made, "shop")]
    assert made.asked[-1] == "drop"
    return found


async def test_a_milvus_that_is_new_enough_passes_with_its_version() -> None:
    found = await checked(f"v{LEAST_VERSION}")
    assert found == Finding("milvus", f"{URI} (Milvus v{LEAST_VERSION})")


async def test_an_old_milvus_is_to_be_upgraded() -> None:
    found = await checked("2.6.9")
    assert found.problem == "Milvus 2.6.9 has published vulnerabilities"
    assert found.fix == f"upgrade it to {LEAST_VERSION} or later"
    assert "does not tell" in (await checked(None)).problem


@pytest.mark.parametrize(("uri", "number"), [("https://a", 443), ("http://a", 19530)])
def test_the_port_is_the_client_s_own(uri: str, number: int) -> None:
    assert preflight.default_port(uri) == number


@pytest.mark.parametrize("refused", ["create", "load", "upsert", "count", "drop"])
async def test_a_milvus_that_refuses_says_why(refused: str) -> None:
    error = IndexUnavailable()
    error.__cause__ = RuntimeError("auth check failure")
    found = await checked("2.6.19", error, refused)
    assert found.problem == "auth check failure"
    assert "retriever-milvus" in found.fix

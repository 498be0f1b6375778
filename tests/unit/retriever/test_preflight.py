"""The check of a Milvus before the first start."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc

from retriever import preflight
from retriever.adapters.milvus.index import LEAST_VERSION
from retriever.domain.errors import IndexUnavailable
from retriever.settings import RetrieverSettings
from retriever.wiring import milvus_index
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


class Milvus(milvus_pb2_grpc.MilvusServiceServicer):
    """A Milvus that tells its version, and knows nothing else."""

    async def Connect(self, request: Any, context: Any) -> Any:
        return milvus_pb2.ConnectResponse(status=common_pb2.Status(), identifier=1)

    async def GetVersion(self, request: Any, context: Any) -> Any:
        return milvus_pb2.GetVersionResponse(status=common_pb2.Status(), version=LEAST_VERSION)


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[int]:
    """Yield the port of a Milvus whose certificate is of the authority `private.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "private.pem"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "another.pem"))
    leaf = authority.issue_cert("localhost")
    chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
    server = grpc.aio.server()
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(Milvus(), server)
    credentials = grpc.ssl_server_credentials([(leaf.private_key_pem.bytes(), chain)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield port
    await server.stop(None)


@pytest.mark.parametrize("name", ["private.pem", "another.pem", None])
async def test_only_the_authority_of_the_setting_is_trusted(
    private: int, tmp_path: Path, name: str | None
) -> None:
    settings = RetrieverSettings(
        milvus_uri=f"https://localhost:{private}",
        milvus_ca_file=tmp_path / name if name else None,
        milvus_seconds=1,
    )
    index = milvus_index(settings)
    try:
        version = await index.version(1)
        found = [each async for each in preflight.milvus(settings)]
    finally:
        await index.close()
    if name == "private.pem":
        assert version == LEAST_VERSION
        assert "not trusted" not in found[0].problem
    else:
        assert version is None
        assert [each.check for each in found] == ["milvus"]
        assert "its certificate is not trusted" in found[0].problem
        assert "RETRIEVER_MILVUS_CA_FILE" in found[0].fix


async def test_a_certificate_of_another_host_is_not_trusted(private: int, tmp_path: Path) -> None:
    found = preflight.untrusted(f"https://127.0.0.1:{private}", tmp_path / "private.pem")
    assert "IP address mismatch" in found
    assert preflight.untrusted(f"http://127.0.0.1:{private}", None) == ""


async def test_a_file_without_a_certificate_is_named_with_its_fix(tmp_path: Path) -> None:
    path = tmp_path / "authority.pem"
    path.write_text("no certificate")
    settings = RetrieverSettings(milvus_uri=URI, milvus_ca_file=path)
    (found,) = [each async for each in preflight.milvus(settings)]
    assert str(path) in found.problem
    assert "RETRIEVER_MILVUS_CA_FILE" in found.fix

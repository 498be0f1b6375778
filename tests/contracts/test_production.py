"""Production mode: each process names the unsafe settings, and starts without them."""

from collections.abc import Mapping

import pytest

from tests.contracts.settings import CLASSES, loaded

COMMON = {
    "MODE": "production",
    "PEER_KEYS_FOLDER": "keys",
    "PEER_TLS_FOLDER": "peers",
}
VERIFIED = "sslmode=verify-full&sslrootcert=/etc/ca.crt"
SERVER = {**COMMON, "HOST": "10.0.0.7", "REFLECTION": "false"}
GATEWAY = {
    **SERVER,
    "TLS_FOLDER": "tls",
    "KEYS_FILE": "keys.toml",
    "TOKEN_KEYS_FILE": "tokens.keys",
    "ADMIN_PORT": "8609",
    "QUOTA_DECODE_SECONDS": "0.5",
    "EMBEDDER_TARGET": "embedder:8601",
    "RETRIEVER_TARGET": "retriever:8602",
    "RANKER_TARGET": "dns:///ranker:8603",
}
RETRIEVER = {
    **SERVER,
    "DATABASE_URL": "postgresql+psycopg://retriever:f0e1d2c3@db:5432/retriever?" + VERIFIED,
    "BACKUP_KEYS_FILE": "backups.keys",
    "MILVUS_URI": "https://milvus:19530",
    "MILVUS_TOKEN": "sightline:f0e1d2c3",
    "EMBEDDER_TARGET": "embedder:8601",
}
RANKER = {
    **SERVER,
    "DATABASE_URL": "postgresql+psycopg://ranker:f0e1d2c3@db:5432/ranker?" + VERIFIED,
    "KAFKA_BROKERS": "kafka:9092",
    "KAFKA_FOLDER": "kafka",
    "KAFKA_KEYS_FILE": "events.keys",
}
WORKER = {
    **RANKER,
    "RETRIEVER_TARGET": "retriever:8602",
    "BACKUPS": "s3://bucket/backups",
    "BACKUP_KEYS_FILE": "backups.keys",
}
EMBEDDER = {**SERVER, "SPACES": "/spaces", "SPACE_KEYS_FILE": "spaces.keys"}
SAFE: Mapping[str, Mapping[str, str]] = {
    "gateway": GATEWAY,
    "embedder": EMBEDDER,
    "retriever": RETRIEVER,
    "retriever-worker": RETRIEVER,
    "ranker": RANKER,
    "ranker-worker": WORKER,
}
UNSET = ""


def problems(
    process: str, changes: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Return the unsafe settings that a process reports, given safe settings with these
    `changes`."""
    prefix = process.partition("-")[0].upper()
    given = {name: value for name, value in {**SAFE[process], **changes}.items() if value != UNSET}
    settings = loaded(process, {f"{prefix}_{k}": v for k, v in given.items()}, monkeypatch)
    assert settings.mode == "production"
    return list(settings.unsafe())


@pytest.mark.parametrize("process", CLASSES)
def test_what_is_safe_is_not_complained_of(process: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(process, {}, monkeypatch) == []


@pytest.mark.parametrize(
    ("process", "changes", "named"),
    [
        ("gateway", {"TLS_FOLDER": UNSET}, ["GATEWAY_HOST: 10.0.0.7 is served"]),
        (
            "gateway",
            {"KEYS_FILE": UNSET},
            ["GATEWAY_KEYS_FILE, GATEWAY_JWT_KEYS_FILE, GATEWAY_JWT_KEYS_URL"],
        ),
        ("gateway", {"TOKEN_KEYS_FILE": UNSET}, ["GATEWAY_TOKEN_KEYS_FILE"]),
        ("gateway", {"REFLECTION": UNSET}, ["GATEWAY_REFLECTION=false"]),
        ("gateway", {"PEER_KEYS_FOLDER": UNSET}, []),
        ("gateway", {"PEER_KEYS_FOLDER": UNSET, "PEER_TLS_FOLDER": "tls"}, []),
        ("gateway", {"ADMIN_PORT": UNSET}, ["GATEWAY_ADMIN_PORT"]),
        ("gateway", {"QUOTA_DECODE_SECONDS": "0"}, ["GATEWAY_QUOTA_DECODE_SECONDS above 0"]),
        (
            "gateway",
            {"PEER_TLS_FOLDER": UNSET},
            ["GATEWAY_EMBEDDER_TARGET", "GATEWAY_RETRIEVER_TARGET", "GATEWAY_RANKER_TARGET"],
        ),
        ("gateway", {"TLS_FOLDER": UNSET, "HOST": "127.0.0.1"}, []),
        ("embedder", {"PEER_TLS_FOLDER": UNSET}, ["EMBEDDER_HOST: 10.0.0.7 is served"]),
        ("embedder", {"PEER_TLS_FOLDER": UNSET, "HOST": "localhost"}, []),
        (
            "embedder",
            {"PEER_TLS_FOLDER": UNSET, "PEER_KEYS_FOLDER": UNSET, "HOST": "::1"},
            ["EMBEDDER_PEER_KEYS_FOLDER, EMBEDDER_PEER_TLS_FOLDER or both"],
        ),
        (
            "retriever",
            {"DATABASE_URL": "postgresql+psycopg://retriever:Retriever@db/retriever?" + VERIFIED},
            ["RETRIEVER_DATABASE_URL"],
        ),
        ("retriever", {"MILVUS_TOKEN": "root:Milvus"}, ["RETRIEVER_MILVUS_TOKEN"]),
        (
            "ranker",
            {"DATABASE_URL": "postgresql+psycopg://ranker:CHANGE-ME@db/ranker?" + VERIFIED},
            ["RANKER_DATABASE_URL"],
        ),
        ("ranker", {"CREATE_KEY": "true"}, ["RANKER_CREATE_KEY"]),
        ("embedder", {"SPACE_KEYS_FILE": UNSET}, ["EMBEDDER_SPACE_KEYS_FILE"]),
        ("embedder", {"SPACE_KEYS_FILE": UNSET, "SPACES": UNSET}, []),
        ("retriever", {"BACKUP_KEYS_FILE": UNSET}, ["RETRIEVER_BACKUP_KEYS_FILE"]),
        ("retriever-worker", {"BACKUP_KEYS_FILE": UNSET}, ["RETRIEVER_BACKUP_KEYS_FILE"]),
        ("ranker-worker", {"BACKUP_KEYS_FILE": UNSET}, ["RANKER_BACKUP_KEYS_FILE"]),
        ("ranker-worker", {"BACKUP_KEYS_FILE": UNSET, "BACKUPS": UNSET}, []),
        ("ranker", {"KAFKA_KEYS_FILE": UNSET}, ["RANKER_KAFKA_KEYS_FILE"]),
        ("ranker-worker", {"KAFKA_KEYS_FILE": UNSET}, ["RANKER_KAFKA_KEYS_FILE"]),
        ("ranker", {"KAFKA_KEYS_FILE": UNSET, "KAFKA_BROKERS": UNSET}, []),
        ("retriever", {"MILVUS_URI": "http://milvus:19530"}, ["RETRIEVER_MILVUS_URI"]),
        ("retriever", {"MILVUS_URI": "http://milvus:19530", "PLAIN_STORES": "true"}, []),
        ("retriever", {"MILVUS_TOKEN": UNSET}, ["RETRIEVER_MILVUS_TOKEN"]),
        ("retriever", {"MILVUS_TOKEN": UNSET, "PLAIN_STORES": "true"}, ["RETRIEVER_MILVUS_TOKEN"]),
        ("retriever", {"MILVUS_TOKEN": UNSET, "MILVUS_URI": "http://127.0.0.1:8607"}, []),
        ("ranker-worker", {"PEER_TLS_FOLDER": UNSET}, ["RANKER_RETRIEVER_TARGET"]),
        (
            "ranker-worker",
            {"PEER_TLS_FOLDER": UNSET, "RETRIEVER_TARGET": "ipv4:127.0.0.1:8602"},
            [],
        ),
    ],
)
def test_what_is_unsafe_is_named_and_nothing_else(
    process: str, changes: Mapping[str, str], named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = problems(process, changes, monkeypatch)
    assert len(found) == len(named), found
    for problem, name in zip(found, named, strict=True):
        assert name in problem
        assert "f0e1d2c3" not in problem


@pytest.mark.parametrize("process", ["retriever", "retriever-worker", "ranker", "ranker-worker"])
@pytest.mark.parametrize(
    ("place", "safe"),
    [
        ("postgresql+psycopg://u:f0e1d2c3@db:5432/d?sslmode=verify-full", True),
        ("postgresql+psycopg://u:f0e1d2c3@db/d?sslmode=verify-ca&sslrootcert=/ca.crt", True),
        ("postgresql+psycopg://u:f0e1d2c3@db:5432/d", False),
        ("postgresql+psycopg://u:f0e1d2c3@db/d?sslmode=require", False),
        ("postgresql+psycopg://u:f0e1d2c3@db/d?sslmode=prefer", False),
        ("postgresql+psycopg://u:f0e1d2c3@/d?host=127.0.0.1:5432&host=db:5432", False),
        ("postgresql+psycopg://u:f0e1d2c3@/d?host=/run/postgresql", True),
        ("postgresql+psycopg://u:f0e1d2c3@127.0.0.1:5432/d", True),
        ("postgresql+psycopg://u:f0e1d2c3@[::1]:5432/d", True),
        ("sqlite:////data/record.db", True),
    ],
)
def test_postgresql_on_another_machine_is_called_with_verified_tls(
    process: str, place: str, safe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = process.partition("-")[0].upper()
    found = problems(process, {"DATABASE_URL": place}, monkeypatch)
    assert bool(found) is not safe
    for problem in found:
        assert problem.startswith(f"{prefix}_DATABASE_URL: ")
        assert "sslmode=verify-full" in problem
        assert "f0e1d2c3" not in problem
    assert problems(process, {"DATABASE_URL": place, "PLAIN_STORES": "true"}, monkeypatch) == []


@pytest.mark.parametrize("process", CLASSES)
def test_development_is_the_default_and_would_not_do_in_production(
    process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(process, {}, monkeypatch)
    assert settings.mode == "development"
    assert list(settings.unsafe()) != []

"""Production mode: each process names what is unsafe in its settings, and starts without it."""

from collections.abc import Mapping

import pytest

from tests.contracts.settings import CLASSES, loaded

COMMON = {
    "MODE": "production",
    "PEER_KEY_FILE": "peers.key",
    "PEER_TLS_FOLDER": "peers",
}
SERVER = {**COMMON, "HOST": "10.0.0.7", "REFLECTION": "false"}
GATEWAY = {
    **SERVER,
    "TLS_FOLDER": "tls",
    "KEYS_FILE": "keys.toml",
    "TOKEN_KEYS_FILE": "tokens.keys",
    "EMBEDDER_TARGET": "embedder:8601",
    "RETRIEVER_TARGET": "retriever:8602",
    "RANKER_TARGET": "dns:///ranker:8603",
}
RETRIEVER = {
    **SERVER,
    "DATABASE_URL": "postgresql+psycopg://retriever:f0e1d2c3@db:5432/retriever",
    "MILVUS_TOKEN": "sightline:f0e1d2c3",
    "EMBEDDER_TARGET": "embedder:8601",
}
RANKER = {**SERVER, "DATABASE_URL": "postgresql+psycopg://ranker:f0e1d2c3@db:5432/ranker"}
WORKER = {**RANKER, "RETRIEVER_TARGET": "retriever:8602"}
SAFE: Mapping[str, Mapping[str, str]] = {
    "gateway": GATEWAY,
    "embedder": SERVER,
    "retriever": RETRIEVER,
    "retriever-worker": RETRIEVER,
    "ranker": RANKER,
    "ranker-worker": WORKER,
}
UNSET = ""


def problems(
    process: str, changes: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """What a process finds unsafe, where its settings are the safe ones but for `changes`."""
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
        ("gateway", {"PEER_KEY_FILE": UNSET}, []),
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
            {"PEER_TLS_FOLDER": UNSET, "PEER_KEY_FILE": UNSET, "HOST": "::1"},
            ["EMBEDDER_PEER_KEY_FILE, EMBEDDER_PEER_TLS_FOLDER or both"],
        ),
        (
            "retriever",
            {"DATABASE_URL": "postgresql+psycopg://retriever:Retriever@db/retriever"},
            ["RETRIEVER_DATABASE_URL"],
        ),
        ("retriever", {"MILVUS_TOKEN": "root:Milvus"}, ["RETRIEVER_MILVUS_TOKEN"]),
        (
            "ranker",
            {"DATABASE_URL": "postgresql+psycopg://ranker:CHANGE-ME@db/ranker"},
            ["RANKER_DATABASE_URL"],
        ),
        ("ranker", {"CREATE_KEY": "true"}, ["RANKER_CREATE_KEY"]),
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


@pytest.mark.parametrize("process", CLASSES)
def test_development_is_the_default_and_would_not_do_in_production(
    process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(process, {}, monkeypatch)
    assert settings.mode == "development"
    assert list(settings.unsafe()) != []

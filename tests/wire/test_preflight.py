"""The services' preflights as their Jobs run them: a process with the worker's settings, a real
PostgreSQL and a real engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines import MilvusLite, free_port
from tests.stores import Stores

pytestmark = pytest.mark.full


def run(service: str, folder: Path, **settings: str) -> tuple[int, dict[str, str]]:
    """Return the exit status, and the problem of each check."""
    known = {key: value for key, value in os.environ.items() if not key.startswith("R")}
    prefixed = {f"{service.upper()}_{key}": value for key, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", f"{service}.preflight"],
        env=known | prefixed, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines.pop() == {"end": True}, done.stderr
    assert all(bool(each["problem"]) == bool(each["fix"]) for each in lines), lines
    return done.returncode, {each["check"]: each["problem"] for each in lines}


def test_the_retriever_s_checks_database_engine_and_bucket(
    engine: MilvusLite, stores: Stores, tmp_path: Path
) -> None:
    (url := tmp_path / "url").write_text(stores.server().url("postgres"))
    places = {"DATABASE_URL_FILE": str(url), "PHOTOS_URL": f"file://{tmp_path}"}
    code, found = run("retriever", tmp_path, MILVUS_URI=engine.uri, **places)
    assert found.pop("milvus").startswith("Milvus milvus_lite"), "which is for development"
    assert found == {"database": "", "port": "", "bucket": ""}
    assert code == 1
    code, found = run(
        "retriever", tmp_path, MILVUS_URI=f"http://127.0.0.1:{free_port()}", **places
    )  # fmt: skip
    assert "Connection refused" in found["port"]
    assert found["milvus"]


def test_the_ranker_s_checks_database_and_buckets(stores: Stores, tmp_path: Path) -> None:
    url = stores.server().url("postgres")
    code, found = run("ranker", tmp_path, DATABASE_URL=url, MODEL_STORE=f"file://{tmp_path}")
    assert (code, found) == (0, {"database": "", "bucket": ""})
    code, found = run("ranker", tmp_path, DATABASE_URL=url, MODEL_STORE=f"file://{tmp_path}/no")
    assert code == 1
    assert "FileNotFoundError" in found["bucket"]


def test_what_production_refuses_at_the_start_fails(tmp_path: Path) -> None:
    url = "postgresql+psycopg://ranker:password@db.invalid/ranker"
    code, found = run("ranker", tmp_path, DATABASE_URL=url, MODE="production")
    assert code == 1
    assert found["settings"]
    places = {"DATABASE_URL": url, "MILVUS_URI": "http://milvus.invalid:19530"}
    code, found = run("retriever", tmp_path, MODE="production", MILVUS_SECONDS="2", **places)
    assert code == 1
    assert found["settings"]

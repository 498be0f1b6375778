"""Secrets of every process: they are never shown, and each may be in a file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from servicekit.config import ServiceSettings, load
from tests.code import nodes
from tests.contracts.settings import CLASSES, secrets_of

ROOT = Path(__file__).parents[2]
PROCESSES = pytest.mark.parametrize("settings", sorted(set(CLASSES.values()), key=str))
SECRET = re.compile(r"password|token|secret|(^|_)key$|database_url")
"""Names of secret settings."""
HIDDEN = "postgresql+psycopg://ann:hunter2@host/name"


@PROCESSES
def test_what_is_called_a_secret_is_one(settings: type[ServiceSettings]) -> None:
    named = {
        name
        for name, field in settings.model_fields.items()
        if SECRET.search(name) and field.annotation in (str, SecretStr)
    }
    assert named == secrets_of(settings)


@PROCESSES
def test_nothing_shows_a_secret(
    settings: type[ServiceSettings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prefix = settings.model_config.get("env_prefix", "")
    for name in secrets_of(settings):
        monkeypatch.setenv(f"{prefix}{name}".upper(), HIDDEN)
    found = load(settings)
    shown = [repr(found), str(found), str(found.model_dump()), found.model_dump_json()]
    monkeypatch.setenv(f"{prefix}catalogs".upper(), "NOT ONE")
    with pytest.raises(SystemExit):
        load(settings)
    assert "CATALOGS" in (refused := capsys.readouterr().err)
    assert "hunter2" not in "".join([*shown, refused])
    for name in secrets_of(settings):
        assert getattr(found, name).get_secret_value() == HIDDEN


@PROCESSES
def test_no_other_setting_takes_a_url_with_a_password(settings: type[ServiceSettings]) -> None:
    """Check settings such as a bucket's URL: values that are not secret may be shown."""
    urls = {
        name
        for name, field in settings.model_fields.items()
        if field.annotation is str and re.search(r"_ur[il]$|_store$|^backups$", name)
    }
    for name in urls:
        with pytest.raises(ValidationError) as caught:
            settings(**{name: "https://ann:hunter2@host/name"})
        assert "user name or password" in str(caught.value.errors(include_input=False))


@PROCESSES
def test_a_secret_may_stand_in_a_file(
    settings: type[ServiceSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{HIDDEN}\n")
    prefix = settings.model_config.get("env_prefix", "")
    for name in secrets_of(settings):
        variable = f"{prefix}{name}".upper()
        with monkeypatch.context() as environment:
            environment.setenv(f"{variable}_FILE", str(file))
            assert getattr(load(settings), name).get_secret_value() == HIDDEN
            environment.setenv(variable, HIDDEN)
            with pytest.raises(SystemExit):
                load(settings)
            environment.delenv(variable)
            environment.setenv(f"{variable}_FILE", str(tmp_path / "none"))
            with pytest.raises(SystemExit):
                load(settings)
    refused = capsys.readouterr().err
    assert refused.count("is set too") == len(secrets_of(settings))
    assert refused.count("can't be read") == len(secrets_of(settings))


@pytest.mark.slow
def test_nothing_reads_what_python_would_run() -> None:
    """Check that no pickle is read: it could run code of its author."""
    read = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
    sources = [*ROOT.glob("*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]
    assert len(sources) > 300
    for source in sources:
        for node in nodes(source):
            if isinstance(node, ast.Import):
                assert read.isdisjoint(each.name for each in node.names), source
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in read, source


def test_there_are_secrets_to_look_at() -> None:
    assert any(secrets_of(settings) for settings in CLASSES.values())

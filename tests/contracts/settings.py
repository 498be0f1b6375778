"""Variables that each process reads, from its own settings class."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import SecretStr
from sightline_all.settings import AllSettings

from embedder.settings import EmbedderSettings
from gateway.http.settings import HttpSettings
from gateway.settings import GatewaySettings
from ranker.settings import BackupCommandSettings, RankerSettings, TrainSettings
from retriever.settings import RetrieverSettings
from servicekit.config import ProcessSettings, ServiceSettings
from vision.settings import VisionServerSettings, VisionSettings

CLASSES: Mapping[str, type[ServiceSettings]] = {
    "gateway": GatewaySettings,
    "embedder": EmbedderSettings,
    "retriever": RetrieverSettings,
    "retriever-worker": RetrieverSettings,
    "ranker": RankerSettings,
    # A training is a process that the worker starts, with the worker's environment.
    "ranker-worker": TrainSettings,
}
"""Settings of the processes that stay."""
WITH_COMMANDS: Mapping[str, type[ProcessSettings]] = {
    **CLASSES,
    "all": AllSettings,
    "gateway-http": HttpSettings,
    "ranker-backups": BackupCommandSettings,
    "vision": VisionServerSettings,
    "vision-worker": VisionSettings,
}
"""These, and those of the optional service, and of commands and of the process of all services that
have settings of their own."""


HELD = {
    "DATABASE_URL": "postgresql+psycopg://sightline:f0e1d2c3@db:5432/sightline?sslmode=verify-full",
    "MILVUS_TOKEN": "sightline:f0e1d2c3",
}
"""Content of secret files, as the pages show it."""


def variables(process: str) -> set[str]:
    """Return the names of all variables that a process reads."""
    settings = WITH_COMMANDS[process]
    prefix = settings.model_config.get("env_prefix", "")
    names = {f"{prefix}{field}".upper() for field in settings.model_fields}
    return names | {f"{prefix}{field}_file".upper() for field in secrets_of(settings)}


def secrets_of(settings: type[ProcessSettings]) -> set[str]:
    """Return the fields that may be given in a file, and that are never shown."""
    return {name for name, field in settings.model_fields.items() if field.annotation is SecretStr}


def loaded(
    process: str, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> ProcessSettings:
    """Return the settings that a process reads from an environment; raise if it would not start."""
    for name in variables(process):
        monkeypatch.delenv(name, raising=False)
    files = {
        f"{WITH_COMMANDS[process].model_config['env_prefix']}{field}_FILE".upper()
        for field in secrets_of(WITH_COMMANDS[process])
    }
    for name, value in environment.items():
        variable = name.removesuffix("_FILE")
        if name not in files:
            monkeypatch.setenv(name, value)
        elif held := HELD.get(variable.partition("_")[2]):  # in the pods alone
            monkeypatch.setenv(variable, held)
    return WITH_COMMANDS[process]()

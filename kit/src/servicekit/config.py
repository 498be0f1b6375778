"""Settings as frozen values, read from the environment once, with all bad ones reported at once."""

import re
import sys
from typing import Annotated, Any, Literal, NoReturn, Self, TextIO, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

DEFAULT_CATALOG = "default"
"""What an empty catalog_id means."""

_CATALOG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class _Environment(EnvSettingsSource):
    """Reads lists as `a,b` too, and leaves what it can't read to validation.

    pydantic-settings would stop at the first value that is not JSON.
    """

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            text = str(value)
            if text.lstrip()[:1] in ("[", "{"):
                return text
            return [part.strip() for part in text.split(",") if part.strip()]


class Settings(BaseSettings):
    """Base of every service's settings: frozen, unknown variables ignored.

    A service sets `model_config = SettingsConfigDict(env_prefix="GATEWAY_")` and writes a
    docstring under each field. Lists are given as JSON or as `a,b,c`.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", use_attribute_docstrings=True, validate_default=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment; no .env files."""
        return init_settings, _Environment(settings_cls)


def _catalogs(names: tuple[str, ...]) -> tuple[str, ...]:
    bad = [name for name in names if not _CATALOG.fullmatch(name)]
    if bad:
        raise ValueError(
            f"{', '.join(map(repr, bad))}: a catalog is 1 to 63 of a-z, 0-9, - and _, "
            "starting with a letter or digit"
        )
    if len(set(names)) != len(names):
        raise ValueError("a catalog is named twice")
    return names


Catalogs = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_catalogs)]


class ServerSettings(Settings):
    """What every gRPC server has."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on, for calls and for metrics."""

    port: int = Field(default=0, ge=0, le=65535)
    """Port for gRPC; 0 takes a free one."""

    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port for Prometheus metrics over HTTP; 0 turns them off."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""

    drain_seconds: float = Field(default=10.0, ge=0, le=600)
    """After SIGTERM, how long calls in progress may go on before they are cancelled."""

    max_message_bytes: int = Field(default=32 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """Largest gRPC message that is sent, or received of whatever call; most calls take less by
    their protos."""

    max_concurrent_calls: int = Field(default=200, ge=1, le=100_000)
    """Most calls at once; a process that answers too late takes fewer. One more is refused
    (SERVICE_OVERLOADED)."""

    max_bytes_in_flight: int = Field(default=0, ge=0)
    """Bytes of requests that a process holds at once; 0 = a quarter of its memory (of the
    container's limit), shared by the processes. One caller holds half of them at most. What finds
    no room is refused (BYTES_EXHAUSTED)."""

    max_streams: int = Field(default=1000, ge=1, le=100_000)
    """Most streams at once (watches of jobs, fits); as many again of health and reflection."""

    max_streams_per_connection: int = Field(default=100, ge=1, le=100_000)
    """Most of these on one connection."""

    stream_seconds: float = Field(default=3600.0, gt=0, le=604_800)
    """Longest life of a stream; clients open it again."""

    catalogs: Catalogs = (DEFAULT_CATALOG,)
    """The catalogs of this installation; a request for another one is CATALOG_NOT_FOUND."""


class SharedServerSettings(ServerSettings):
    """What a server has that keeps nothing in memory for which its callers come back."""

    processes: int = Field(default=1, ge=1, le=64)
    """Processes that serve the port together, for more cores than one; another one looks after
    them and serves the metrics of all. They take as much memory each."""

    @model_validator(mode="after")
    def _one_port(self) -> Self:
        if self.processes > 1 and not self.port:
            raise ValueError("several processes need a port of which they all know: not 0")
        return self


S = TypeVar("S", bound=Settings)


def load(cls: type[S]) -> S:
    """The settings of `cls` from the environment.

    When some are bad, prints each with its variable's name, what is wrong and what it is for,
    and exits with status 2. Values are not printed: they may be secrets.
    """
    try:
        return cls()
    except ValidationError as error:
        _refuse(cls, error, sys.stderr)


def _refuse(cls: type[Settings], error: ValidationError, out: TextIO) -> NoReturn:
    prefix = cls.model_config.get("env_prefix", "")
    print(f"{error.error_count()} bad setting(s):", file=out)
    for problem in error.errors(include_url=False, include_input=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        path = ".".join(str(part) for part in problem["loc"][1:])
        where = (prefix + name).upper() + (f" (at {path})" if path else "")
        print(f"  {where or 'together'}: {problem['msg']}", file=out)
        field = cls.model_fields.get(name)
        if field and field.description:
            print(f"      {' '.join(field.description.split())}", file=out)
    raise SystemExit(2)

"""Options of the commands. They and the environment are read here alone."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from sightline_agents.catalog import caller
from sightline_client import SightlineClient
from sightline_client.cli.base import access_token, certificates, options
from sightline_client.cli.base.option_groups import OptionGroup
from sightline_client.transport.token import Token


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise typer.BadParameter(f"{value} must be https:// and a domain, without a path")
    return value.rstrip("/")


_ADDRESS = re.compile(r"https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?/?")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
"""A host's name or IPv4 address, without a port."""

Writes: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--writes",
        envvar="SIGHTLINE_AGENTS_WRITES",
        help="Offer the tools that write events and products. The caller's token needs their roles"
        " too.",
    ),
]
Photos: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        envvar="SIGHTLINE_AGENTS_PHOTOS",
        exists=True,
        file_okay=False,
        metavar="FOLDER",
        help="Folder whose files callers may name as photos. Every caller can search by each of"
        " them.",
    ),
]
Host: TypeAlias = Annotated[
    str,
    typer.Option(envvar="SIGHTLINE_AGENTS_HOST", metavar="HOST", help="Address to listen on."),
]
Port: TypeAlias = Annotated[
    int,
    typer.Option(
        envvar="SIGHTLINE_AGENTS_PORT", min=0, max=65_535, metavar="PORT", help="Port to listen on."
    ),
]
Names: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        envvar="SIGHTLINE_AGENTS_NAMES",
        metavar="HOST",
        help="Further host by whose name agents reach this server, such as a Kubernetes Service."
        " Repeatable; separated by spaces in the variable.",
    ),
]
MetricsPort: TypeAlias = Annotated[
    int,
    typer.Option(
        envvar="SIGHTLINE_AGENTS_METRICS_PORT",
        min=0,
        max=65_535,
        metavar="PORT",
        help="Port of Prometheus's metrics, on the same address. 0: none.",
    ),
]
AnonymousTokenFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        envvar="SIGHTLINE_AGENTS_ANONYMOUS_TOKEN_FILE",
        metavar="FILE",
        help="File whose first line is the token of requests that bring none. Everyone who reaches"
        " this server has its roles: give it the role `read` alone. It is read again for each call,"
        " so that it can be replaced.",
    ),
]
PublicAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="SIGHTLINE_AGENTS_PUBLIC_ADDRESS",
        metavar="https://DOMAIN",
        parser=_address,
        help="Address at which agents reach this server, behind a proxy that ends TLS:"
        " requests may name its host, and pages of it may call.",
    ),
]


@dataclass(frozen=True)
class Gateway(OptionGroup):
    """The gateway, and how it is called."""

    target: options.Target = options.DEFAULT_TARGET
    tls: options.Tls = False
    ca: options.Ca = None
    cert: options.Cert = None
    key: options.Key = None
    catalog: options.Catalog = options.DEFAULT_CATALOG
    timeout: options.Timeout = 10.0

    def connecting(self, token: Token | None) -> Callable[[], SightlineClient]:
        """Return a maker of clients, for use within an event loop. Raises BadParameter."""
        credentials = certificates.of(self.ca, self.cert, self.key, wanted=self.tls)
        return lambda: SightlineClient(
            self.target,
            catalog=self.catalog,
            timeout=self.timeout,
            token=token,
            credentials=credentials,
        )


@dataclass(frozen=True)
class Caller(OptionGroup):
    """The one caller of a server on standard input."""

    token: options.Token = field(default=None, repr=False)
    token_file: options.TokenFile = None

    def said(self) -> str | None:
        """Return the token; None: no caller is named. Raises BadParameter."""
        return access_token.of(self.token, self.token_file)


@dataclass(frozen=True)
class Callers(OptionGroup):
    """Callers of a server over HTTP."""

    anonymous_token_file: AnonymousTokenFile = None

    def token(self) -> Callable[[], str | None]:
        """Return a function that returns the token of the request that is being answered, or that
        of anonymous requests. Raises BadParameter if the file holds none."""
        file = self.anonymous_token_file
        if file is None:
            return caller.current
        access_token.of(None, file)
        return caller.AnonymousToken(file).current


@dataclass(frozen=True)
class Offer(OptionGroup):
    """Limits and permissions of callers."""

    writes: Writes = False
    photos: Photos = None


@dataclass(frozen=True)
class Listening(OptionGroup):
    """Addresses at which the server is reached."""

    host: Host = "127.0.0.1"
    port: Port = 8690
    metrics_port: MetricsPort = 0
    public_address: PublicAddress = None
    name: Names = None

    def check(self) -> None:
        """Raise BadParameter if a name is no host's, or if other machines reach the server at an
        address that is unknown."""
        for each in self.name or ():
            if not _NAME.fullmatch(each):
                raise typer.BadParameter("write a host's name without a port", param_hint="--name")
        if self.public_address is None and not self.name and not _is_loopback(self.host):
            raise typer.BadParameter(
                f"other machines reach {self.host}: name --public-address or --name, whose hosts"
                " their requests have",
                param_hint="--host",
            )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False

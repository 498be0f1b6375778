"""Options of the command. They and the environment are read here alone."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

import typer

from sightline_client import SightlineClient
from sightline_client.cli.base import certificates, options
from sightline_client.cli.base.option_groups import OptionGroup
from sightline_client.transport.token import Token
from sightline_console.screens.provider import CALLBACK
from sightline_console.web.oidc import Registration

_PUBLIC = re.compile(r"https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?/?")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9\[]([A-Za-z0-9.:\]-]*)/?")
_ISSUER = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9.:\]-]*(/[A-Za-z0-9._~%/-]*)?")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
"""A host's name or IPv4 address, without a port."""


def _public(value: str) -> str:
    if not _PUBLIC.fullmatch(value):
        raise typer.BadParameter(f"{value} must be https:// and a domain, without a path")
    return value.rstrip("/")


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise typer.BadParameter(f"{value} must be http:// or https:// and a host, without a path")
    return value.rstrip("/")


def _issuer(value: str) -> str:
    parts = urlsplit(value) if _ISSUER.fullmatch(value) else None
    if parts is None or (parts.scheme == "http" and not _is_loopback(parts.hostname or "")):
        raise typer.BadParameter(f"{value} must be https://, a host and, if it has one, a path")
    return value


Host: TypeAlias = Annotated[
    str,
    typer.Option(envvar="SIGHTLINE_CONSOLE_HOST", metavar="HOST", help="Address to listen on."),
]
Port: TypeAlias = Annotated[
    int,
    typer.Option(
        envvar="SIGHTLINE_CONSOLE_PORT",
        min=0,
        max=65_535,
        metavar="PORT",
        help="Port to listen on.",
    ),
]
Names: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        envvar="SIGHTLINE_CONSOLE_NAMES",
        metavar="HOST",
        help="Further host by whose name browsers reach the console. Repeatable; separated by"
        " spaces in the variable.",
    ),
]
PublicAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="SIGHTLINE_CONSOLE_PUBLIC_ADDRESS",
        metavar="https://DOMAIN",
        parser=_public,
        help="Address at which browsers reach the console, behind a proxy that ends TLS. Cookies"
        " are then sent by TLS alone.",
    ),
]
HttpAddress: TypeAlias = Annotated[
    str,
    typer.Option(
        envvar="SIGHTLINE_CONSOLE_HTTP_ADDRESS",
        metavar="URL",
        parser=_address,
        help="Address of the gateway over HTTP, for the examples that the console shows. The"
        " console does not call it.",
    ),
]

Issuer: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="SIGHTLINE_CONSOLE_OIDC_ISSUER",
        metavar="URL",
        parser=_issuer,
        help="Identity provider (OpenID Connect) at which users sign in, exactly as its discovery"
        " document names it. Register /sign-in/callback below the console's address there. The"
        " gateway must take its access tokens.",
    ),
]
OidcClient: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="SIGHTLINE_CONSOLE_OIDC_CLIENT",
        metavar="ID",
        help="Name of the console at the identity provider.",
    ),
]
OidcSecret: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        envvar="SIGHTLINE_CONSOLE_OIDC_SECRET_FILE",
        metavar="FILE",
        help="File with the console's secret at the identity provider, read at the start. Without"
        " it the console is a public client.",
    ),
]
OidcScopes: TypeAlias = Annotated[
    str,
    typer.Option(
        envvar="SIGHTLINE_CONSOLE_OIDC_SCOPES",
        metavar="WORDS",
        help="Scopes that are asked for; openid is one of them.",
    ),
]
OidcResource: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="SIGHTLINE_CONSOLE_OIDC_RESOURCE",
        metavar="URI",
        help="API for which access tokens are asked for (RFC 8707), where the provider wants it"
        " named.",
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
    http_address: HttpAddress = "http://127.0.0.1:8680"

    def connecting(self, token: Token) -> Callable[[], SightlineClient]:
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
class Listening(OptionGroup):
    """Addresses at which the console is reached."""

    host: Host = "127.0.0.1"
    port: Port = 8695
    public_address: PublicAddress = None
    name: Names = None

    def check(self) -> None:
        """Raise BadParameter if a name is no host's, or if other machines reach the console at an
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

    @property
    def address(self) -> str | None:
        """Address at which browsers reach the console; None: it is not known."""
        if self.public_address is None and _is_loopback(self.host) and self.port:
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"http://{host}:{self.port}"
        return self.public_address


@dataclass(frozen=True)
class SigningIn(OptionGroup):
    """The identity provider, and the console as it knows it."""

    oidc_issuer: Issuer = None
    oidc_client: OidcClient = None
    oidc_secret_file: OidcSecret = None
    oidc_scopes: OidcScopes = "openid"
    oidc_resource: OidcResource = None

    def registration(self, address: str | None) -> Registration | None:
        """Return the console as the provider knows it; None: there is no provider. `address`: at
        which browsers reach the console. Raises BadParameter."""
        if self.oidc_issuer is None:
            return None
        if not self.oidc_client:
            raise typer.BadParameter("name the console's client id", param_hint="--oidc-client")
        if "openid" not in self.oidc_scopes.split():
            raise typer.BadParameter("openid must be one of them", param_hint="--oidc-scopes")
        if address is None:
            raise typer.BadParameter(
                "the provider leads back to one address: name it", param_hint="--public-address"
            )
        return Registration(
            self.oidc_issuer,
            self.oidc_client,
            f"{address}{CALLBACK}",
            self._secret(),
            self.oidc_scopes,
            self.oidc_resource or "",
        )

    def _secret(self) -> str:
        if self.oidc_secret_file is None:
            return ""
        try:
            secret = self.oidc_secret_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            secret = ""
        if not secret:
            raise typer.BadParameter(
                f"{self.oidc_secret_file} holds no secret", param_hint="--oidc-secret-file"
            )
        return secret


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False

"""``sightline keys``"""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sightline.common.v1 import access_pb2
from sightline_client.cli.base import running
from sightline_client.cli.base.group import Commands
from sightline_client.cli.work import keys

app = Commands(no_args_is_help=True, help="Make keys, which identify callers to the gateway.")

ROLES = tuple(name.removeprefix("ROLE_").lower() for name in access_pb2.Role.keys()[1:])
"""Roles that a key can have."""
EVERY = "*"
_NAME = re.compile(r"[\w.@:/-]{1,128}")
_CATALOG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def _named(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise typer.BadParameter("is 1 to 128 letters, digits and . _ - @ : /")
    return value


def _roles(value: str) -> str:
    unknown = [repr(each) for each in _listed(value) if each not in ROLES]
    if unknown or not _listed(value):
        what = f"unknown role {', '.join(unknown)}" if unknown else "must not be empty"
        raise typer.BadParameter(f"{what}. Roles are {', '.join(ROLES)}")
    return value


def _catalogs(value: str) -> str:
    bad = [repr(x) for x in _listed(value) if x != EVERY and not _CATALOG.fullmatch(x)]
    if bad or not _listed(value):
        what = f"invalid catalog {', '.join(bad)}" if bad else "must not be empty"
        raise typer.BadParameter(
            f"{what}. A catalog is 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit;"
            f" '{EVERY}' = all"
        )
    return value


def _day(value: str) -> str:
    if not value:
        return value
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not a date: write 2027-01-01") from None
    if day <= datetime.now(UTC).date():
        raise typer.BadParameter(f"{value} is not in the future: the key would be expired")
    return value


def _listed(value: str) -> list[str]:
    """Split a list at commas, each entry once."""
    return list(dict.fromkeys(filter(None, map(str.strip, value.split(",")))))


@app.command()
def new(
    *,
    name: Annotated[
        str,
        typer.Option(metavar="NAME", callback=_named, help="Name of the caller; unique in a file."),
    ],
    roles: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            callback=_roles,
            help=f"The caller's roles, separated by commas: {', '.join(ROLES)}.",
        ),
    ],
    catalogs: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            callback=_catalogs,
            help="Catalogs that the key gives access to; '*' for all.",
        ),
    ] = "default",
    expires: Annotated[
        str,
        typer.Option(
            metavar="DAY",
            callback=_day,
            help="First day (UTC) on which the key is invalid; default: it never expires.",
        ),
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="The gateway's file of keys: the key is added, and the file is created if"
            " missing. Without it the key is printed.",
        ),
    ] = None,
) -> None:
    """Create a token for a caller of the gateway, and the key that identifies it.

    It does not contact the suite. The first line printed is the token, which is shown once and
    stored nowhere: the key holds its hash only. GATEWAY_KEYS_FILE names the file of keys to the
    gateway, which reloads it without a restart.

    [bold]Example[/bold]

      sightline keys new --name shop --roles read,events --file keys.toml > shop.token
    """
    token = keys.new_token()
    key = keys.CallerKey(
        name, _listed(roles), _listed(catalogs), date.fromisoformat(expires) if expires else None
    )
    entry = key.entry(token)
    if file is not None:
        running.guarded(lambda: keys.append(file, name, entry))
    typer.echo(token)
    running.say(Text("This is the token. It is shown only now: keep it where only its user reads."))
    if file is not None:
        running.say(Text(f"Its key was added to {file}."))
        return
    running.say(Text("Add its key to the file that GATEWAY_KEYS_FILE names:"))
    typer.echo(f"\n{entry}", nl=False)

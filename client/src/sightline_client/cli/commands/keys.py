"""``sightline keys``"""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from sightline.common.v1 import access_pb2
from sightline_client.cli.base import running
from sightline_client.cli.base.group import Commands
from sightline_client.cli.language import _, filled
from sightline_client.cli.work import keys

app = Commands(no_args_is_help=True, help="Make keys, which identify callers to the gateway.")

ROLES = tuple(name.removeprefix("ROLE_").lower() for name in access_pb2.Role.keys()[1:])
"""Roles that a key can have."""
EVERY = "*"
SHOPPERS = (keys.ANY_SHOPPER, "own", "none")
_NAME = re.compile(r"[\w.@:/-]{1,128}")
_CATALOG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def _named(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise typer.BadParameter(_("is 1 to 128 letters, digits and . _ - @ : /"))
    return value


def _roles(value: str) -> str:
    unknown = [repr(each) for each in _listed(value) if each not in ROLES]
    if unknown or not _listed(value):
        what = (
            _("unknown role {unknown}", unknown=", ".join(unknown))
            if unknown
            else _("must not be empty")
        )
        raise typer.BadParameter(_("{what}. Roles are {roles}", what=what, roles=", ".join(ROLES)))
    return value


def _catalogs(value: str) -> str:
    bad = [repr(x) for x in _listed(value) if x != EVERY and not _CATALOG.fullmatch(x)]
    if bad or not _listed(value):
        what = _("invalid catalog {bad}", bad=", ".join(bad)) if bad else _("must not be empty")
        raise typer.BadParameter(
            _(
                "{what}. A catalog is 1 to 63 of a-z, 0-9, - and _, starting with a letter "
                "or digit; '{every}' = all",
                what=what,
                every=EVERY,
            )
        )
    return value


def _day(value: str) -> str:
    if not value:
        return value
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(
            _("{value!r} is not a date: write 2027-01-01", value=value)
        ) from None
    if day <= datetime.now(UTC).date():
        raise typer.BadParameter(
            _("{value} is not in the future: the key would be expired", value=value)
        )
    return value


def _shoppers(value: str) -> str:
    if value not in SHOPPERS:
        raise typer.BadParameter(_("is not one of {shoppers}", shoppers=", ".join(SHOPPERS)))
    return value


def _listed(value: str) -> list[str]:
    """Split a list at commas, each entry once."""
    return list(dict.fromkeys(filter(None, map(str.strip, value.split(",")))))


@app.command()
def new(
    *,
    name: Annotated[str, typer.Option(metavar="NAME", callback=_named)],
    roles: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            callback=_roles,
            help=filled(
                "The caller's roles, separated by commas: {roles}.", roles=", ".join(ROLES)
            ),
        ),
    ],
    catalogs: Annotated[str, typer.Option(metavar="LIST", callback=_catalogs)] = "default",
    shoppers: Annotated[str, typer.Option(metavar="SCOPE", callback=_shoppers)] = keys.ANY_SHOPPER,
    user_id: Annotated[str, typer.Option(metavar="ID")] = "",
    expires: Annotated[str, typer.Option(metavar="DAY", callback=_day)] = "",
    file: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False)] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False)] = None,
) -> None:
    """Create a token for a caller of the gateway, and the key that identifies it.

    It does not contact the suite. The token is stored nowhere else: the key holds its hash only.
    Without --out it is the first line printed. GATEWAY_KEYS_FILE names the file of keys to the
    gateway, which reloads it without a restart.

    sightline keys new --name shop --roles read,events --file keys.toml --out shop.token

    Args:
        name: Name of the caller; unique in a file.
        catalogs: Catalogs that the key gives access to; '*' for all.
        shoppers: Shoppers that requests may name: any, none, or own (the user of --user-id).
        user_id: The user of '--shoppers own'.
        expires: First day (UTC) on which the key is invalid; default: it never expires.
        file: The gateway's file of keys: the key is added, and the file is created if missing.
            Without it the key is printed.
        out: New file for the token, which only its owner may read (mode 0600). Without it the token
            is printed.
    """
    if (shoppers == "own") != bool(user_id):
        raise typer.BadParameter(
            _("--shoppers own and --user-id belong together: give both or none")
        )
    token = keys.new_token()
    end = date.fromisoformat(expires) if expires else None
    key = keys.CallerKey(name, _listed(roles), _listed(catalogs), end, shoppers, user_id)
    entry = key.entry(token)
    running.guarded(lambda: _write(token, name, entry, file, out))
    if out is None:
        typer.echo(token)
        running.tell(
            "This is the token. It is shown only now: store it where only its user reads it."
        )
    else:
        running.tell("The token was written to {out}. It is stored nowhere else.", out=out)
    if file is not None:
        running.tell("Its key was added to {file}.", file=file)
        return
    running.tell("Add its key to the file that GATEWAY_KEYS_FILE names:")
    typer.echo(f"\n{entry}" if out is None else entry, nl=False)


def _write(token: str, name: str, entry: str, file: Path | None, out: Path | None) -> None:
    """Write the token and its key to files; neither if one can't be written."""
    if out is not None:
        keys.write_token(out, token)
    try:
        if file is not None:
            keys.append(file, name, entry)
    except BaseException:
        if out is not None:
            out.unlink()
        raise

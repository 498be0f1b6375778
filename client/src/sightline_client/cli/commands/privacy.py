"""``sightline privacy``"""

import json
from pathlib import Path
from typing import Annotated

import typer

from sightline.common.v1 import job_pb2
from sightline_client import SightlineClient
from sightline_client.cli.base import options
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.commands.profiles import Visitor, Who, ids
from sightline_client.cli.show import privacy as shown
from sightline_client.cli.show.tables import counted
from sightline_client.cli.work import following
from sightline_client.convert import from_wire

app = Commands(no_args_is_help=True, help="Give a shopper a copy of their data, or erase it.")


@app.command()
def export(
    *,
    who: Who,
    visitor: Visitor = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write a JSON file, mode 0600.")
    ] = None,
    suite: Suite,
) -> None:
    """Print everything that is stored on a shopper as JSON.

    [bold]Examples[/bold]

      sightline privacy export 1209683

      sightline privacy export 1209683 --out 1209683.json
    """
    user, other = ids(who, visitor=visitor)
    found = suite.run(lambda client: client.export_user(user=user, visitor=other))
    text = json.dumps(found, indent=2, ensure_ascii=False)
    if out is None:
        typer.echo(text)
        return
    out.touch(mode=0o600)
    out.chmod(0o600)
    out.write_text(f"{text}\n", "utf-8")
    records = counted(sum(map(len, found.values())), "record", "records")
    typer.echo(f"{records} of {len(found)} stores are in {out}.")


@app.command()
def erase(
    *,
    who: Who,
    visitor: Visitor = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Search models and exports although the record has nothing."),
    ] = False,
    wait: options.Wait = True,
    suite: Suite,
) -> None:
    """Erase a shopper from all stores, and print the receipt. It can't be undone.

    [bold]Example[/bold]

      sightline privacy erase 1209683
    """
    user, other = ids(who, visitor=visitor)

    async def ask(client: SightlineClient) -> job_pb2.Job:
        job = await client.erase_user(user=user, visitor=other, force=force)
        return await following.started(client, job, wait=wait)

    message = suite.run(ask)
    if not wait:
        following.show(message, suite, wait=False)
        return
    following.check(from_wire.job(message))
    _receipt(suite, user, other)


@app.command()
def receipt(*, who: Who, visitor: Visitor = False, suite: Suite) -> None:
    """Show the receipt of a shopper's newest erasure.

    [bold]Example[/bold]

      sightline privacy receipt 1209683
    """
    _receipt(suite, *ids(who, visitor=visitor))


def _receipt(suite: Suite, user: str | None, visitor: str | None) -> None:
    suite.answer(lambda client: client.get_erasure(user=user, visitor=visitor), shown.receipt)

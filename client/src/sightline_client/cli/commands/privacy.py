"""``sightline privacy``"""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.text import Text

from sightline.common.v1 import job_pb2
from sightline_client import SightlineClient
from sightline_client.cli.base import options
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.commands.events import Types
from sightline_client.cli.commands.profiles import Visitor, Who, ids
from sightline_client.cli.language import _
from sightline_client.cli.show import listings
from sightline_client.cli.show import privacy as shown
from sightline_client.cli.show.tables import counted
from sightline_client.cli.work import following
from sightline_client.cli.work.plain_commands import PlainCommands
from sightline_client.convert import from_wire
from sightline_client.values.privacy import Consents, Purpose

app = PlainCommands(
    help="Give a shopper a copy of their data, erase it, or store what they consent to."
)


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
    typer.echo(
        _("{records} of {stores} stores are in {out}.", records=records, stores=len(found), out=out)
    )


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

    sightline privacy receipt 1209683
    """
    _receipt(suite, *ids(who, visitor=visitor))


@app.command()
def consent(
    *,
    who: Annotated[
        str | None,
        typer.Argument(metavar="[USER]", help="The customer's id; left out with --default."),
    ] = None,
    visitor: Visitor = False,
    default: Annotated[
        bool, typer.Option("--default", help="The catalog's default instead of a shopper's.")
    ] = False,
    give: Annotated[
        list[Purpose] | None,
        typer.Option("--give", help="Store consent to this purpose. Repeatable."),
    ] = None,
    withdraw: Annotated[
        list[Purpose] | None,
        typer.Option("--withdraw", help="Store that it is withdrawn. Repeatable."),
    ] = None,
    source: Annotated[
        str, typer.Option("--source", help="Where this was decided, such as 'cookie banner 3'.")
    ] = "",
    suite: Suite,
) -> None:
    """Show what a shopper consents to, or store a decision.

    sightline privacy consent 1209683

    sightline privacy consent 1209683 --withdraw TRAIN --source "account page"

    sightline privacy consent --default --withdraw EXPERIMENT --source "policy of 2026-12"
    """
    if bool(who) == default:
        raise typer.BadParameter(_("name a shopper, or --default"), param_hint="USER")
    if (give or withdraw) and not source:
        problem = _("say where the decision was made, such as 'cookie banner 3'")
        raise typer.BadParameter(problem, param_hint="--source")
    user, other = ids(who, visitor=visitor) if who else (None, None)

    async def ask(client: SightlineClient) -> Consents:
        if not (give or withdraw):
            return await client.get_consent(user=user, visitor=other, as_default=default)
        return await client.set_consent(
            user=user,
            visitor=other,
            as_default=default,
            given=give or (),
            withdrawn=withdraw or (),
            source=source,
        )

    suite.answer(ask, shown.consents)


@app.command()
def counts(
    *,
    epsilon: Annotated[
        float, typer.Option("--epsilon", help="Share of the budget to spend, above 0, at most 10.")
    ],
    type: Types = None,
    since: Annotated[
        datetime | None, options.moment(f"Only events at or after this time{options.ZONE}")
    ] = None,
    before: Annotated[datetime | None, options.moment("Only events before this time.")] = None,
    by: Annotated[
        str, options.words(metavar="KEY", help="Count by an attribute that shoppers gave.")
    ] = "",
    most_products: Annotated[
        int, typer.Option("--most-products", help="Products in which one shopper is counted.")
    ] = 8,
    wait: options.Wait = True,
    suite: Suite,
) -> None:
    """Count the shoppers of each product with differential privacy, into a file of the ranker.

    sightline privacy counts --epsilon 0.5

    sightline privacy counts --epsilon 1 --type VIEW --by country
    """

    async def ask(client: SightlineClient) -> job_pb2.Job:
        job = await client.export_counts(
            epsilon=epsilon,
            types=type or (),
            since=None if since is None else options.in_zone(since),
            before=None if before is None else options.in_zone(before),
            attribute=by,
            most_products=most_products,
        )
        return await following.started(client, job, wait=wait)

    message = suite.run(ask)
    value = from_wire.job(message)
    results = [Text(f"{name} {text}") for name, text in value.results.items()]
    suite.show(message, lambda: Group(listings.jobs([value]), *results))
    if wait:
        following.check(value)


app.call(
    "budget",
    "Show what is left of the catalog's budget for counts, and what spent it.",
    "privacy budget",
    SightlineClient.get_privacy_budget,
    shows=shown.budget,
)


def _receipt(suite: Suite, user: str | None, visitor: str | None) -> None:
    suite.answer(lambda client: client.get_erasure(user=user, visitor=visitor), shown.receipt)

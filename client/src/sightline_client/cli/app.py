"""The commands. A new command is a module with a function, and a line here."""

from typing import Annotated

import typer

from sightline_client.cli.base.group import Commands, flowing
from sightline_client.cli.commands import (
    audit,
    backup,
    catalogs,
    classify,
    config,
    detect,
    doctor,
    events,
    experiments,
    explain,
    fairness,
    index,
    inspect,
    jobs,
    keys,
    loading,
    models,
    photos,
    preflight,
    privacy,
    products,
    profiles,
    recommend,
    replay,
    scenes,
    search,
    shelves,
    spaces,
    status,
    synonyms,
    watch,
    webhooks,
)
from sightline_client.version import VERSION

app = Commands(
    name="sightline",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=flowing(
        """Load a shop into a Sightline suite, ask it for recommendations, and run it.

    First steps: `sightline config check`, `sightline products import FILE --images DIR`,
    `sightline products status --wait`, `sightline recommend --image PHOTO`,
    `sightline events import FILE`, `sightline models train --promote`.

    Every command that calls the suite takes --target (else the environment's SIGHTLINE_TARGET, else
    127.0.0.1:8600, where `make up` puts the gateway), --token-file (the caller's token, else
    SIGHTLINE_TOKEN_FILE or SIGHTLINE_TOKEN), --catalog (the shop) and --json (for programs).

    Exit codes: 0 done; 1 rejected or failed, with the field and the fix on standard error;
    2 wrong usage; 130 interrupted. `sightline --install-completion` installs shell completion.

    Texts for people are in Chinese if the locale is, such as LANG=zh_CN.UTF-8, and otherwise in
    English. JSON, reasons and exit codes are the same in both.
    """
    ),
)
app.command("recommend")(recommend.recommend)
app.command("explain")(explain.explain)
app.command("replay")(replay.replay)
app.command("search")(search.search)
app.command("similar")(search.similar)
app.command("list")(search.listing)
app.command("values")(shelves.values)
app.command("shelves")(shelves.shelves)
app.command("suggest")(search.suggest)
app.command("classify")(classify.classify)
app.command("detect")(detect.detect)
products.app.command("import")(loading.import_)
products.app.command("offers")(loading.offers)
for group in (
    products,
    photos,
    events,
    models,
    experiments,
    scenes,
    profiles,
    fairness,
    privacy,
    spaces,
    inspect,
    index,
    jobs,
    backup,
    catalogs,
    synonyms,
    watch,
    webhooks,
):
    app.add_typer(group.app, name=group.__name__.rpartition(".")[2])
app.command("status")(status.status)
app.command("doctor")(doctor.doctor)
app.command("preflight")(preflight.preflight)
app.add_typer(audit.app, name="audit")
app.add_typer(config.app, name="config")
app.add_typer(keys.app, name="keys")


def _version(*, asked: bool) -> None:
    if asked:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda asked: _version(asked=asked),
            is_eager=True,
            help="Print the client's version.",
        ),
    ] = False,
) -> None:
    """Declare the options that all commands have in common."""

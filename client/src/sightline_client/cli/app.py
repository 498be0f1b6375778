"""The commands. A new command is a module with a function, and a line here."""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Annotated, Any

import typer

from sightline_client.cli.base.group import Commands, Group, flowing
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
from sightline_client.cli.language import later
from sightline_client.version import VERSION


class _Program(Group):
    """The commands in the order of their sections."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (as Typer calls it)
        return [*chain.from_iterable(SECTIONS.values())]


app = Commands(
    cls=_Program,
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

    Options of connection and output stand before a command or behind it. Without --target it calls
    127.0.0.1:8600, where `make up` puts the gateway.

    Exit codes: 0 done; 1 rejected or failed, with the field and the fix on standard error;
    2 wrong usage; 130 interrupted. With --json an error is the last line of standard error, as
    JSON. `sightline --install-completion` installs shell completion.

    Texts for people are in Chinese if the locale is, such as LANG=zh_CN.UTF-8, and otherwise in
    English. JSON, reasons and exit codes are the same in both.
    """
    ),
)
products.app.command("import")(loading.import_)
products.app.command("offers")(loading.offers)

SECTIONS: Mapping[str, Mapping[str, Callable[..., None] | Commands]] = {
    later("Find and recommend"): {
        "recommend": recommend.recommend,
        "explain": explain.explain,
        "search": search.search,
        "similar": search.similar,
        "list": search.listing,
        "values": shelves.values,
        "shelves": shelves.shelves,
        "suggest": search.suggest,
        "classify": classify.classify,
        "detect": detect.detect,
        "inspect": inspect.app,
        "watch": watch.app,
    },
    later("Fill a shop"): {
        "products": products.app,
        "photos": photos.app,
        "events": events.app,
        "synonyms": synonyms.app,
        "catalogs": catalogs.app,
        "privacy": privacy.app,
    },
    later("Rank and measure"): {
        "scenes": scenes.app,
        "models": models.app,
        "experiments": experiments.app,
        "profiles": profiles.app,
        "fairness": fairness.app,
        "replay": replay.replay,
    },
    later("Run the suite"): {
        "status": status.status,
        "doctor": doctor.doctor,
        "preflight": preflight.preflight,
        "jobs": jobs.app,
        "index": index.app,
        "spaces": spaces.app,
        "backup": backup.app,
        "webhooks": webhooks.app,
        "audit": audit.app,
        "config": config.app,
        "keys": keys.app,
    },
}
"""The commands by the sections of the first help."""

for section, commands in SECTIONS.items():
    for name, command in commands.items():
        if isinstance(command, Commands):
            app.add_typer(command, name=name, rich_help_panel=section)
        else:
            app.command(name, rich_help_panel=section)(command)


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

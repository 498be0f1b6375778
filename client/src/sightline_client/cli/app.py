"""The commands, put together. A new command is a module with a function and a line here."""

import typer

from sightline_client.cli import recommend, status

app = typer.Typer(
    name="sightline",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Ask a Sightline suite for recommendations, and how it is.

    The gateway's address is --target, else the environment's SIGHTLINE_TARGET, else
    127.0.0.1:8600 (where `make up` puts it).

    Exit codes: 0 done; 1 refused or failed, with the field and the mend on standard error;
    2 wrong usage; 130 interrupted.
    """,
)
app.command("recommend")(recommend.recommend)
app.command("status")(status.status)


@app.callback()
def _root() -> None:
    """Keeps the commands' names even while there are few of them."""

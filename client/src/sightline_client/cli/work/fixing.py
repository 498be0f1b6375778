"""What to do about rows that were refused: their file, and the command that imports it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from sightline_client.cli.base import options, running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import tables


def refused(count: int) -> str:
    """How a summary goes on; "." = no row was refused."""
    return f"; {count:,} refused." if count else "."


def show(
    rejected: Path | None,
    command: Sequence[str],
    suite: Suite,
    *,
    images: Path | None = None,
    ignore: Sequence[str] = (),
) -> None:
    """The whole command, on one line of its own so that it can be copied; nothing without a file of
    rejected rows."""
    if rejected is None:
        return
    words = ["sightline", *command, str(rejected)]
    words += ["--images", str(images)] if images is not None else []
    for column in ignore:
        words += ["--ignore", column]
    words += ["--catalog", suite.catalog] if suite.catalog != options.DEFAULT_CATALOG else []
    words += ["--target", suite.target] if suite.target != options.DEFAULT_TARGET else []
    head = f"Fix {tables.plain(str(rejected))}, then run: "
    running.show(Text(head + tables.plain(shlex.join(words))), whole_lines=True)

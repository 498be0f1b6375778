"""Report of rejected rows: their file, and the command that imports it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from sightline_client.cli.base import options, running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import tables


def refused(count: int) -> str:
    """Return the end of a summary; "." = no row was rejected."""
    return _("; {count:,} rejected.", count=count) if count else _(".")


def show(
    suite: Suite,
    facts: Mapping[str, Any],
    summary: str,
    rejected: Path | None,
    command: Sequence[str],
    *,
    images: Path | None = None,
    ignore: Sequence[str] | None = None,
) -> None:
    """Print the result of a file: ``facts`` for programs, a summary for people. If there is a file
    of rejected rows, print also the command that imports it, on a line of its own so that it can be
    copied."""
    if suite.json:
        running.show_facts(facts)
        return
    running.show(Text(summary))
    if rejected is None:
        return
    words = ["sightline", *command, str(rejected)]
    words += ["--images", str(images)] if images is not None else []
    for column in ignore or ():
        words += ["--ignore", column]
    words += ["--catalog", suite.catalog] if suite.catalog != options.DEFAULT_CATALOG else []
    words += ["--target", suite.target] if suite.target != options.DEFAULT_TARGET else []
    head = _("Fix {rejected}, then run: ", rejected=tables.plain(str(rejected)))
    running.show(Text(head + tables.plain(shlex.join(words))), whole_lines=True)

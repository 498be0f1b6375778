"""Report of rejected rows: their file, and the command that imports it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from sightline_client.cli.base import running
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
    command: Sequence[str] = (),
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
    head = _("Fix {rejected}, then run: ", rejected=tables.plain(str(rejected)))
    running.show(Text(head + tables.plain(shlex.join(command))), whole_lines=True)

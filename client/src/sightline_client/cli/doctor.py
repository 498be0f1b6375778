"""``sightline doctor``"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import typer
from rich.console import Group
from rich.text import Text

from sightline_client import from_wire
from sightline_client.cli import running
from sightline_client.cli.config import status_and_version
from sightline_client.cli.suite import Suite
from sightline_client.cli.tables import plain
from sightline_client.operations import Status
from sightline_client.version import VERSION

LEAST_FREE = 2 * 2**30
"""Bytes on the disk of this folder, where `make up` keeps what it stores."""
MOST_LAG = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    problem: str
    fix: str
    wrong: bool = True
    """False = nothing is broken, but there is a next step."""


def findings(status: Status, gateway: str, free: int) -> Iterator[Finding]:
    """What a suite lacks. `gateway`: its version, empty = not known; `free`: bytes on the disk."""
    for part in status.components:
        if part.error is not None:
            yield Finding(
                f"{part.component} does not answer: {part.error.message}",
                f"look into its log ({part.component}.log below the suite's logs folder, or"
                " `kubectl logs`); `make up` starts all of a local suite",
            )
    if gateway and gateway != VERSION:
        yield Finding(
            f"the gateway is {gateway}, this client {VERSION}",
            "install the client of the gateway's version: pip install ./protos ./client",
        )
    if free < LEAST_FREE:
        yield Finding(
            f"{free / 2**30:.1f} GiB are free on this disk",
            "free some: stores that are full refuse writes",
        )
    yield from _catalog(status)
    for advice in status.advice:
        yield Finding(advice, "see docs/engines.md")
    if not status.model_version:
        yield Finding(
            "ranking model: none yet; answers come from similarity and popularity",
            "when there are events: `sightline models train --promote`",
            wrong=False,
        )


def _catalog(status: Status) -> Iterator[Finding]:
    if status.products == 0:
        yield Finding(
            "the catalog is empty",
            "load it: `sightline products import FILE`, or the example shop: make wines",
            wrong=False,
        )
    if failed := (status.failed_images or 0) + (status.failed_texts or 0):
        yield Finding(
            f"{failed:,} photos or texts could not be embedded",
            "see which: `sightline products list --doubted`; write these products again",
        )
    if status.freshness is not None and status.freshness.lag > MOST_LAG:
        waiting = (status.pending_images or 0) + (status.pending_texts or 0)
        yield Finding(
            f"the index is {status.freshness.lag.total_seconds():.0f} s behind the catalog, and"
            f" {waiting:,} photos and texts wait",
            "wait for it: `sightline products status --wait`; where it stands still, the"
            " retriever's worker or the embedder is down",
        )


def doctor(*, suite: Suite) -> None:
    """Find what is wrong with the suite, and say what fixes it: parts that do not answer, versions
    that differ, a full disk, an empty catalog, an index that lags, a model that is missing.

    Exit code 0 = nothing is wrong, though there may be a next step.

    [bold]Example[/bold]

      sightline doctor
    """

    message, gateway = suite.run(lambda client: status_and_version(client, suite.timeout))
    free = shutil.disk_usage(Path()).free
    found = list(findings(from_wire.status(message), gateway, free))
    wrong = [each for each in found if each.wrong]
    if suite.json:
        running.show_facts(
            {
                "healthy": not wrong,
                "findings": [
                    {"problem": each.problem, "fix": each.fix, "wrong": each.wrong}
                    for each in found
                ],
            }
        )
    else:
        head = Text(f"{len(wrong)} things are wrong." if wrong else "Nothing is wrong.")
        running.show(Group(head, *(_shown(each) for each in found)))
    if wrong:
        raise typer.Exit(1)


def _shown(each: Finding) -> Text:
    name = ("Fix: " if each.wrong else "Next: ", "bold")
    mark = "✗ " if each.wrong else "· "
    return Text.assemble(mark, plain(each.problem), "\n  ", name, plain(each.fix))

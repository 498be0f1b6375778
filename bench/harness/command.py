"""The command that runs benches: prints their tables and writes JSON and pages."""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.text import Text

from bench.harness import docs, machine, report
from bench.harness.model import BenchResult
from bench.harness.serving import ServerRefused
from examples.wines.loading import LoadingFailed
from examples.wines.local import terminable
from local_suite.model import SuiteError
from sightline_client import SightlineError

Bench: TypeAlias = Callable[[Callable[[str], None]], BenchResult]
FAILURES = (LoadingFailed, ServerRefused, SightlineError, SuiteError, OSError)
"""Exceptions that end a bench with a sentence."""


@dataclass(frozen=True, slots=True)
class BenchSet:
    """Benches of one command."""

    program: str
    """Such as "python -m bench"."""
    benches: Mapping[str, Bench]
    results: Path
    """Folder of summaries."""
    usual: Sequence[str] = ()
    """Benches that run when none is named."""
    longer: Mapping[str, Bench] = field(default_factory=dict)
    """Forms that `--full` runs instead."""
    samples: Mapping[str, Bench] = field(default_factory=dict)
    """Quick forms. Do not publish their figures."""
    pages: Mapping[str, Path] = field(default_factory=dict)
    """Page of each bench's tables."""
    failures: tuple[type[Exception], ...] = FAILURES


def run(given: BenchSet, arguments: Sequence[str]) -> int:
    """Run the benches that are named, or the usual ones.

    Return 0 when all ran, whatever they measured; 1 when one could not; 130 when interrupted.
    """
    parsed = _parsed(given, arguments)
    other, form = (given.longer, "full") if parsed.full else ({}, "")
    if parsed.sample:
        other, form = given.samples, "sample"
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=130)
    try:
        with terminable():
            for name in parsed.names:
                kept = f"{name}-{form}" if name in other else name
                result = _run(console, given.results, kept, other.get(name) or given.benches[name])
                if parsed.write_docs and name in given.pages:
                    docs.write(name, result, given.pages[name])
    except KeyboardInterrupt:
        console.print("Interrupted; everything that was started is stopped.")
        return 130
    except given.failures as error:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        console.print(Text(f"The bench failed: {error}{notes}", style="bold red"))
        return 1
    return 0


def _parsed(given: BenchSet, arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options and the names of the benches to run. Exits when they are invalid."""
    known = ", ".join(given.benches)
    parser = argparse.ArgumentParser(prog=given.program, description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {known}")
    parser.add_argument(
        "--full", action="store_true", help=f"longer forms of {', '.join(given.longer)}"
    )
    if given.samples:
        words = f"quick forms of {', '.join(given.samples)}"
        parser.add_argument("--sample", action="store_true", help=words)
    parser.add_argument(
        "--write-docs", action="store_true", help="write the tables into the bench's page"
    )
    parsed = parser.parse_args(arguments, argparse.Namespace(sample=False))
    if parsed.sample and parsed.write_docs:
        parser.error("figures of a sample must not be published: omit --write-docs")
    parsed.names = parsed.names or list(given.usual)
    if not parsed.names:
        parser.error(f"name a bench: {known}")
    if unknown := sorted(set(parsed.names) - set(given.benches)):
        parser.error(f"no bench named {', '.join(unknown)}; there are {known}")
    return parsed


def _run(console: Console, folder: Path, kept: str, bench: Bench) -> BenchResult:
    """Run a bench, print its result and write it under the name `kept`."""
    described, commit, began = machine.describe(), machine.commit(), time.monotonic()
    result = bench(lambda line: console.print(Text(line, style="dim")))
    report.show(console, result, described)
    path = report.write(
        folder,
        kept,
        result,
        machine=described,
        versions=machine.versions(),
        commit=commit,
        now=datetime.now(UTC),
        seconds=(took := time.monotonic() - began),
    )
    console.print(Text(f"Took {took:,.0f} s. Written to {path}"))
    return result

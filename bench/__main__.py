"""Runs the benches: prints their tables and writes JSON under bench/results/."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from bench import (
    compression,
    consistency,
    diversity,
    duplicates,
    imports,
    latency,
    machine,
    nominate,
    quality,
    ranking,
    recommend,
    report,
    scale,
    search,
    standin,
    store,
    training,
    watchdog,
)
from bench.model import Result
from examples.wines.loading import LoadingFailed
from examples.wines.local import terminable
from local_suite.model import SuiteError
from sightline_client import SightlineError

BENCHES: Mapping[str, Callable[[Callable[[str], None]], Result]] = {
    "recommend": recommend.run,
    "imports": imports.run,
    "search": search.run,
    "scale": scale.run,
    "latency": latency.run,
    "consistency": consistency.run,
    "duplicates": duplicates.run,
    "diversity": diversity.run,
    "nominate": nominate.run,
    "quality": quality.run,
    "ranking": ranking.run,
    "compression": compression.run,
    "photos": scale.photos,
    "standin": standin.run,
    "store": store.run,
    "watchdog": watchdog.run,
    "training": training.run,
}
"""Every bench. A new one is a module with ``run(say) -> Result`` and a line here."""

USUAL = (
    *("recommend", "imports", "search", "latency", "consistency"),
    *("ranking", "training", "quality"),
)
"""Those that have goals and end soon: what `make bench` runs, in twenty minutes."""

LONG = ("scale", "store")
"""Those that have goals and fill a million rows first: seven and ten minutes more."""

FULL: Mapping[str, Callable[[Callable[[str], None]], Result]] = {
    **BENCHES,
    "scale": scale.full,
    "training": training.full,
}
"""With those that take hours in place of their short forms."""


def main(arguments: Sequence[str]) -> int:
    """0 when all ran, whatever they measured; 1 when one could not; 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {', '.join(BENCHES)}")
    parser.add_argument("--full", action="store_true", help="all of them, with what takes hours")
    parsed = parser.parse_args(arguments)
    benches = FULL if parsed.full else BENCHES
    names = parsed.names or (list(BENCHES) if parsed.full else USUAL)
    if unknown := sorted(set(names) - set(BENCHES)):
        parser.error(f"no bench named {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=130)
    try:
        with terminable():
            for name in names:
                _run(console, name, benches[name])
        if names is USUAL:
            console.print(f"NOT MEASURED: {', '.join(LONG)}, by name or with --full.")
    except KeyboardInterrupt:
        console.print("Interrupted; everything that was started is stopped.")
        return 130
    except (LoadingFailed, SightlineError, SuiteError, OSError) as error:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        console.print(Text(f"The bench failed: {error}{notes}", style="bold red"))
        return 1
    return 0


def _run(console: Console, name: str, bench: Callable[[Callable[[str], None]], Result]) -> None:
    described, commit = machine.describe(), machine.commit()
    result = bench(lambda line: console.print(Text(line, style="dim")))
    report.show(console, result, described)
    path = report.write(
        report.RESULTS,
        name,
        result,
        machine=described,
        versions=machine.versions(),
        commit=commit,
        now=datetime.now(UTC),
    )
    console.print(Text(f"Written to {path}"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

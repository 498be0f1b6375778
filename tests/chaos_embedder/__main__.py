"""Kills, hangs, slows and floods what the embedder stands on, under load, and looks at what callers
get. 0 = every promise held; 1 = one was broken or could not be put to the test."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from rich.console import Console
from rich.text import Text

from examples.wines.local import terminable
from tests.chaos.__main__ import play, show
from tests.chaos.model import Report
from tests.chaos_embedder.losses import losses, versions


def main(arguments: Sequence[str]) -> int:
    """Run both scenarios, one after another."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos_embedder", description=__doc__)
    parser.add_argument("--turns", type=int, default=2, help="of each loss")
    parser.add_argument("--switches", type=int, default=10, help="of versions, to and fro")
    parser.add_argument("--only", choices=("losses", "versions"), help="one scenario")
    options = parser.parse_args(arguments)
    scenarios = {
        "versions": partial(versions, options.switches),
        "losses": partial(losses, options.turns),
    }
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=130)
    report = Report(lambda line: console.print(Text(line, style="dim")))
    try:
        with terminable():
            for name, run in scenarios.items():
                if options.only in {None, name}:
                    play(name, run, report)
    except KeyboardInterrupt:
        console.print("Interrupted; everything that was started is stopped.")
        return 130
    show(console, report, seed=0)
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

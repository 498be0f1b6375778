"""Starts a suite, fills it, rolls Lite2 out under load and back, prints the results, stops it."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from rich.console import Console

from examples.wines import loading
from examples.wines.catalogue import load_ratings, load_wines
from examples.wines.demo import console as out
from examples.wines.loading import LoadingFailed
from examples.wines.local import own_suite, terminable
from examples.wines.upgrade import report
from examples.wines.upgrade.model import Played, UpgradeFailed, faults
from examples.wines.upgrade.play import roll_out
from local_suite.model import SuiteError
from sightline_client import SightlineClient, SightlineError

MODEL = "efficientnet_lite2"


def main(arguments: Sequence[str]) -> int:
    """Run the demo. Return 0 if no request failed, was degraded or mixed models, else 1; 130 on an
    interrupt.
    """
    parser = argparse.ArgumentParser(prog="python -m examples.wines.upgrade", description=__doc__)
    parser.add_argument(
        "--steady", type=float, default=8.0, help="seconds between two steps (default: 8)"
    )
    options = parser.parse_args(arguments)
    console = out.make_console()
    try:
        with terminable(), own_suite(lambda line: out.say(console, line, "dim")) as suite:
            played = asyncio.run(_play(console, suite.addresses()["gateway"], options.steady))
    except KeyboardInterrupt:
        out.say(console, "Interrupted; everything that was started is stopped.", "yellow")
        return 130
    except (LoadingFailed, UpgradeFailed, SightlineError, SuiteError, OSError) as error:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        out.say(console, f"The upgrade failed: {error}{notes}", "bold red")
        return 1
    for part in report.parts(played):
        console.print(part)
    return 1 if faults(played) else 0


async def _play(console: Console, target: str, steady_seconds: float) -> Played:
    wines, ratings = load_wines(), load_ratings()
    async with SightlineClient(target, timeout=30) as client:
        with out.progress(console, "importing wines and photos", len(wines)) as move:
            await loading.import_wines(client, wines, move)
        with out.progress(console, "waiting for the index", len(wines)) as move:
            await loading.wait_indexed(client, len(wines), move)
        with out.progress(console, "importing ratings as events", len(ratings)) as move:
            await loading.import_ratings(client, ratings, move)
        with out.progress(console, "training a LightFM model", 1) as move:
            await loading.promote(client, await loading.train(client, move))
        out.say(
            console,
            "Three watchers and three `sightline recommend --batch` send requests meanwhile.",
        )
        return await roll_out(
            client,
            target,
            wines,
            ratings,
            version=MODEL,
            steady_seconds=steady_seconds,
            tell=lambda moment: out.say(console, report.line(moment), "dim"),
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

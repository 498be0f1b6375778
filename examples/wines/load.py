"""Loads the wines into a suite that runs: 100 products with photos, 1,000 ratings, a model.

`python -m examples.wines.load` finds the suite as `make up` does, by DATA; run again, it writes the
same once more and changes nothing.
"""

import asyncio
import os
import sys
from collections.abc import Mapping

from rich.console import Console

from examples.wines import loading
from examples.wines.catalogue import load_ratings, load_wines
from examples.wines.demo import console as out
from examples.wines.loading import LoadingFailed
from local_suite.__main__ import from_environment
from local_suite.model import SuiteError
from sightline_client import SightlineClient, SightlineError


def main(environment: Mapping[str, str]) -> int:
    """0 when all of it is in; 1 when a step did not do what it says; 130 when interrupted."""
    console = out.make_console()
    try:
        asyncio.run(_load(console, _gateway(environment)))
    except KeyboardInterrupt:
        out.say(console, "Interrupted; what was loaded stays, and `make wines` goes on.", "yellow")
        return 130
    except (LoadingFailed, SightlineError, SuiteError, OSError) as error:
        out.say(console, f"error: {error}", "bold red")
        return 1
    return 0


def _gateway(environment: Mapping[str, str]) -> str:
    suite = from_environment("status", environment)
    if not suite.running():
        raise SuiteError(f"no suite runs in {suite.layout.data}: start one with `make up`")
    return suite.addresses()["gateway"]


async def _load(console: Console, target: str) -> None:
    wines, ratings = load_wines(), load_ratings()
    async with SightlineClient(target, timeout=30) as client:
        await loading.import_wines(client, wines)
        out.say(console, f"  {len(wines)} wines with photos are stored")
        seconds = await loading.wait_indexed(client, len(wines))
        out.say(console, f"  all can be found ({seconds:.0f} s later)")
        await loading.import_ratings(client, ratings)
        out.say(console, f"  {len(ratings)} ratings are stored; they count in the next answer")
        version = await loading.train(client)
        await loading.promote(client, version)
        out.say(console, f"  model {version} learned from them and serves")


if __name__ == "__main__":
    sys.exit(main(os.environ))

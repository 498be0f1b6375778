"""Loads the wines into a running suite: 100 products with photos, and 1,000 ratings.

`python -m examples.wines.load` finds the suite as `make up` does, by DATA and GATEWAY_ADMIN_PORT;
with `--target HOST:PORT` it is that of another gateway, by its administrative port. It
authenticates like `sightline`, by SIGHTLINE_TOKEN_FILE or SIGHTLINE_TOKEN. It is idempotent: a
second run changes nothing.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer
from rich.console import Console

from examples.wines import loading
from examples.wines.catalogue import load_ratings, load_wines
from examples.wines.demo import console as out
from examples.wines.loading import LoadingFailed
from local_suite.__main__ import from_environment
from local_suite.model import HOST, SuiteError
from sightline_client import SightlineClient, SightlineError
from sightline_client.cli.base import access_token


def main(environment: Mapping[str, str], arguments: Sequence[str] = ()) -> int:
    """Load the wines. Return 0 if all were loaded, 1 if a step failed, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="python -m examples.wines.load", description=__doc__)
    parser.add_argument("--target", metavar="HOST:PORT", help="default: the suite of `make up`")
    target = parser.parse_args(arguments).target
    console = out.make_console()
    try:
        asyncio.run(load(console, target or _gateway(environment), token_of(environment)))
    except KeyboardInterrupt:
        out.say(
            console, "Interrupted; loaded data stay. Run `make wines` again to continue.", "yellow"
        )
        return 130
    except (LoadingFailed, SightlineError, SuiteError, OSError, typer.BadParameter) as error:
        out.say(console, f"error: {error}", "bold red")
        return 1
    return 0


def _gateway(environment: Mapping[str, str]) -> str:
    suite = from_environment("status", environment)
    if not suite.running():
        raise SuiteError(f"no suite runs in {suite.layout.data}: start one with `make up`")
    port = environment.get("GATEWAY_ADMIN_PORT", "").lstrip("0")  # it answers all calls
    return f"{HOST}:{port}" if port else suite.addresses()["gateway"]


def token_of(environment: Mapping[str, str]) -> str | None:
    """Return the token to load with; None if the suite requires none. Raises BadParameter."""
    token, file = (environment.get(f"SIGHTLINE_TOKEN{end}") or None for end in ("", "_FILE"))
    return access_token.of(token, file and Path(file))


async def load(console: Console, target: str, token: str | None) -> None:
    """Load the wines step by step. Raises LoadingFailed, SightlineError."""
    wines, ratings = load_wines(), load_ratings()
    async with SightlineClient(target, timeout=30, token=token) as client:
        await loading.import_wines(client, wines)
        out.say(console, f"  {len(wines)} wines with photos are stored")
        seconds = await loading.wait_indexed(client, len(wines))
        out.say(console, f"  all can be found ({seconds:.0f} s later)")
        await loading.import_ratings(client, ratings)
        out.say(console, f"  {len(ratings)} ratings are stored; they count in the next answer")


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.argv[1:]))

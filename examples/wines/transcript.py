"""A separate suite, filled with the wines, in which a transcript runs."""

import argparse
import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console

from examples.wines import loading
from examples.wines.catalogue import load_ratings, load_wines
from examples.wines.demo import console as out
from examples.wines.loading import LoadingFailed
from examples.wines.local import own_suite, terminable
from examples.wines.shell import Shell, TranscriptFailed
from local_suite.model import SuiteError
from sightline_client import SightlineClient, SightlineError

Play = Callable[[Console, Shell], None]
"""The commands. Raises TranscriptFailed if one does not behave as expected."""


def run(
    program: str,
    about: str | None,
    arguments: Sequence[str],
    play: Play,
    *,
    rated: bool,
    vision: bool = False,
) -> int:
    """Return 0 if every command behaved as expected, 1 if one did not, 130 if interrupted.

    `rated`: with the ratings as events. `vision`: with the service of cameras.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    parser.parse_args(arguments)
    console = out.make_console()
    try:
        report = partial(out.say, console, style="dim")
        with terminable(), own_suite(report, vision=vision) as suite:
            target = suite.addresses()["gateway"]
            asyncio.run(_fill(console, target, rated=rated))
            play(console, Shell(console, target, suite.layout.data))
    except KeyboardInterrupt:
        out.say(console, "Interrupted; everything that was started is stopped.", "yellow")
        return 130
    except (LoadingFailed, TranscriptFailed, SightlineError, SuiteError, OSError) as error:
        out.say(console, f"The transcript failed: {error}", "bold red")
        return 1
    out.say(console, "Done; everything is stopped again.")
    return 0


async def _fill(console: Console, target: str, *, rated: bool) -> None:
    wines = load_wines()
    async with SightlineClient(target, timeout=30) as client:
        with out.progress(console, "importing wines and photos", len(wines)) as move:
            await loading.import_wines(client, wines, move)
        with out.progress(console, "waiting for the index", len(wines)) as move:
            await loading.wait_indexed(client, len(wines), move)
        if rated:
            ratings = load_ratings()
            with out.progress(console, "importing ratings as events", len(ratings)) as move:
                await loading.import_ratings(client, ratings, move)

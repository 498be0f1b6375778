"""Starts a suite with the wines and takes the pictures of README and docs."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from examples.wines.demo import console as out
from examples.wines.demo.model import DemoFailed
from examples.wines.loading import LoadingFailed, load_wines, train
from examples.wines.local import own_suite, terminable
from examples.wines.pictures import answers, board, diagrams, split, tour
from examples.wines.pictures.camera import FOLDER, Camera, chromium
from examples.wines.pictures.prometheus import watching
from examples.wines.pictures.shoppers import busy
from examples.wines.scenes.__main__ import fill, play
from local_suite.model import SuiteError
from local_suite.suite import Suite
from sightline_client import SightlineClient, SightlineError

ALL = ("answers", "dashboard", "console", "experiment", "diagrams")


def main(arguments: Sequence[str]) -> int:
    """Return 0 when all pictures are written, 1 when one is not, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m examples.wines.pictures", description=__doc__)
    parser.add_argument("only", nargs="*", help=f"some of them: {', '.join(ALL)}; default: all")
    asked = set(parser.parse_args(arguments).only or ALL)
    console = out.make_console()
    try:
        with terminable(), tempfile.TemporaryDirectory(prefix="sightline-") as folder:
            _take(console, Path(folder), asked)
    except KeyboardInterrupt:
        out.say(console, "Interrupted; everything that was started is stopped.", "yellow")
        return 130
    except (DemoFailed, LoadingFailed, SightlineError, SuiteError, OSError) as error:
        out.say(console, f"No pictures: {error}", "bold red")
        return 1
    for path in sorted(FOLDER.rglob("*.*")):
        out.say(console, f"{path.stat().st_size:>8,} bytes  {path}")
    return 0


def _take(console: Console, folder: Path, asked: set[str]) -> None:
    seen = panels = None
    if asked & {"answers", "dashboard", "console"}:
        report = partial(out.say, console, style="dim")
        with own_suite(report) as suite:
            seen, panels = asyncio.run(_watched(console, suite, folder, asked))
            if "console" in asked:
                with tour.served(suite, "default", report) as address, chromium() as browser:
                    tour.take(browser, Camera(browser, FOLDER), address, load_wines(), folder)
    with chromium() as browser:
        camera = Camera(browser, FOLDER)
        if seen is not None:
            answers.take(camera, seen, folder)
        if panels is not None:
            board.take(camera, panels)
        if "experiment" in asked:
            split.take(camera)
        if "diagrams" in asked:
            diagrams.take(browser)


async def _watched(
    console: Console, suite: Suite, folder: Path, asked: set[str]
) -> tuple[answers.Seen | None, list[board.Panel] | None]:
    """Fill the suite, send requests, and return its answers and Prometheus' data."""
    gateway, wines, seen = suite.addresses()["gateway"], load_wines(), None
    story = await play(console, gateway) if "answers" in asked else None
    async with SightlineClient(gateway, timeout=30) as client:
        if story is None:
            await fill(console, client, wines)
        else:
            seen = await answers.ask(client, wines, story.scenes, story.photos)
        if "console" in asked:
            await train(client)
            await tour.shop(client)
        if "dashboard" not in asked:
            return seen, None
        out.say(console, "Shoppers send requests for two minutes.")
        with watching(suite, folder) as prometheus:  # from here on: starting up is no day's work
            since, until = await busy(client, wines)
            return seen, await asyncio.to_thread(board.panels, prometheus, since, until)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

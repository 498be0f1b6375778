"""Starts a suite, fills it, shows what it does, writes a page, stops everything."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from examples.wines import loading
from examples.wines.catalogue import Rating, Wine, load_ratings, load_wines
from examples.wines.demo import console as out
from examples.wines.demo import page, scenes
from examples.wines.demo.evidence import evidence
from examples.wines.demo.measures import VIEWS
from examples.wines.demo.model import DemoFailed, Scene, Story
from examples.wines.demo.outage import outage
from examples.wines.loading import LoadingFailed
from examples.wines.local import own_suite, terminable
from local_suite.model import SuiteError
from local_suite.suite import Suite
from sightline_client import SightlineClient, SightlineError

PAGE = Path(".data/demo/demo.html")

HONESTY = (
    "1,000 ratings by 636 people show that everything works. They are far too few to measure the "
    "quality of recommendations."
)


def main(arguments: Sequence[str]) -> int:
    """Run the demo. Return 0 if every step succeeded, 1 if one failed, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="python -m examples.wines.demo", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE, help="file of the page")
    options = parser.parse_args(arguments)
    console = out.make_console()
    since = time.monotonic()
    try:
        report = partial(out.say, console, style="dim")
        with terminable(), own_suite(report, with_console=True) as suite:
            story = asyncio.run(_play(console, suite))
            page.write(options.page, lead=story.lead, scenes=story.scenes, photos=story.photos)
            took = time.monotonic() - since
            out.say(
                console, f"The same as a page, with the photos: {options.page.resolve()}", "bold"
            )
            out.offer(console, suite.console)
    except KeyboardInterrupt:
        out.say(console, "Interrupted; everything that was started is stopped.", "yellow")
        return 130
    except (DemoFailed, LoadingFailed, SightlineError, SuiteError, OSError) as error:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        out.say(console, f"The demo failed: {error}{notes}", "bold red")
        return 1
    out.say(console, f"Done in {took:.0f} s; everything is stopped again.")
    return 0


async def _play(console: Console, suite: Suite) -> Story:
    wines, ratings = load_wines(), load_ratings()
    async with SightlineClient(suite.addresses()["gateway"], timeout=30) as client:
        await _fill(console, client, wines, ratings)
        shown = await _scenes(console, client, suite, wines, ratings)
        photos = await page.photos(client, shown)
    console.print()
    out.say(console, HONESTY)
    lead = (
        "Four separate gRPC services, a real Triton server and a real Milvus engine answered"
        " everything below on this machine, without a trained model.",
        HONESTY,
    )
    return Story(lead, tuple(shown), photos)


async def _fill(
    console: Console, client: SightlineClient, wines: Sequence[Wine], ratings: Sequence[Rating]
) -> None:
    with out.progress(console, "importing wines and photos", len(wines)) as move:
        token = await loading.import_wines(client, wines, move)
    with out.progress(console, "waiting for the index", len(wines)) as move:
        await loading.wait_indexed(client, len(wines), move)
    # The promise of an index token, kept: a search that names the last write is answered.
    await client.search(products=wines[-1].id, min_index_token=token)
    with out.progress(console, "importing ratings as events", len(ratings)) as move:
        await loading.import_ratings(client, ratings, move)
    out.say(console, HONESTY)


async def _scenes(
    console: Console,
    client: SightlineClient,
    suite: Suite,
    wines: Sequence[Wine],
    ratings: Sequence[Rating],
) -> list[Scene]:
    shown: list[Scene] = []

    def show(scene: Scene) -> None:
        out.scene(console, scene)
        shown.append(scene)

    show(await scenes.photo(client, wines))
    with out.progress(console, "searching with 300 changed photos", 3 * len(wines)) as move:
        hit_rates = await scenes.hit_rates(client, wines, move)
    show(hit_rates)
    show(await scenes.filtered(client, wines))
    show(await scenes.similar(client, wines))
    show(await scenes.customer(client, wines, ratings))
    with out.progress(console, f"newcomers after {VIEWS} views", 5) as move:
        newcomer = await scenes.newcomer(client, wines, move)
    show(newcomer)
    with out.progress(console, "training a LightFM model", 1) as move:
        model_version = await loading.train(client, move)
    show(await evidence(client, model_version))
    show(await outage(client, suite, wines))
    return shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

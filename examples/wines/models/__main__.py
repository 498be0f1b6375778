"""Trains, evaluates, promotes, asks as a newcomer and rolls back, and prints what each said."""

import argparse
import asyncio
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from examples.wines import loading
from examples.wines.catalogue import load_ratings, load_wines
from examples.wines.demo import console as out
from examples.wines.loading import LoadingFailed
from examples.wines.local import own_suite, terminable
from local_suite.model import SuiteError
from sightline_client import SightlineClient, SightlineError

SIGHTLINE = Path(sys.executable).with_name("sightline")

NEWCOMER = "newcomer"
LIKES = "Rosé"
"""What the newcomer looks at."""
PAGE = Path(".data/demo/evaluation.html")


class TranscriptFailed(Exception):
    """A command did not do what it should."""


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs commands of `sightline` and prints them with what they say."""

    console: Console
    target: str

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """The command's output; TranscriptFailed unless it ends with `code`."""
        self.console.print()
        out.say(self.console, f"$ sightline {shlex.join(arguments)}", "bold")
        ran = self._run(arguments)
        for text in (ran.stdout, ran.stderr):
            if text.strip():
                out.say(self.console, text.rstrip())
        if ran.returncode != code:
            raise TranscriptFailed(f"it ended with {ran.returncode} and not with {code}")
        return ran.stdout + ran.stderr

    def facts(self, *arguments: str) -> Any:
        """What a command says as JSON, not printed."""
        return json.loads(self._run((*arguments, "--json")).stdout)

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = (str(SIGHTLINE), *arguments, "--target", self.target)
        return subprocess.run(command, capture_output=True, text=True, check=False)


def main(arguments: Sequence[str]) -> int:
    """0 when every command did what it should; 1 when one did not; 130 when interrupted."""
    argparse.ArgumentParser(prog="python -m examples.wines.models", description=__doc__).parse_args(
        arguments
    )
    console = out.make_console()
    try:
        with terminable(), own_suite(lambda line: out.say(console, line, "dim")) as suite:
            target = suite.addresses()["gateway"]
            asyncio.run(_fill(console, target))
            play(console, Shell(console, target))
    except KeyboardInterrupt:
        out.say(console, "Interrupted; everything that was started is stopped.", "yellow")
        return 130
    except (LoadingFailed, TranscriptFailed, SightlineError, SuiteError, OSError) as error:
        out.say(console, f"The transcript failed: {error}", "bold red")
        return 1
    out.say(console, "Done; everything is stopped again.")
    return 0


async def _fill(console: Console, target: str) -> None:
    wines, ratings = load_wines(), load_ratings()
    async with SightlineClient(target, timeout=30) as client:
        with out.progress(console, "importing wines and photos", len(wines)) as move:
            await loading.import_wines(client, wines, move)
        with out.progress(console, "waiting for the index", len(wines)) as move:
            await loading.wait_indexed(client, len(wines), move)
        with out.progress(console, "importing ratings as events", len(ratings)) as move:
            await loading.import_ratings(client, ratings, move)


def play(console: Console, shell: Shell) -> None:
    """The transcript. TranscriptFailed where a command does not do what it should."""

    def note(text: str) -> None:
        console.print()
        out.say(console, text, "cyan")

    note("A first model is trained and measured. 1,000 ratings by 636 people prove nothing:")
    shell("models", "train", "--seed", "1", "--promote", code=1)
    first = _newest(shell)
    note("The whole evidence, with the last ratings of each person as an appendix, and as a page:")
    told = shell("models", "evaluate", first, "--html", str(PAGE))
    _require("INCONCLUSIVE" in told, "so few people were taken for evidence")
    note("Without a model similarity and popularity serve. Somebody who knows better may force it:")
    shell("models", "promote", first, "--force")

    note("A newcomer, whom no model has seen, asks before any view, after one and after three:")
    viewed = [wine for wine in load_wines() if wine.type == LIKES][:3]
    found = [_ask(shell)]
    for views in (viewed[:1], viewed[1:]):
        _view(shell, [wine.id for wine in views])
        found.append(_ask(shell))
    kinds = {wine.id for wine in load_wines() if wine.type == LIKES} - {one.id for one in viewed}
    places = [_mean_place(answer, kinds) for answer in found]
    out.say(
        console,
        f"Mean place of the {len(kinds)} {LIKES} wines that were not viewed, of all 100: "
        + " → ".join(f"{place:.1f}" for place in places),
        "bold",
    )
    _require(places[-1] < places[0], f"three views of {LIKES} moved no {LIKES} up")

    note("A second model takes its place, and one call brings the first one back:")
    shell("models", "train", "--seed", "2", "--promote", "--force")
    second = _newest(shell)
    shell("models", "rollback")
    shell("models", "list")
    serving = [one for one in _models(shell) if one["state"] == "STATE_PROMOTED"]
    _require([one["modelVersion"] for one in serving] == [first], f"{second} serves still")


def _ask(shell: Shell) -> list[str]:
    """What the newcomer is shown, and the order of the whole catalogue."""
    shell("recommend", "--visitor", NEWCOMER, "--top", "5")
    answer = shell.facts("recommend", "--visitor", NEWCOMER, "--top", "100")
    return [one["product"]["productId"] for one in answer["results"]]


def _view(shell: Shell, products: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "views.csv"
        rows = [f"view-{product},VIEW,{product},{NEWCOMER}" for product in products]
        file.write_text("\n".join(["event_id,type,product_id,visitor_id", *rows]) + "\n")
        shell("events", "import", str(file))


def _mean_place(answer: Sequence[str], products: set[str]) -> float:
    places = [answer.index(product) + 1 for product in products if product in answer]
    return sum(places) / max(len(places), 1)


def _models(shell: Shell) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shell.facts("models", "list")["models"]
    return found


def _newest(shell: Shell) -> str:
    return str(_models(shell)[0]["modelVersion"])


def _require(holds: bool, failure: str) -> None:
    if not holds:
        raise TranscriptFailed(failure)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

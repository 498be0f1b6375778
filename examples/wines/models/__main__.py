"""Trains, evaluates, requests a newcomer's answers, promotes and rolls back, and prints each
output.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from examples.wines import transcript
from examples.wines.catalogue import load_wines
from examples.wines.demo import console as out
from examples.wines.shell import Shell, TranscriptFailed

NEWCOMER = "newcomer"
LIKES = "Rosé"
"""Type of wine that the newcomer views."""
PAGE = Path(".data/demo/evaluation.html")


def play(console: Console, shell: Shell) -> None:
    """Print the transcript. Raise TranscriptFailed if a command does not behave as expected."""

    def note(text: str) -> None:
        console.print()
        out.say(console, text, "cyan")

    note("A first model is trained and measured. 1,000 ratings by 636 people prove nothing:")
    shell("models", "train", "--seed", "1", "--promote")
    first = _newest(shell)
    note("The whole evidence, with the last ratings of each person as an appendix, and as a page:")
    evaluated = shell("models", "evaluate", first, "--html", str(PAGE))
    unproven = "INCONCLUSIVE" in evaluated or "FAILED" in evaluated
    _require(unproven, "so few people were accepted as evidence")
    note(
        "Without a model, answers follow what a shopper did. Those for a newcomer, before any "
        "view, after one and after three:"
    )
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

    note(
        "An operator may force the promotion. A second model replaces the first, and one call "
        "restores that:"
    )
    shell("models", "promote", first, "--force")
    shell("models", "train", "--seed", "2", "--promote", "--force")
    second = _newest(shell)
    shell("models", "rollback")
    shell("models", "list")
    serving = [one for one in _models(shell) if one["state"] == "STATE_PROMOTED"]
    _require([one["modelVersion"] for one in serving] == [first], f"{second} serves still")


def _ask(shell: Shell) -> list[str]:
    """Show a newcomer's products. Return the order of the whole catalog."""
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
    sys.exit(transcript.run("examples.wines.models", __doc__, sys.argv[1:], play, rated=True))

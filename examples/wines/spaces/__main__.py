"""Fits a space on the wines, whose promotion is rejected and then forced, rolls it out and back."""

import sys

from rich.console import Console

from examples.wines import transcript
from examples.wines.catalogue import load_wines
from examples.wines.demo import console as out
from examples.wines.shell import Shell, TranscriptFailed

BACKBONE = "efficientnet_lite0"
"""The fastest backbone, as this demo shows the procedure and not the best accuracy."""


def play(console: Console, shell: Shell) -> None:
    """Print the transcript. Raise TranscriptFailed if a command does not behave as expected."""

    def note(text: str) -> None:
        console.print()
        out.say(console, text, "cyan")

    note(
        "100 wines with one photo each can't prove that a space is better: it is fitted, and "
        "not promoted."
    )
    shell("spaces", "fit", "--backbone", BACKBONE, "--promote", code=1)
    made = next(each for each in _spaces(shell) if each["state"] == "SPACE_STATE_CANDIDATE")
    model, version = made["model"], made["version"]
    shell("spaces", "show", model)

    note("An operator may force the promotion. Searches do not use the space yet.")
    shell("spaces", "promote", model, "--force")
    note("The index is rolled out to it, while searches continue with the former one.")
    shell("index", "upgrade", "--version", model)
    wine = load_wines()[0]
    shell("search", "--image", str(wine.image), "--top", "3")
    asked = shell.facts("search", "--image", str(wine.image), "--top", "3")
    used = [each["version"] for each in asked["versions"]["spaces"] if each["space"] == "visual"]
    _require(used == [version], "the search used the new space")

    note("A space that an index generation uses cannot be retired.")
    shell("spaces", "retire", model, code=1)
    note("So go back to the former generation, drop the new one, and retire the space.")
    shell("index", "rollback")
    standing = [
        each["name"]
        for each in shell.facts("index", "list")["generations"]
        if each["spaceVersion"] == version
    ]
    for name in standing:
        shell("index", "drop", name)
    shell("spaces", "retire", model)
    shell("spaces", "list", "--all")


def _spaces(shell: Shell) -> list[dict[str, str]]:
    found: list[dict[str, str]] = shell.facts("spaces", "list", "--all")["spaces"]
    return found


def _require(shown: bool, what: str) -> None:
    if not shown:
        raise TranscriptFailed(f"it was not shown that {what}")


if __name__ == "__main__":
    sys.exit(transcript.run("examples.wines.spaces", __doc__, sys.argv[1:], play, rated=False))

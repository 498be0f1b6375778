"""Commands of `sightline`, run and printed as in a terminal."""

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from examples.wines.demo import console as out

SIGHTLINE = Path(sys.executable).with_name("sightline")


class TranscriptFailed(Exception):
    """A command did not behave as expected."""


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell that runs commands of `sightline` and prints them with their output."""

    console: Console
    target: str
    data: Path = Path()
    """Folder with the suite's data and logs."""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run a command. Return its output. Raise TranscriptFailed unless it exits with `code`."""
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
        """Run a command and return its JSON, which is not printed."""
        return json.loads(self._run((*arguments, "--json")).stdout)

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = (str(SIGHTLINE), *arguments, "--target", self.target)
        return subprocess.run(command, capture_output=True, text=True, check=False)

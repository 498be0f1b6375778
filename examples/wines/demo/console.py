"""Prints the demo's progress and results."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from examples.wines.demo.model import Figures, Scene
from sightline_client.cli.show import tables

PIPED_WIDTH = 130


def make_console() -> Console:
    """Return a console as wide as the terminal, or PIPED_WIDTH without one."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)


@contextmanager
def progress(console: Console, what: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show a bar that the given function moves."""
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=total)

        def move(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of or total)

        yield move


def say(console: Console, text: str, style: str = "") -> None:
    """Print a paragraph."""
    console.print(Text(text, style=style))


def offer(console: Console, address: str) -> None:
    """Keep the suite for a browser until Enter is pressed; without a terminal, say how to get one
    that stays."""
    if not (console.is_terminal and sys.stdin.isatty()):
        say(console, "To try it in a browser: make demo on a terminal, or make up WINES=1.")
        return
    say(console, f"Try it in a browser: {address}", "bold")
    say(console, "The suite stops when you press Enter.")
    sys.stdin.readline()


def scene(console: Console, value: Scene) -> None:
    """Print a scene with its answers, figures and findings."""
    console.print()
    console.print(Rule(Text(value.title, style="bold"), align="left"))
    say(console, value.intro)
    for answer in value.answers:
        console.print()
        console.print(tables.answer(answer.recommendations, title=answer.title))
    for figures in value.figures:
        console.print()
        console.print(_figures(figures))
    for finding in value.findings:
        console.print(Text.assemble(("✓ ", "bold green"), finding))


def _figures(value: Figures) -> Group:
    table = Table(box=box.SIMPLE_HEAD, title=Text(value.title, style="bold"), title_justify="left")
    for place, header in enumerate(value.headers):
        table.add_column(header, justify="left" if place == 0 else "right")
    for row in value.rows:
        table.add_row(*(Text(cell) for cell in row))
    return Group(table, Text(value.caption, style="dim"))

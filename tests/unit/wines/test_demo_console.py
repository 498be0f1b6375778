"""The end of the demo: the console, while somebody at a terminal looks at it."""

import io
import os
from collections.abc import Iterator

import pytest
from rich.console import Console

from examples.wines.demo import console as out

ADDRESS = "http://127.0.0.1:12345"


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal as standard input. Its other end types."""
    typing, reading = os.openpty()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield typing
    os.close(typing)


def test_the_suite_stays_until_enter_is_pressed(keyboard: int) -> None:
    said = io.StringIO()
    os.write(keyboard, b"\nnext\n")
    out.offer(Console(file=said, force_terminal=True, width=100), ADDRESS)
    assert ADDRESS in said.getvalue()
    assert "press Enter" in said.getvalue()


@pytest.mark.usefixtures("keyboard")
def test_output_that_is_no_terminal_waits_for_nobody() -> None:
    said = io.StringIO()
    out.offer(Console(file=said, width=100), ADDRESS)
    assert ADDRESS not in said.getvalue()
    assert "make up WINES=1" in said.getvalue()


def test_input_that_is_no_terminal_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = io.StringIO("kept\n")
    monkeypatch.setattr("sys.stdin", typed)
    said = io.StringIO()
    out.offer(Console(file=said, force_terminal=True, width=100), ADDRESS)
    assert ADDRESS not in said.getvalue()
    assert typed.read() == "kept\n"

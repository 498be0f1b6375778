"""Line breaks of help in Chinese, whose words have no spaces between them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.containers import Lines
from rich.text import Text

_OPENING, _CLOSING = "（“‘《", "，。；：！？、）”’》…"
_WIDE = r"\u3400-\u9fff"
_UNIT = re.compile(
    rf"[{_OPENING}]*(?:[{_WIDE}]|[^\s{_WIDE}{_OPENING}{_CLOSING}]+|[{_CLOSING}])[{_CLOSING}]*\s*|\s+"
)
"""Text that stays on one line: a Chinese character or a word, with its punctuation."""


class _Flowing(Text):
    """A text that is broken between Chinese characters too."""

    def wrap(self, console: Console, width: int, **settings: Any) -> Lines:  # noqa: ARG002
        lines = Lines()
        for paragraph in self.split(allow_blank=True):
            lines.extend(paragraph.divide(breaks(paragraph.plain, width)))
        for line in lines:
            line.rstrip_end(width)
        return lines


def breaks(text: str, width: int) -> list[int]:
    """Return where lines of at most ``width`` cells begin, without the first."""
    found, used = [], 0
    for unit in _UNIT.finditer(text):
        word = unit[0].rstrip()
        if used and used + cell_len(word) > width:
            found.append(unit.start())
            used = 0
        begin = unit.start()
        *full, last = chop_cells(word, width) or [""]
        for part in full:
            begin += len(part)
            found.append(begin)
        used += cell_len(last) + len(unit[0]) - len(word)
    return found


@contextmanager
def flowing() -> Iterator[None]:
    """Break the lines of Typer's help in this way within the block."""
    from typer import rich_utils  # late: it reads the language when it is imported

    former = rich_utils.highlighter

    class Highlighter(rich_utils.OptionHighlighter):
        def __call__(self, text: str | Text) -> Text:
            made = super().__call__(text)
            return _Flowing(made.plain, style=made.style, spans=made.spans)

    rich_utils.highlighter = Highlighter()
    try:
        yield
    finally:
        rich_utils.highlighter = former

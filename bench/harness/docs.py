"""Writes a bench's tables into its page, between comments."""

from pathlib import Path

from bench.harness.model import BenchResult, BenchTable, PageBlock
from bench.harness.report import verdict


def write(name: str, result: BenchResult, path: Path) -> None:
    """Replace the text between the comments of the bench's blocks by their tables and goals. Do
    nothing without measurements. Raise ValueError if the page lacks the comments.
    """
    if not result.tables:
        return
    whole = {name: PageBlock(result.tables, result.goals)}
    text = path.read_text()
    for block, content in (whole if result.page is None else result.page).items():
        start, end = marks(block)
        before, found, rest = text.partition(start)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise ValueError(f"{path} has no {start} … {end}")
        text = f"{before}{start}\n{_shown(content)}\n{end}{after}"
    path.write_text(text)
    for picture, drawn in result.pictures.items():
        (path.parent / picture).write_text(drawn, encoding="utf-8")


def _shown(block: PageBlock) -> str:
    parts = [_markdown(table) for table in block.tables]
    if block.goals:
        parts.append("\n".join(f"- {verdict(goal)}" for goal in block.goals))
    return "\n\n".join(parts)


def marks(name: str) -> tuple[str, str]:
    """Return the comments before and after a block's tables; `name` is mostly the bench's."""
    return f"<!-- bench {name} -->", f"<!-- end of bench {name} -->"


def _markdown(table: BenchTable) -> str:
    rows = [table.headers, ("---",) * len(table.headers), *table.rows]
    lines = ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join((f"**{table.title}.** {table.caption}", "", *lines))

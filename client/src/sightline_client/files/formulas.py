"""Cells of CSV files that spreadsheet programs would run as formulas."""

import re

_RUN = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")


def escape(cell: str) -> str:
    """Put an apostrophe before a cell that would be run, or that looks like an escaped one."""
    return f"'{cell}" if _RUN.match(cell) else cell


def unescape(cell: str) -> str:
    """Return the cell that was escaped."""
    return cell[1:] if _ESCAPED.match(cell) else cell

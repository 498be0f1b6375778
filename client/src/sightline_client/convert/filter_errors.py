"""Errors in a filter's text, with their position."""

import re
import unicodedata


class FilterSyntaxError(ValueError):
    """Invalid filter text; ``column`` (from 0) is the position of the error."""

    def __init__(self, message: str, text: str, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        self.column = min(column, len(text))

    def __str__(self) -> str:
        return f"{self.message}\n{self.pointer}"

    @property
    def pointer(self) -> str:
        """The text with a caret under the error, up to 60 characters to either side."""
        flat = re.sub(r"\s", " ", self.text)
        start = max(0, self.column - 60)
        before = sum(
            1 + (unicodedata.east_asian_width(char) in "WF") for char in flat[start : self.column]
        )
        return f"  {flat[start : self.column + 60]}\n  {' ' * before}^"

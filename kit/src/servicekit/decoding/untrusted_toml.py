"""Parser of TOML texts of callers, in a confined process with a deadline and a memory limit.

Python's parser takes time that grows with the square of a key's levels: one key of 32,000 levels,
64 KiB, took 22 s. So lines and their dots are bounded before, and the process ends what remains.
"""

from typing import Any

from servicekit.admission import access
from servicekit.admission.fair_permits import Party
from servicekit.decoding.decoders import (
    Decoders,
    DecodingFailed,
    DecodingRefused,
    DecodingTimedOut,
    DecodingUnavailable,
    Turn,
)
from servicekit.decoding.toml_process import ENTRIES, decoded
from servicekit.errors import Unavailable

MOST_BYTES = 64 * 1024
"""Maximum size of a text in bytes."""
MOST_LINE = 400
"""Maximum number of characters in a line."""
MOST_DOTS = 100
"""Maximum number of dots in a line, in keys and elsewhere."""
SECONDS = 2.0
"""Maximum time to parse a text; within the limits above it takes half a second at most."""


class TomlInvalid(ValueError):
    """The text is not TOML, or exceeds a limit; the message begins with a verb."""


class TomlParserUnavailable(Unavailable, reason="PARSER_UNAVAILABLE"):
    """No process could be started to parse a text."""

    message = "no process could be started to parse the file: retry, and see the log"


class TomlParser:
    """A parser with one process, which is started on first use; for one event loop."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._process = Decoders(
            "servicekit.decoding.toml_process",
            1,
            seconds=seconds,
            memory_bytes=0,
            photo_bytes=MOST_BYTES,
            idle=0,
        )

    async def parse(self, text: str) -> dict[str, Any]:
        """Return the entries of a text. Raises TomlInvalid, TomlParserUnavailable."""
        content = text.encode()
        check_limits(text, len(content))
        try:
            turn = Turn(Party.of(access.about.get()))
            (size,), found = await self._process.run(b"", content, ENTRIES, turn)
        except DecodingRefused as error:
            raise TomlInvalid(str(error)) from None
        except DecodingUnavailable:
            raise TomlParserUnavailable from None
        except DecodingTimedOut:
            raise TomlInvalid("takes too long to parse: shorten it") from None
        except DecodingFailed:
            raise TomlInvalid("takes too much memory to parse, or crashes the parser") from None
        entries: dict[str, Any] = decoded(found[:size])
        return entries

    def close(self) -> None:
        """End the process."""
        self._process.close()


def check_limits(text: str, size: int) -> None:
    """Raise TomlInvalid for a text, of `size` bytes, that could take long to parse."""
    if size > MOST_BYTES:
        raise TomlInvalid(f"is longer than {MOST_BYTES} bytes")
    # Only a line feed ends a line of TOML; str.splitlines knows further ends, such as U+0085.
    for line in text.split("\n"):
        if len(line) > MOST_LINE:
            raise TomlInvalid(f"has a line of more than {MOST_LINE} characters")
        if line.count(".") > MOST_DOTS:
            raise TomlInvalid(f"has a line with more than {MOST_DOTS} dots")

"""What services wrote about themselves: a mistake that an answer hides stands in the log."""

from __future__ import annotations

import re

from local_suite.suite import Suite

_GUILTY = re.compile(r'"code": "(INTERNAL|UNKNOWN)"|Traceback \(most recent|"level": "critical"')
_ENGINES = frozenset({"triton", "milvus"})
"""They log in their own way."""
_LINE = 1_500


def marks(suite: Suite) -> dict[str, int]:
    """Where the log of each service ends now."""
    return {
        name: suite.log(name).stat().st_size
        for name in suite.programs
        if name not in _ENGINES and suite.log(name).exists()
    }


def guilty(suite: Suite, since: dict[str, int]) -> list[tuple[str, str]]:
    """Program and line of what no input may cause, written after the marks."""
    found = []
    for name, start in since.items():
        with suite.log(name).open("rb") as file:
            file.seek(start if suite.log(name).stat().st_size >= start else 0)
            found += [
                (name, line[:_LINE])
                for line in file.read().decode("utf-8", "replace").splitlines()
                if _GUILTY.search(line)
            ]
    return found

"""Names of callers, in bounded number, for series and sums of their own."""

from typing import Final

MOST_CALLERS: Final = 50
"""Maximum number of callers with a name of their own in a process; others share `OTHERS`."""
OTHERS: Final = "others"
JWT: Final = "jwt"


class CallerNames:
    """Names of the first callers of a process. Callers with a JWT, who may be shoppers, share
    one."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def of(self, caller: str) -> str:
        """Return the name under which a caller is counted."""
        name = JWT if caller.startswith(f"{JWT}:") else caller
        if name not in self._known and len(self._known) >= MOST_CALLERS:
            return OTHERS
        self._known.add(name)
        return name

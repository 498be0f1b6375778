"""Page tokens of lists: signed as they leave the suite, checked as they come back.

What a service gave is carried in ours, so that no caller can make one up for it.
"""

from dataclasses import dataclass
from typing import Any, Final

from servicekit.clock import Clock, now_micros
from servicekit.keyring import SignatureInvalid, SigningKeys
from servicekit.requests import PageTokenInvalid

GOOD_MICROS: Final = 86_400 * 1_000_000
"""How long one is good: a list that is read so slowly is another one by then."""


@dataclass(frozen=True, slots=True)
class ListTokens:
    """Tokens of one public call's lists, each good for its catalog alone."""

    method: str
    keys: SigningKeys
    clock: Clock = now_micros

    def opened(self, request: Any) -> str:
        """Return the token that the list's owner gave; empty: the first page.

        Raises PageTokenInvalid.
        """
        if not request.page_token:
            return ""
        try:
            token = self.keys().open(self._about(request), request.page_token, self.clock())
        except SignatureInvalid as error:
            raise PageTokenInvalid from error
        return token.decode()

    def sealed(self, request: Any, token: str) -> str:
        """Return the caller's token for an owner's token; empty: this is the last page."""
        end = self.clock() + GOOD_MICROS
        return token and self.keys().seal(self._about(request), token.encode(), end)

    def _about(self, request: Any) -> tuple[str, ...]:
        return ("list", self.method, request.catalog_id)

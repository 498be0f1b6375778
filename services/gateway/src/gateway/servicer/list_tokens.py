"""Page tokens of lists: signed when they leave the suite, verified when they return.

The token of the service is embedded, so that no caller can forge one.
"""

from dataclasses import dataclass
from typing import Any, Final

from servicekit.clock import Clock, now_micros
from servicekit.keys.keyring import SignatureInvalid, SigningKeys
from servicekit.rpc.requests import PageTokenInvalid

GOOD_MICROS: Final = 86_400 * 1_000_000
"""Lifetime of a token, in microseconds."""


@dataclass(frozen=True, slots=True)
class ListTokens:
    """Tokens of the lists of one public call, each valid for its catalog only."""

    method: str
    keys: SigningKeys
    clock: Clock = now_micros

    def opened(self, request: Any) -> str:
        """Return the list owner's token; empty for the first page.

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
        """Return the caller's token for an owner's token; empty for the last page."""
        end = self.clock() + GOOD_MICROS
        return token and self.keys().seal(self._about(request), token.encode(), end)

    def _about(self, request: Any) -> tuple[str, ...]:
        return ("list", self.method, request.catalog_id)

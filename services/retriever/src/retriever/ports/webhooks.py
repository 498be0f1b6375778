"""The network, as webhooks use it."""

from collections.abc import Callable, Mapping
from typing import Protocol


class Answer(Protocol):
    """Answer of a receiver."""

    @property
    def status(self) -> int: ...
    @property
    def accepted(self) -> bool: ...
    @property
    def retry_after(self) -> float: ...


class Post(Protocol):
    """Sender of messages. See `servicekit.outbound.posting`."""

    def check(self, uri: str) -> None:
        """Raise UriForbidden unless an address is allowed."""

    async def post(self, uri: str, headers: Callable[[], Mapping[str, str]], body: bytes) -> Answer:
        """Post a message. `headers`: called when it is sent. Raises UriForbidden,
        UriUnreadable."""

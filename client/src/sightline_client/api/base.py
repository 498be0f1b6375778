"""Base of the client's calls."""

from collections.abc import AsyncIterator

from grpc.aio import UnaryUnaryMultiCallable

from sightline_client.convert.to_wire import request
from sightline_client.transport.calls import A, Calls, P, Q, T
from sightline_client.transport.writing import BatchWriter


class Connected:
    """Calls to one catalog of a suite."""

    catalog: str
    timeout: float
    """Default timeout of a call, in seconds."""
    batch_timeout: float
    """Timeout for one batch of products or events, in seconds."""
    calls: Calls

    async def _call(
        self, method: UnaryUnaryMultiCallable[Q, A], request: Q, timeout: float | None
    ) -> A:
        """Call a method once and return its answer. ``timeout`` None = the client's own."""
        return await self.calls(method, request, self._deadline(timeout))

    def _pages(
        self, method: UnaryUnaryMultiCallable[P, T], request: P, timeout: float | None
    ) -> AsyncIterator[T]:
        """Yield the pages of a list. ``timeout`` is that of one page."""
        return self.calls.pages(method, request, self._deadline(timeout))

    async def _ask(
        self,
        method: UnaryUnaryMultiCallable[Q, A],
        kind: type[Q],
        timeout: float | None,
        /,
        **given: object,
    ) -> A:
        """Call a method once with these plain values in the fields of its request, and return its
        answer. InvalidRequest for a value that its field can't hold."""
        return await self._call(method, request(kind, self.catalog, given), timeout)

    def _ask_pages(
        self,
        method: UnaryUnaryMultiCallable[P, T],
        kind: type[P],
        timeout: float | None,
        /,
        **given: object,
    ) -> AsyncIterator[T]:
        """Yield the pages of a list. As ``_ask``."""
        return self._pages(method, request(kind, self.catalog, given), timeout)

    def _batch_deadline(self, timeout: float | None) -> float:
        return self.batch_timeout if timeout is None else timeout

    def _deadline(self, timeout: float | None) -> float:
        return self.timeout if timeout is None else timeout

    def _writer(self) -> BatchWriter:
        return BatchWriter(self.calls, self.catalog, self.batch_timeout)

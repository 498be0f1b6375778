"""Photos that a request holds, or names by their addresses."""

import contextlib
from collections.abc import AsyncIterator

from embedder.ports import Fetch
from servicekit.telemetry import Stages


@contextlib.asynccontextmanager
async def photo_of(
    photo: bytes | None, uri: str | None, fetch: Fetch, stages: Stages
) -> AsyncIterator[bytes]:
    """Provide a photo; if it is None, the file at its address, whose bytes are counted until the
    block ends. Raises as Fetch does."""
    if photo is not None:
        yield photo
        return
    async with contextlib.AsyncExitStack() as stack:
        with stages.measure("fetch"):
            found = await stack.enter_async_context(fetch.fetched(uri or ""))
        yield found

"""Whether a fitted space can be taken out of service: the embedder, which does it, has no index."""

from collections.abc import Awaitable, Callable, Sequence

from gateway.model.errors import SpaceInUse
from gateway.model.messages import Space


async def check_unused(
    wanted: str, spaces: Sequence[Space], holding: Callable[[str], Awaitable[Sequence[str]]]
) -> None:
    """Raise SpaceInUse while a generation uses a space, given by its version or model's name.

    `spaces` are those in service; of any other nothing is asked: taking it out changes nothing.
    `holding` names the generations of a version.
    """
    for state in spaces:
        named = bool(wanted) and wanted in {state.version, state.model}
        if named and (held := await holding(state.version)):
            raise SpaceInUse(held)

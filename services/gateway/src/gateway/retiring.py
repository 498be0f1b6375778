"""Whether a fitted space can be taken out of service: the embedder, which does it, has no index."""

from gateway.model import SpaceInUse
from gateway.ports import Index, Spaces


async def check_unused(catalog_id: str, wanted: str, spaces: Spaces, index: Index) -> None:
    """Raise SpaceInUse while a generation stands on a space, given by its version or model's name.

    Of a space that is not in service nothing is asked: taking it out changes nothing.
    """
    for state in await spaces.spaces(catalog_id):
        meant = bool(wanted) and wanted in {state.version, state.model}
        if meant and (held := await index.holding(catalog_id, state.version)):
            raise SpaceInUse(held)

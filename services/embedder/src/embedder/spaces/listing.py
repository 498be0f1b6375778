"""What spaces there are: those that serve, and a catalog's fitted ones as they were fitted."""

from dataclasses import dataclass

from embedder.domain.manifest import Manifest, ServingState
from embedder.domain.models import VISUAL, SpaceState
from embedder.ports import Record
from embedder.serving.versions import Spaces


@dataclass(frozen=True, slots=True)
class Listed:
    """A space as it is now, as it was fitted, or both."""

    state: SpaceState | None
    """None = its model does not answer."""
    fitted: Manifest | None = None
    """None = it was not fitted, or its manifest can't be read."""
    standing: ServingState = ServingState.SERVING

    @property
    def space(self) -> str:
        """Its name."""
        return VISUAL if self.state is None else self.state.space


@dataclass(frozen=True, slots=True)
class Listing:
    """Lists the spaces of a catalog."""

    spaces: Spaces
    record: Record

    async def listed(
        self, catalog: str, seconds: float | None, *, include_all: bool
    ) -> list[Listed]:
        """Return them by the space's name, its default version first, fitted ones newest first.

        Within `seconds` (None: no end). `include_all`: candidates and retired ones too.
        """
        states = await self.spaces.states(catalog, seconds)
        fitted = {each.name: (each, where) for each, where in await self.record.spaces(catalog)}
        listed = [Listed(state, *fitted.pop(state.model, (None,))) for state in states]
        listed += [
            Listed(None, found, standing)
            for found, standing in fitted.values()
            if include_all or standing is ServingState.SERVING
        ]
        return sorted(listed, key=lambda each: each.space)

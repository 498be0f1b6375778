"""List of spaces: serving ones, and the fitted ones of a catalog."""

from dataclasses import dataclass

from embedder.domain.manifest import ServingState, SpaceManifest
from embedder.domain.models import VISUAL, SpaceStatus
from embedder.ports import SpaceRecord
from embedder.serving.model_routes import ServedSpaces


@dataclass(frozen=True, slots=True)
class ListedSpace:
    """A space as it is now, as it was fitted, or both."""

    state: SpaceStatus | None
    """`None` if its model does not answer."""
    fitted: SpaceManifest | None = None
    """`None` if it was not fitted, or its manifest can't be read."""
    standing: ServingState = ServingState.SERVING

    @property
    def space(self) -> str:
        """Its name."""
        return VISUAL if self.state is None else self.state.space


@dataclass(frozen=True, slots=True)
class SpaceListing:
    """Lists the spaces of a catalog."""

    spaces: ServedSpaces
    record: SpaceRecord

    async def listed(
        self, catalog: str, seconds: float | None, *, include_all: bool
    ) -> list[ListedSpace]:
        """Return them by the space's name, its default version first, fitted ones newest first.

        Within `seconds` (None: no end). `include_all`: candidates and retired ones too.
        """
        states = await self.spaces.states(catalog, seconds)
        fitted = {each.name: (each, where) for each, where in await self.record.spaces(catalog)}
        listed = [ListedSpace(state, *fitted.pop(state.model, (None,))) for state in states]
        listed += [
            ListedSpace(None, found, standing)
            for found, standing in fitted.values()
            if include_all or standing is ServingState.SERVING
        ]
        return sorted(listed, key=lambda each: each.space)

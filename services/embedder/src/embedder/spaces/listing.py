"""List of spaces: serving ones, and the fitted ones of a catalog."""

from dataclasses import dataclass

from embedder.domain.manifest import ServingState, SpaceManifest
from embedder.domain.models import VISUAL, SpaceStatus
from embedder.ports import SpaceRecord
from embedder.serving.model_routes import ServedSpaces


@dataclass(frozen=True, slots=True)
class ListedSpace:
    """A space with its model's state, its manifest, or both."""

    state: SpaceStatus | None
    """State of its model; `None` if it is not served."""
    fitted: SpaceManifest | None = None
    """Its manifest; `None` if it was not fitted, or the manifest can't be read."""
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
        """Return the spaces by name, the default version first, fitted ones newest first.

        `seconds`: time limit; None: none. `include_all`: with candidates and retired ones.
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

"""Heat maps of detections: the parts of each box that make it similar to its product's photo."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from servicekit.errors import Code, ServiceError
from servicekit.tasks.parallel import in_parallel
from sightline_rules.photo_products import Detection
from vision.detection.degradations import cause_of
from vision.domain.detections import Degradation, DegradationCause, DetectionQuery, DrawnHeatMap
from vision.ports.detecting import DetectionPeers

STAGE: Final = "heat_maps"
"""Stage of an answer's timings and degradations in which heat maps are drawn."""
SIDE_BY_SIDE: Final = 4
"""Photos of products that are held and compared at once."""
SHARE: Final = 0.9
"""Share of the remaining time that heat maps may take: the rest of the answer follows them."""
LACKING: Final = "detections without a heat map"


@dataclass(frozen=True, slots=True)
class HeatMapDrawer:
    """Draws the heat maps of one request; what was drawn stays when it is cancelled."""

    query: DetectionQuery
    version: str
    """Version of the space in which the detections were searched."""
    peers: DetectionPeers
    drawn: dict[int, DrawnHeatMap] = field(default_factory=dict)
    """Heat maps by the detection's place."""
    lost: list[Degradation] = field(default_factory=list)

    async def draw(self, detections: Sequence[Detection]) -> None:
        """Draw those that the request asks for, at most as many as it allows.

        A heat map that fails is reported in `lost`. Raises HEAT_MAP_UNAVAILABLE, with which none
        can be drawn, and errors of the caller.
        """
        by_photo = defaultdict[str, list[int]](list)
        for place in chosen(self.query, detections):
            by_photo[detections[place].matched_image_id].append(place)
        turn = asyncio.Semaphore(SIDE_BY_SIDE)
        await in_parallel(
            *(
                self._with_photo(image_id, places, detections, turn)
                for image_id, places in by_photo.items()
            )
        )

    async def _with_photo(
        self,
        image_id: str,
        places: Sequence[int],
        detections: Sequence[Detection],
        turn: asyncio.Semaphore,
    ) -> None:
        """Draw the detections that matched one photo, one after the other."""
        async with turn:
            try:
                photo = await self.peers.retriever.photo(self.query.catalog_id, image_id)
            except ServiceError as error:
                if error.code is not Code.NOT_FOUND:  # it was deleted after the search
                    self._lose(DegradationCause.RETRIEVER_UNAVAILABLE, error)
                return
            for place in places:
                await self._one(place, detections[place], photo)

    async def _one(self, place: int, detection: Detection, photo: bytes) -> None:
        query = self.query
        try:
            self.drawn[place] = await self.peers.embedder.compare(
                *(query.catalog_id, query.photo, detection.box, photo),
                version=self.version,
                priority=query.priority,
            )
        except ServiceError as error:
            if error.reason == "HEAT_MAP_UNAVAILABLE":
                raise
            self._lose(DegradationCause.EMBEDDER_UNAVAILABLE, error)

    def _lose(self, otherwise: DegradationCause, error: ServiceError) -> None:
        """Note a failure. Raise the error if the caller caused it."""
        lost = Degradation(STAGE, cause_of(error, otherwise), LACKING)
        if lost not in self.lost:
            self.lost.append(lost)


def chosen(query: DetectionQuery, detections: Sequence[Detection]) -> list[int]:
    """Return the places of the detections that get a heat map."""
    asked = query.heat_maps
    if asked is None:
        return []
    wanted = frozenset(asked.product_ids)
    places = [
        place
        for place, each in enumerate(detections)
        if each.product_id and (not wanted or each.product_id in wanted)
    ]
    return places[: asked.most]

"""Use case: embed items, with a vector or an error for each."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from embedder.domain import errors
from embedder.domain.items import MAX_ITEMS, Embedding, Item, ItemOutcome, Priority
from embedder.domain.models import TEXT, VISUAL, SpaceStatus
from embedder.domain.urgency import asking
from embedder.embedding.call import EmbedCall, side_by_side
from embedder.embedding.fetched import photo_of
from embedder.embedding.photos import PhotoEmbedder
from embedder.embedding.pixel_budget import PixelBudget, counts
from embedder.embedding.texts import TextEmbedder
from embedder.ports import Fetch
from embedder.serving.model_routes import ServedSpaces, TimeLeft
from servicekit.admission.fair_permits import Party
from servicekit.errors import ServiceError
from servicekit.telemetry import Stages


@dataclass(frozen=True, slots=True)
class ItemEmbedder:
    """Use case: embed and classify items."""

    spaces: ServedSpaces
    photos: PhotoEmbedder
    texts: TextEmbedder
    fetch: Fetch
    budget: PixelBudget

    async def embed(
        self,
        items: Sequence[Item],
        catalog: str,
        priority: Priority,
        stages: Stages,
        seconds: float | None,
    ) -> list[ItemOutcome]:
        """Return one outcome for each item, in order. A failed item never fails the rest.

        Items not done after `seconds` (None: no limit) fail with DeadlinePassed. Raises
        BatchInvalid.
        """
        check_count(items)
        nothing_done = {place: errors.DeadlinePassed() for place in range(len(items))}
        call = EmbedCall(Party.of(catalog), priority, stages, dict(nothing_done))
        groups: dict[tuple[str, str], dict[int, Item]] = {}
        to_fetch: dict[int, Item] = {}
        for place, item in enumerate(items):
            try:
                space = self._check(item)
            except ServiceError as error:
                call.outcomes[place] = error
            else:
                call.photos += counts(item)
                if item.uri is not None:
                    to_fetch[place] = item
                else:
                    groups.setdefault((space, item.version), {})[place] = item
        # Outcomes of items that are finished in time stay; the others keep DeadlinePassed.
        with asking(priority), suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await side_by_side(
                    [self._given(groups, call)]
                    + [self._fetched(place, item, call) for place, item in to_fetch.items()]
                )
        return [call.outcomes[place] for place in range(len(items))]

    async def classify(
        self,
        items: Sequence[Item],
        catalog: str,
        priority: Priority,
        stages: Stages,
        seconds: float | None,
    ) -> list[ItemOutcome]:
        """Return classifications of photos, as `embed` does; each item must set `guesses`.

        Items without a version go to the catalog's newest fitted space with a head.
        """
        check_count(items)
        time = TimeLeft(seconds)
        newest = await self._newest_head(catalog, time)
        outcomes: dict[int, ItemOutcome] = {}
        asked: dict[int, Item] = {}
        for place, item in enumerate(items):
            if item.text is not None:
                outcomes[place] = errors.SpaceUnavailable("only photos can be classified")
            elif item.version:
                asked[place] = item
            elif isinstance(newest, str):
                asked[place] = replace(item, version=newest)
            else:
                outcomes[place] = newest
        if asked:
            found = await self.embed([*asked.values()], catalog, priority, stages, time.left())
            outcomes |= zip(asked, map(_classified, found), strict=True)
        return [outcomes[place] for place in range(len(items))]

    async def _newest_head(self, catalog: str, time: TimeLeft) -> str | ServiceError:
        try:
            async with asyncio.timeout(time.left()):
                return await self.spaces.classifier(catalog)
        except TimeoutError:
            return errors.DeadlinePassed()
        except ServiceError as error:
            return error

    async def categories(self, state: SpaceStatus) -> Sequence[tuple[str, ...]]:
        """Return the full paths of a version's categories; empty while they can't be read."""
        if state.known is None or not state.known.categories:
            return ()
        try:
            return await self.photos.names.categories(state.model)
        except errors.ClassifierUnavailable:
            return ()

    def _check(self, item: Item) -> str:
        """Return the space of an item; raise if it is invalid."""
        if item.text is not None:
            self.texts.check(item)
            space = item.space or TEXT
            takes = {TEXT, VISUAL}
        elif item.photo is None and item.uri is None:
            raise errors.ItemEmpty
        else:
            self.photos.check(item)
            space = item.space or VISUAL
            takes = {VISUAL}
        if space not in takes:
            raise errors.SpaceUnavailable(
                f"items of this kind can be embedded only in {' or '.join(sorted(takes))}"
            )
        self.spaces.check(space)
        return space

    async def _given(
        self, groups: Mapping[tuple[str, str], dict[int, Item]], call: EmbedCall
    ) -> None:
        """Embed what the request holds, if its photos are within the budget."""
        given = {place: item for group in groups.values() for place, item in group.items()}
        for place in await self.budget.take(given, call):
            for group in groups.values():
                group.pop(place, None)
        await side_by_side(
            [self._group(group, *asked, call) for asked, group in groups.items() if group]
        )

    async def _fetched(self, place: int, item: Item, call: EmbedCall) -> None:
        """Fetch and embed a photo, without delaying other items."""
        try:
            route = await self.spaces.route(item.space or VISUAL, item.version, call.catalog)
            async with photo_of(None, item.uri, self.fetch, call.stages) as photo:
                found = replace(item, photo=photo, uri=None)
                self.photos.check(found)
                if not await self.budget.take({place: found}, call):
                    await self.photos.embed({place: found}, route, call)
        except ServiceError as error:
            call.outcomes[place] = error

    async def _group(
        self, items: Mapping[int, Item], space: str, version: str, call: EmbedCall
    ) -> None:
        """Embed items of one version of a space."""
        try:
            route = await self.spaces.route(space, version, call.catalog)
        except ServiceError as error:
            call.lose(items, error)
            return
        texts = {place: item for place, item in items.items() if item.text is not None}
        photos = {place: item for place, item in items.items() if item.text is None}
        parts = []
        if texts:
            parts.append(self.texts.embed(texts, route, call))
        if photos:
            parts.append(self.photos.embed(photos, route, call))
        await side_by_side(parts)


def check_count(items: Sequence[Item]) -> None:
    """Raise BatchInvalid unless there are 1 to MAX_ITEMS items."""
    if not 1 <= len(items) <= MAX_ITEMS:
        raise errors.BatchInvalid(len(items))


def _classified(outcome: ItemOutcome) -> ItemOutcome:
    if isinstance(outcome, Embedding) and outcome.classification is None:
        return errors.ClassifierUnavailable(
            "this version has no head, or its categories can't be read: see EMBEDDER_SPACES"
        )
    return outcome

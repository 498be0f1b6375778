"""Texts to vectors, in the space of texts or, by a learned map, in a visual space."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from embedder.call import EMBEDDED, Call, side_by_side
from embedder.model import (
    MAX_TEXT,
    BoxInvalid,
    Embedding,
    Encode,
    Item,
    ModelNotReady,
    Sentences,
    SpaceUnavailable,
    TextInvalid,
    Tokens,
)
from embedder.space import TEXT, Answer
from embedder.turns import Queues
from embedder.versions import Route, Spaces
from servicekit import deadlines
from servicekit.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Texts:
    """What texts need."""

    spaces: Spaces
    queues: Queues
    encoder: Encode
    batch: int
    """Most texts in one inference, if the model takes as many."""

    def check(self, item: Item) -> None:
        """Refuse at once what can't be embedded. Raises TextInvalid or BoxInvalid."""
        if item.box is not None or item.find_subject:
            raise BoxInvalid("a text has no box and no subject")
        length = len(item.text or "")
        if not 1 <= length <= MAX_TEXT:
            raise TextInvalid(length)

    async def embed(self, items: Mapping[int, Item], route: Route, call: Call) -> None:
        """Embed texts, in groups side by side."""
        try:
            way = await self._way(route, call.catalog)
        except ServiceError as error:
            call.lose(items, error)
            return
        size = min(self.batch, way.first.described.max_batch)
        places = list(items)
        groups = [places[start : start + size] for start in range(0, len(places), size)]
        await side_by_side(
            self._in_turn({place: items[place].text or "" for place in group}, way, call)
            for group in groups
        )

    async def _way(self, route: Route, catalog: str) -> "_Way":
        """Say which models the texts go through. Raises SpaceUnavailable, and as Spaces.route."""
        if isinstance(route.described.recipe, Tokens):
            return _Way(route, route.described.recipe)
        mapped = await self.spaces.text_map(route)
        if mapped is None or not isinstance(mapped.described.recipe, Sentences):
            raise SpaceUnavailable(
                f"this version of {route.served.space} takes no texts: ListSpaces says which do"
            )
        first = await self.spaces.route(TEXT, mapped.described.recipe.version, catalog)
        if not isinstance(first.described.recipe, Tokens):
            raise ModelNotReady(f"{first.described.model} takes no texts")
        return _Way(first, first.described.recipe, mapped, route.version)

    async def _in_turn(self, group: Mapping[int, str], way: "_Way", call: Call) -> None:
        """Embed one group when its turn comes."""
        first = way.first.served
        try:
            queue = self.queues.of(first.model)
            with queue.place(call.priority, deadlines.remaining(), len(group)):
                answer = await self._answer(list(group.values()), way, call)
        except ServiceError as error:
            call.lose(group, error)
            return
        last = first if way.mapped is None else way.mapped.served
        EMBEDDED.labels(last.space, last.model).inc(len(group))
        for place, vector in zip(group, answer.vectors, strict=True):
            version = way.version or answer.version
            call.outcomes[place] = Embedding(last.space, version, vector)

    async def _answer(self, texts: Sequence[str], way: "_Way", call: Call) -> Answer:
        """Run the models one after the other."""
        with call.stages.measure("intake"):
            inputs = await self.encoder.encode(way.first.served.model, way.tokens, texts)
        with call.stages.measure("infer"):
            answer = await way.first.embed(inputs)
            if way.mapped is None:
                return answer
            return await way.mapped.embed({"sentence": answer.vectors})


@dataclass(frozen=True, slots=True)
class _Way:
    """The models that texts go through."""

    first: Route
    """To the one that takes tokens."""
    tokens: Tokens
    mapped: Route | None = None
    """To the one that takes the first one's vectors on into a visual space."""
    version: str = ""
    """The visual space's; empty = the first one's own."""

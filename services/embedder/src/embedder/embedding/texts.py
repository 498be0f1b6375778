"""Embedding of texts in the space of texts or, by a fitted text map, in a visual space."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from embedder.domain.errors import BoxInvalid, ModelNotReady, SpaceUnavailable, TextInvalid
from embedder.domain.items import MAX_TEXT, Embedding, Item, Priority
from embedder.domain.models import TEXT, Tensors
from embedder.domain.recipes import PairRecipe, Sentences, TextInput
from embedder.embedding.call import EMBEDDED, EmbedCall, side_by_side
from embedder.embedding.query_weights import weighted
from embedder.ports import Encode
from embedder.serving.model import VersionedVectors
from embedder.serving.model_routes import ServedSpaces, VersionRoute
from embedder.serving.priority import ModelQueues
from servicekit import deadlines
from servicekit.errors import ServiceError

EACH = 32
"""Tokens per text, with padding, in a full batch; batches of longer texts have fewer of them. 256
tokens take 60 ms of one core, for which a shopper's text may have to wait."""


@dataclass(frozen=True, slots=True)
class TextEmbedder:
    """Embeds texts."""

    spaces: ServedSpaces
    queues: ModelQueues
    encoder: Encode
    batch: int
    """Maximum number of texts in one inference; the model's own limit may be lower."""

    def check(self, item: Item) -> None:
        """Reject an invalid item. Raises TextInvalid or BoxInvalid."""
        if item.box is not None:
            raise BoxInvalid("a text accepts no box")
        length = len(item.text or "")
        if not 1 <= length <= MAX_TEXT:
            raise TextInvalid(length)

    async def embed(self, items: Mapping[int, Item], route: VersionRoute, call: EmbedCall) -> None:
        """Embed texts in groups: those of an import side by side, those of a request one after
        another, so that a request with many long texts leaves places to others."""
        try:
            way = await self._way(route, call.catalog)
        except ServiceError as error:
            call.lose(items, error)
            return
        try:
            with call.stages.measure("intake"):
                texts = [item.text or "" for item in items.values()]
                tokens = await self.encoder.encode(way.first.served.model, way.tokens, texts)
        except ServiceError as error:
            call.lose(items, error)
            return
        places = list(items)
        size = min(self.batch, way.first.described.max_batch)
        groups = [([places[row] for row in rows], some) for rows, some in grouped(tokens, size)]
        if call.priority is Priority.INTERACTIVE:
            for group, inputs in groups:
                await self._in_turn(group, inputs, way, call)
        else:
            await side_by_side(self._in_turn(*group, way, call) for group in groups)
        if way.mapped is None and isinstance(way.tokens, PairRecipe):
            for place, item in items.items():
                _weight(place, item, way.tokens, call)

    async def _way(self, route: VersionRoute, catalog: str) -> "_Way":
        """Return the models that embed the texts. Raises SpaceUnavailable, and as Spaces.route."""
        if isinstance(route.described.recipe, TextInput):
            return _Way(route, route.described.recipe)
        mapped = await self.spaces.text_map(route)
        if mapped is None or not isinstance(mapped.described.recipe, Sentences):
            raise SpaceUnavailable(
                f"this version of {route.served.space} does not accept texts: see ListSpaces"
            )
        first = await self.spaces.route(TEXT, mapped.described.recipe.version, catalog)
        if not isinstance(first.described.recipe, TextInput):
            raise ModelNotReady(f"{first.described.model} does not accept texts")
        return _Way(first, first.described.recipe, mapped, route.version)

    async def _in_turn(
        self, places: Sequence[int], inputs: Tensors, way: "_Way", call: EmbedCall
    ) -> None:
        """Wait in the queue, then embed one group."""
        first = way.first.served
        try:
            queue = self.queues.of(first.model)
            with queue.place(call.priority, call.party, deadlines.remaining(), len(places)):
                answer = await self._answer(inputs, way, call)
        except ServiceError as error:
            call.lose(places, error)
            return
        last = first if way.mapped is None else way.mapped.served
        EMBEDDED.labels(last.space, last.model).inc(len(places))
        for place, vector in zip(places, answer.vectors, strict=True):
            version = way.version or answer.version
            call.outcomes[place] = Embedding(last.space, version, vector)

    async def _answer(self, inputs: Tensors, way: "_Way", call: EmbedCall) -> VersionedVectors:
        """Run the models one after the other."""
        with call.stages.measure("infer"):
            answer = await way.first.embed(inputs)
            if way.mapped is None:
                return answer
            return await way.mapped.embed({"sentence": answer.vectors})


def _weight(place: int, item: Item, pair: PairRecipe, call: EmbedCall) -> None:
    """Weight both networks in the vector of a query."""
    found = call.outcomes[place]
    if isinstance(found, Embedding) and item.query_language is not None:
        values = weighted(found.values, pair.dimensions, item.text or "", item.query_language)
        call.outcomes[place] = replace(found, values=values)


def grouped(tokens: Tensors, most: int) -> Iterator[tuple[list[int], Tensors]]:
    """Group texts of similar length, the shortest first. Yield the rows and inputs of each
    group."""
    masks = [values for name, values in tokens.items() if name.endswith("attention_mask")]
    lengths = np.max([mask.sum(axis=1) for mask in masks], axis=0)
    order = np.argsort(lengths, kind="stable").tolist()
    group: list[int] = []
    for row in order:
        if group and (len(group) == most or (len(group) + 1) * lengths[row] > most * EACH):
            yield group, _cut(tokens, group)
            group = []
        group.append(row)
    yield group, _cut(tokens, group)


def _cut(tokens: Tensors, rows: list[int]) -> Tensors:
    """Return the tokens of some texts, without needless padding."""
    cut = {}
    for name, values in tokens.items():
        mask = tokens[name.replace("input_ids", "attention_mask")][rows]
        cut[name] = values[rows, : int(mask.sum(axis=1).max())]
    return cut


@dataclass(frozen=True, slots=True)
class _Way:
    """Models that embed texts, in order."""

    first: VersionRoute
    """Route to the text model, which takes tokens."""
    tokens: TextInput
    mapped: VersionRoute | None = None
    """Route to the text map, which takes vectors of `first` to a visual space."""
    version: str = ""
    """Version of the visual space; empty: that of `first`."""

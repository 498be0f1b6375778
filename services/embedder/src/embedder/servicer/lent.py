"""What the embedder lends to the other services of its process."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from embedder.domain.items import Item, ItemOutcome
from embedder.servicer.embedding import EmbeddingServicer, box_of, classification_of, vector_of
from servicekit.errors import ServiceError
from servicekit.rpc.requests import catalog
from servicekit.rpc.server import Binding
from servicekit.telemetry import Stages
from sightline_core.embedding import Content, EmbeddedSignals
from sightline_core.lending import LentEmbedder
from sightline_core.opaque_messages import Classification, Vector


def lent_by(bindings: Sequence[Binding]) -> LentEmbedder:
    """Return what a server lends that offers these services."""
    every = (each.servicer for each in bindings)
    return Lent(next(each for each in every if isinstance(each, EmbeddingServicer)))


@dataclass(frozen=True, eq=False)
class Lent(LentEmbedder):
    """The use cases of a servicer, whose collaborators it has."""

    embedding: EmbeddingServicer

    async def embed(
        self,
        catalog_id: str,
        signals: Sequence[Content],
        priority: int,
        *,
        space: str,
        version: str,
        views: int,
        guesses: int,
        language_code: str,
    ) -> EmbeddedSignals:
        name, stages = catalog(catalog_id, self.embedding.catalogs), Stages()
        items = [
            _photo(each, space, version, views, guesses)
            if each.is_photo
            else Item(text=each.text, space=space, version=version, query_language=language_code)
            for each in signals
        ]
        found = await self.embedding.embedded(items, name, priority, stages)
        vectors, classifications, cosines = zip(*map(_parts, found), strict=True)
        return EmbeddedSignals(
            vectors, stages.spent, classifications, cosines, stages.decoding_seconds
        )


def _photo(given: Content, space: str, version: str, views: int, guesses: int) -> Item:
    return Item(
        photo=None if given.image_uri else given.image,
        uri=given.image_uri or None,
        space=space,
        version=version,
        views=views,
        box=None if given.box is None else box_of(given.box),
        guesses=guesses,
    )


def _parts(
    outcome: ItemOutcome,
) -> tuple[Vector | ServiceError, Classification | None, Sequence[float]]:
    if isinstance(outcome, ServiceError):
        return outcome, None, ()
    # float32, as a message has them
    return vector_of(outcome), classification_of(outcome), array("f", outcome.match_cosines)

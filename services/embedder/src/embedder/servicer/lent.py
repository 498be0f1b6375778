"""What the embedder lends to the other services of its process: texts as values. Photos come as
messages, whose bytes its limits count."""

from collections.abc import Sequence
from dataclasses import dataclass

from embedder.domain.items import Item
from embedder.servicer.embedding import EmbeddingServicer, vector_of
from servicekit.errors import ServiceError
from servicekit.rpc.requests import catalog
from servicekit.rpc.server import Binding
from servicekit.telemetry import Stages
from sightline_core.lending import LentEmbedder
from sightline_core.opaque_messages import Vector


def lent_by(bindings: Sequence[Binding]) -> LentEmbedder:
    """Return what a server lends that offers these services."""
    every = (each.servicer for each in bindings)
    return Lent(next(each for each in every if isinstance(each, EmbeddingServicer)))


@dataclass(frozen=True, eq=False)
class Lent(LentEmbedder):
    """The use cases of a servicer, whose collaborators it has."""

    embedding: EmbeddingServicer

    async def embed_texts(
        self,
        catalog_id: str,
        texts: Sequence[str],
        priority: int,
        *,
        space: str,
        version: str,
        language_code: str,
    ) -> tuple[Sequence[Vector | ServiceError], float | None]:
        name, stages = catalog(catalog_id, self.embedding.catalogs), Stages()
        items = [
            Item(text=text, space=space, version=version, query_language=language_code)
            for text in texts
        ]
        found = await self.embedding.embedded(items, name, priority, stages)
        vectors = [each if isinstance(each, ServiceError) else vector_of(each) for each in found]
        return vectors, stages.spent

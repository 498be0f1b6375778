"""Wire the embedder and serve it: ``python -m embedder``."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from embedder.embed import Embedder
from embedder.intake import Gate, PhotoIntake
from embedder.model import Inference
from embedder.servicer import EmbeddingServicer
from embedder.settings import EmbedderSettings
from embedder.space import VisualSpace
from embedder.triton import TritonInference
from embedder.versions import VisualSpaces
from servicekit import config, server, telemetry
from servicekit.decoding import Decoders
from servicekit.fetch import Fetcher, FetchPolicy
from servicekit.server import Binding
from sightline.embedder.v1 import embedding_service_pb2, embedding_service_pb2_grpc
from sightline_rules.photos import PhotoLimits

SERVICE = "embedder"


def decoders(settings: EmbedderSettings) -> Decoders:
    """The processes that decode, not started yet."""
    return Decoders(
        settings.decode_processes,
        seconds=settings.decode_seconds,
        memory_bytes=settings.decode_memory_bytes,
        preload=["embedder.preprocess"],
    )


def fetcher(settings: EmbedderSettings) -> Fetcher:
    """What fetches photos by their addresses."""
    return Fetcher(FetchPolicy.of(settings, settings.max_photo_bytes))


def inferences(settings: EmbedderSettings) -> list[TritonInference]:
    """The doors to the models, the default one first; to be called where an event loop runs."""
    target, seconds = settings.triton_target, settings.infer_timeout_seconds
    return [TritonInference(target, model, seconds) for model in settings.models]


def bind(
    settings: EmbedderSettings, models: Sequence[Inference], decoding: Decoders, fetch: Fetcher
) -> Binding:
    """Put the service together around its models and what deals with strangers' files."""
    limits = PhotoLimits(settings.max_photo_bytes, settings.max_photo_pixels)
    embedder = Embedder(
        visual=VisualSpaces([VisualSpace(each, settings.describe_seconds) for each in models]),
        intake=PhotoIntake(decoding, limits),
        fetch=fetch,
        gates={each.model: Gate(settings.places, settings.queue) for each in models},
        batch=settings.batch,
    )
    return Binding(
        embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server,
        EmbeddingServicer(embedder, settings.catalogs),
        embedding_service_pb2.DESCRIPTOR.services_by_name["EmbeddingService"].full_name,
    )


async def main(settings: EmbedderSettings) -> None:
    """Serve until told to stop. Triton may come and go: items say so meanwhile."""
    decoding, fetch = decoders(settings), fetcher(settings)
    await decoding.start()
    async with AsyncExitStack() as doors:
        models = [await doors.enter_async_context(door) for door in inferences(settings)]
        offered = bind(settings, models, decoding, fetch)
        await server.serve([offered], settings, service=SERVICE)
    await fetch.close()
    decoding.close()


if __name__ == "__main__":
    chosen = config.load(EmbedderSettings)
    telemetry.configure_logging(SERVICE, chosen.log_level)
    server.run(main(chosen))

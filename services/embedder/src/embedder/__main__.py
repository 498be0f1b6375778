"""Wire the embedder and serve it: ``python -m embedder``."""

from concurrent.futures import ThreadPoolExecutor

from embedder.embed import Embedder
from embedder.intake import Gate, PhotoIntake
from embedder.model import Inference
from embedder.servicer import EmbeddingServicer
from embedder.settings import EmbedderSettings
from embedder.space import VisualSpace
from embedder.triton import TritonInference
from servicekit import config, server, telemetry
from servicekit.server import Binding
from sightline.embedder.v1 import embedding_service_pb2, embedding_service_pb2_grpc
from sightline_rules.photos import PhotoLimits

SERVICE = "embedder"


def bind(settings: EmbedderSettings, inference: Inference, threads: ThreadPoolExecutor) -> Binding:
    """Put the service together around a model and the threads that decode."""
    limits = PhotoLimits(settings.max_photo_bytes, settings.max_photo_pixels)
    embedder = Embedder(
        visual=VisualSpace(inference, settings.describe_seconds),
        intake=PhotoIntake(threads, limits),
        gate=Gate(settings.places, settings.queue),
        batch=settings.batch,
    )
    return Binding(
        embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server,
        EmbeddingServicer(embedder, settings.catalogs),
        embedding_service_pb2.DESCRIPTOR.services_by_name["EmbeddingService"].full_name,
    )


async def main(settings: EmbedderSettings) -> None:
    """Serve until told to stop. Triton may come and go: items say so meanwhile."""
    threads = ThreadPoolExecutor(settings.decode_threads, "decode")
    target, model = settings.triton_target, settings.visual_model
    async with TritonInference(target, model, settings.infer_timeout_seconds) as inference:
        await server.serve([bind(settings, inference, threads)], settings, service=SERVICE)
    threads.shutdown(wait=False, cancel_futures=True)


if __name__ == "__main__":
    chosen = config.load(EmbedderSettings)
    telemetry.configure_logging(SERVICE, chosen.log_level)
    server.run(main(chosen))

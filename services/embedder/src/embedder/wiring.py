"""Wiring of the embedder."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from embedder.adapters.line_images import OpenCvLines
from embedder.adapters.onnxruntime.engine import OnnxEngine
from embedder.adapters.space_metadata import SpaceMetadata
from embedder.adapters.space_store import SpaceStore
from embedder.adapters.tokenizers import Tokenizers
from embedder.adapters.triton.client import LEAST_VERSION, Triton
from embedder.domain.manifest import ServingState
from embedder.domain.models import FEATURES, TEXT, VISUAL
from embedder.domain.photos import Camera
from embedder.embedding import find_faces, patch_features, read_labels
from embedder.embedding.cache import EmbeddingCache
from embedder.embedding.compare import PhotoComparer
from embedder.embedding.embed import ItemEmbedder
from embedder.embedding.find_faces import FaceFinder
from embedder.embedding.patch_features import PatchFeatures
from embedder.embedding.photo_intake import PhotoIntake
from embedder.embedding.photos import PhotoEmbedder
from embedder.embedding.pixel_budget import PixelBudget
from embedder.embedding.read_labels import LabelReader
from embedder.embedding.regions import ObjectFinder, RegionEmbedder
from embedder.embedding.texts import TextEmbedder
from embedder.ports import InferenceEngine
from embedder.preprocessing import work
from embedder.servicer.embedding import EmbeddingServicer
from embedder.servicer.spaces import SpaceServicer
from embedder.serving.batched_inference import Batching
from embedder.serving.fitted_models import FittedModels
from embedder.serving.model import ServedModel
from embedder.serving.model_routes import ServedSpaces
from embedder.serving.priority import ModelQueues
from embedder.serving.recovery import Recovery, Retrying
from embedder.settings import EmbedderSettings, Engine
from embedder.spaces import fit_process
from embedder.spaces.learn import Learner
from embedder.spaces.listing import SpaceListing
from embedder.spaces.promote import Promotion
from embedder.spaces.sources import ModelSources
from servicekit import startup
from servicekit.admission.access import PeerName
from servicekit.catalogs.known import KnownCatalogs
from servicekit.catalogs.removal import CatalogRemoval, RemovalNotes
from servicekit.decoding.decoders import Decoders
from servicekit.keys.keyring import SigningKeys, signing_keys
from servicekit.outbound.fetch import Fetcher, FetchPolicy
from servicekit.rpc import owned
from servicekit.rpc.catalog_registry import registry_of
from servicekit.rpc.channel import connect
from servicekit.rpc.peers import PeerCredentials
from servicekit.rpc.server import Binding
from servicekit.rpc.tls import AUTHORITY, Certificates
from servicekit.telemetry import get_logger
from servicekit.watched_files import Unreadable
from sightline_rules.photos import PhotoLimits


def decoders(settings: EmbedderSettings) -> Decoders:
    """Return the decoding processes, not started yet.

    Raises SystemExit if memory does not suffice.
    """
    return Decoders.of(settings, work.__name__, settings.max_photo_bytes)


def to_retriever(settings: EmbedderSettings) -> PeerCredentials:
    """Return the credentials for calls to the retriever. Raises Unreadable."""
    try:
        return PeerCredentials.of(settings).calling(PeerName.RETRIEVER)
    except Unreadable as error:
        # As in installations of before 0.21: the list can't be read, which a metric shows.
        get_logger().warning("catalogs created at run time are unknown", problem=str(error))
        return PeerCredentials.of(settings)


@asynccontextmanager
async def known_catalogs(
    settings: EmbedderSettings, engine: InferenceEngine
) -> AsyncIterator[KnownCatalogs]:
    """Yield the catalogs. If the settings name a retriever, those of its registry are among them,
    and the spaces of removed ones are deleted."""
    if not settings.retriever_target:
        yield KnownCatalogs(settings.catalogs)
        return
    channel = connect(settings.retriever_target, peers=to_retriever(settings))
    registry = registry_of(settings.retriever_target, channel)
    catalogs = KnownCatalogs(settings.catalogs, registry, file=settings.catalogs_file)
    store = SpaceStore(Path(settings.spaces), space_keys(settings)) if settings.spaces else None
    promotion = Promotion(store, engine, engine.inference)
    notes = RemovalNotes(channel, "embedder")
    removal = CatalogRemoval(catalogs, promotion.remove, notes.confirm)
    removing = asyncio.create_task(removal.run())
    try:
        yield catalogs
    finally:
        removing.cancel()
        await channel.close(None)


def fetcher(settings: EmbedderSettings) -> Fetcher:
    """Return the fetcher of photos by their addresses."""
    return Fetcher(FetchPolicy.of(settings, settings.max_photo_bytes))


def inference_engine(settings: EmbedderSettings) -> InferenceEngine:
    """Return what runs the models, which starts with its block. Requires a running event loop.
    Raises Unreadable."""
    if settings.engine is Engine.ONNX:
        return OnnxEngine(
            model_folders(settings),
            settings.infer_timeout_seconds,
            settings.model_bytes,
            first=(*settings.models, *settings.text_models),
        )
    return Triton(
        settings.triton_target,
        settings.infer_timeout_seconds,
        control_key(settings),
        certificates_of(settings),
    )


def model_folders(settings: EmbedderSettings) -> Sequence[Path]:
    """Return the folders of models of the engine `onnx`; none for Triton. Raises Unreadable."""
    if settings.engine is Engine.TRITON:
        return ()
    if importlib.util.find_spec("onnxruntime") is None:
        variable = settings.variable("engine")
        raise Unreadable(f"{variable}=onnx: install sightline-embedder[onnxruntime]")
    built = Path(settings.backbones)
    if not settings.spaces:
        return (built,)
    return (built, SpaceStore(Path(settings.spaces)).folder("", ServingState.SERVING))


async def check_engine(settings: EmbedderSettings, engine: InferenceEngine) -> None:
    """Exit with status 2 if a Triton in production is older than LEAST_VERSION."""
    if isinstance(engine, Triton):
        await startup.check_engine(settings, "Triton", engine.version, LEAST_VERSION)


def control_key(settings: EmbedderSettings) -> str:
    """Return the key of Triton's model control; empty: none. Raises Unreadable."""
    if settings.triton_key_file is None:
        return ""
    try:
        key = settings.triton_key_file.read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        raise Unreadable(f"{settings.triton_key_file}: {error}") from None
    if not key:
        raise Unreadable(f"{settings.triton_key_file}: is empty: write the key into it")
    return key


def space_keys(settings: EmbedderSettings) -> SigningKeys:
    """Return the keys that sign fitted spaces. Raises Unreadable."""
    return signing_keys(settings.space_keys_file)


def certificates_of(settings: EmbedderSettings) -> Certificates | None:
    """Return the certificates for calls to Triton; None: plain text. Raises Unreadable."""
    folder = settings.triton_tls_folder
    return None if folder is None else Certificates(folder, folder / AUTHORITY, "triton")


def photo_limits(settings: EmbedderSettings) -> Mapping[Camera, PhotoLimits]:
    """Return the limits of photos by their camera."""
    limits = PhotoLimits(
        settings.max_photo_bytes,
        settings.max_photo_pixels,
        pixels_setting="EMBEDDER_MAX_PHOTO_PIXELS",
    )
    queries = replace(
        limits,
        max_pixels=settings.max_query_photo_pixels,
        pixels_setting="EMBEDDER_MAX_QUERY_PHOTO_PIXELS",
    )
    return {
        Camera.CATALOGUE: limits,
        Camera.SHOPPER: min(limits, queries, key=lambda each: each.max_pixels),
    }


def bind(
    settings: EmbedderSettings,
    engine: InferenceEngine,
    decoding: Decoders,
    fetch: Fetcher,
    catalogs: Collection[str] | None = None,
) -> tuple[list[Binding], Recovery, ModelSources]:
    """Build the service from its models, fetcher and decoders. `catalogs`: None: those of the
    settings.

    Returns the bindings to serve, the recovery to run in the background, and the sources to close
    at the end. Raises Unreadable.
    """
    backbones = Path(settings.backbones) if settings.backbones else None
    store = SpaceStore(Path(settings.spaces), space_keys(settings)) if settings.spaces else None
    metadata = SpaceMetadata(store, engine)
    trouble = asyncio.Event()
    serve = partial(_served, settings, engine, trouble)
    spaces = _spaces(settings, metadata, serve)
    recovery = Recovery(engine, spaces.models, metadata.serving, trouble)
    intake = PhotoIntake(decoding, photo_limits(settings))
    embedder = _item_embedder(
        settings, spaces, metadata, intake=intake, encoder=Tokenizers(backbones), fetch=fetch
    )
    sources = ModelSources(
        embedder,
        lambda model: serve(model, FEATURES),
        repository=engine,
        control=engine,
    )

    def on_demand(model: str) -> Retrying:
        return Retrying(engine.inference(model), trouble.set)

    views = settings.region_views.views
    comparison = PhotoComparer(embedder, on_demand, sources, views)
    faces = FaceFinder(intake, embedder.photos.queues, on_demand(find_faces.MODEL), sources)
    labels = LabelReader(
        intake,
        embedder.photos.queues,
        detector=on_demand(read_labels.DETECTOR),
        reader=on_demand(read_labels.READER),
        models=sources,
        images=OpenCvLines(),
    )
    features = PatchFeatures(
        intake,
        embedder.photos.queues,
        on_demand(settings.fit_backbone + patch_features.SUFFIX),
        sources,
    )
    finder = ObjectFinder(intake, embedder.photos.queues, on_demand(settings.object_model), sources)
    learner = Learner(
        store,
        backbones,
        sources,
        default_backbone=settings.fit_backbone,
        command=fit_process.command(settings.fit_priority),
    )
    promotion = Promotion(store, engine, engine.inference)
    listing = SpaceListing(spaces, metadata)
    known = settings.catalogs if catalogs is None else catalogs
    servicers = (
        EmbeddingServicer(
            embedder,
            comparison,
            listing,
            known,
            faces=faces,
            labels=labels,
            regions=RegionEmbedder(embedder, finder, views),
            patches=features,
        ),
        SpaceServicer(learner, promotion, known),
    )
    return owned.bindings(PeerName.EMBEDDER, servicers), recovery, sources


def _served(
    settings: EmbedderSettings,
    engine: InferenceEngine,
    trouble: asyncio.Event,
    model: str,
    space: str,
) -> ServedModel:
    """Return a model that batches and retries; `trouble` is set where it fails."""
    once = engine.inference(model)
    most = settings.text_batch if space == TEXT else settings.batch
    asked = Batching(Retrying(once, trouble.set), most, settings.places)
    return ServedModel(asked, settings.describe_seconds, space, probe=once)


def _spaces(
    settings: EmbedderSettings, metadata: SpaceMetadata, serve: Callable[[str, str], ServedModel]
) -> ServedSpaces:
    """Return the models in the settings and, with a folder of spaces, those of fitted spaces."""
    fixed = {
        VISUAL: [serve(model, VISUAL) for model in settings.models],
        TEXT: [serve(model, TEXT) for model in settings.text_models],
    }
    return ServedSpaces(fixed, FittedModels(metadata, serve) if settings.spaces else None)


def _item_embedder(
    settings: EmbedderSettings,
    spaces: ServedSpaces,
    metadata: SpaceMetadata,
    *,
    intake: PhotoIntake,
    encoder: Tokenizers,
    fetch: Fetcher,
) -> ItemEmbedder:
    """Return the use case that embeds photos and texts, with a queue for each model."""
    # Photos being decoded, rows in inference, and rows of the next inference.
    ahead = settings.decode_processes + (settings.places + 1) * settings.batch
    queues = ModelQueues(settings.queue, ahead)
    return ItemEmbedder(
        spaces=spaces,
        photos=PhotoEmbedder(intake, queues, EmbeddingCache(settings.cache_bytes), metadata),
        texts=TextEmbedder(spaces, queues, encoder, settings.text_batch),
        fetch=fetch,
        budget=PixelBudget(intake, settings.max_request_pixels),
    )

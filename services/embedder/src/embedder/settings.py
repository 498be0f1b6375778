"""The embedder's settings, from variables that start with EMBEDDER_."""

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from embedder.domain.photos import PART_VIEWS, PartView
from servicekit.config import ServerSettings, names_of
from servicekit.decoding.limits import DecodingSettings
from servicekit.outbound.fetch import FetchSettings
from servicekit.processes.background import Priority


class RegionViews(StrEnum):
    """Views of an object in a photo that are embedded."""

    BOTH = "both"
    WHOLE = "whole"
    MIDDLE = "middle"

    @property
    def views(self) -> tuple[PartView, ...]:
        """The views, in the order of PartView."""
        return PART_VIEWS if self is RegionViews.BOTH else (PartView(self.value),)


class Engine(StrEnum):
    """What runs the models."""

    TRITON = "triton"
    """A model server."""
    ONNX = "onnx"
    """onnxruntime, in a process of the embedder for each model."""


_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


Models = Annotated[
    tuple[str, ...],
    Field(max_length=8),
    names_of("a model", _MODEL, "not a valid name of a model in Triton"),
]


class EmbedderSettings(ServerSettings, DecodingSettings, FetchSettings):
    """Settings of the embedder."""

    model_config = SettingsConfigDict(env_prefix="EMBEDDER_")

    port: int = Field(default=8601, ge=0, le=65535)
    """Port for gRPC. 0: a free port."""

    retriever_target: str = ""
    """gRPC target of the retriever, whose registry has the catalogs that were created at run time.
    Empty: there are none."""

    catalogs_file: Path | None = None
    """File that keeps their list, for a start while the retriever can't be read. `None`: it is read
    anew."""

    engine: Engine = Engine.TRITON
    """What runs the models: `triton`, the server at `triton_target`; or `onnx`, on the processors
    of this machine: onnxruntime in a process of the embedder for each model, of the folders
    `backbones` and `spaces`, with the same vectors (docs/operate/one-process.md)."""

    model_bytes: int = Field(default=2**30, ge=2**27, le=2**40)
    """Memory in bytes that a model's process of the engine `onnx` may take; an inference that needs
    more fails with MODEL_FAILED (Linux only)."""

    triton_target: str = Field(default="127.0.0.1:8604", min_length=1)
    """Triton's gRPC address; a name with several addresses is balanced over them."""

    triton_key_file: Path | None = None
    """File with the key of Triton's model control, `sightline-control` of its
    `--grpc-restricted-protocol`. `None`: no key is required."""

    triton_tls_folder: Path | None = None
    """Folder with `tls.crt`, `tls.key` and `ca.crt` (PEM) for calls to Triton over TLS; reloaded
    when they change. `None`: plain text."""

    models: Models = Field(default=("efficientnet_lite0",), min_length=1)
    """Models in Triton for the space "visual", one version of it each; photos that name no version
    use the first. At most 8."""

    text_models: Models = ()
    """Models in Triton for the space "text", such as `texts_16`, one version of it each, the
    default one first. At most 8. Empty: texts are rejected with SPACE_UNAVAILABLE.
    """

    backbones: str = ""
    """Folder of the models built by deploy/triton: tokenizers of text models are read from it, and
    spaces are fitted with its models. Empty: none."""

    spaces: str = ""
    """Folder of the spaces fitted on catalogs; its subfolder `models` is Triton's second model
    repository. Empty: no space is fitted or served."""

    fit_priority: Priority = Priority.IDLE
    """Priority of the process that fits a space: `idle` (only while a core is free), `low` or
    `normal`. On a machine that is always busy an `idle` fit does not end."""

    space_keys_file: Path | None = None
    """File with keys that sign fitted spaces (docs/operate/keys.md), one a line, the signing one
    first; reloaded when it changes. If set, spaces without a valid signature are served only after
    a promotion with force."""

    fit_backbone: str = Field(default="efficientnet_lite2", pattern=r"^[a-z][a-z0-9_]{0,62}$")
    """Default backbone of a fitted space; `<backbone>_features` is its model in `backbones`."""

    object_model: str = Field(default="efficientnet_lite0_objects", pattern=_MODEL.pattern)
    """Model in Triton that finds the objects in a photo; docs/integrate/detect.md describes how to
    bring another one."""

    region_views: RegionViews = RegionViews.BOTH
    """Views of each object in a photo: `both`; `whole`: only on white, where the catalogs' photos
    show products whole on white; `middle`: only its middle, where they are cut to the product. One
    view takes half of the time (docs/integrate/detect.md)."""

    infer_timeout_seconds: float = Field(default=5.0, gt=0, le=300)
    """Seconds without an answer after which Triton counts as unavailable."""

    describe_seconds: float = Field(default=30.0, ge=0, le=3600)
    """Seconds for which a model's description is cached."""

    batch: int = Field(default=4, ge=1, le=64)
    """Maximum number of photos in one inference; the model's own limit may be lower."""

    text_batch: int = Field(default=8, ge=1, le=64)
    """Maximum number of texts of up to 32 tokens in one inference, fewer of longer ones; the
    model's own limit may be lower."""

    places: int = Field(default=3, ge=2, le=256)
    """Inferences of one model in progress at once; one of them is reserved for interactive
    requests. While such requests come, imports have one."""

    queue: int = Field(default=1024, ge=1, le=100_000)
    """Items of one model and priority that may be in progress or queued; further ones are rejected
    with EMBED_QUEUE_FULL."""

    cache_bytes: int = Field(default=32 * 2**20, ge=0, le=2**40)
    """Memory in bytes for vectors of shoppers' photos, reused for the same bytes. 0 disables the
    cache."""

    max_photo_bytes: int = Field(default=10 * 2**20, ge=1, le=2**30)
    """Maximum size of a photo file in bytes; larger ones are rejected with IMAGE_TOO_LARGE."""

    max_photo_pixels: int = Field(default=50_000_000, ge=1, le=1_000_000_000)
    """Maximum number of pixels (width times height); larger photos are rejected with
    IMAGE_TOO_LARGE."""

    max_query_photo_pixels: int = Field(default=25_000_000, ge=1, le=1_000_000_000)
    """Maximum number of pixels of a shopper's photo (search, classification); larger ones are
    rejected with IMAGE_TOO_LARGE. EMBEDDER_MAX_PHOTO_PIXELS applies too."""

    max_request_pixels: int = Field(default=40_000_000, ge=1, le=64_000_000_000)
    """Pixels of all photos of shoppers in one request together, by their headers; more are rejected
    with IMAGES_TOO_LARGE before any is decoded. A request with one photo has its own limit only."""

    @model_validator(mode="after")
    def _folder_of_models(self) -> Self:
        if self.engine is Engine.ONNX and not self.backbones:
            raise ValueError("engine=onnx needs backbones, the folder of built models")
        return self

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        if self.spaces and self.space_keys_file is None:
            variable = self.variable("space_keys_file")
            yield f"fitted spaces can be changed where they are stored: set {variable}"

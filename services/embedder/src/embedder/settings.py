"""The embedder's settings, from variables that start with EMBEDDER_."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from servicekit.config import ServerSettings
from servicekit.decoding import DecodingSettings
from servicekit.fetch import FetchSettings

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def _models(names: tuple[str, ...]) -> tuple[str, ...]:
    bad = [name for name in names if not _MODEL.fullmatch(name)]
    if bad:
        raise ValueError(f"{', '.join(map(repr, bad))}: not a name of a model in Triton")
    if len(set(names)) != len(names):
        raise ValueError("a model is named twice")
    return names


Models = Annotated[tuple[str, ...], Field(min_length=1, max_length=8), AfterValidator(_models)]


class EmbedderSettings(ServerSettings, DecodingSettings, FetchSettings):
    """What an operator may choose."""

    model_config = SettingsConfigDict(env_prefix="EMBEDDER_")

    port: int = Field(default=8601, ge=0, le=65535)
    """Port for gRPC; 0 takes a free one."""

    triton_target: str = Field(default="127.0.0.1:8604", min_length=1)
    """Triton's gRPC address; a name with several addresses is balanced over them."""

    models: Models = ("efficientnet_lite0",)
    """The models in Triton that serve the space "visual", a version of it each; photos that name no
    version go to the first. At most 8."""

    infer_timeout_seconds: float = Field(default=5.0, gt=0, le=300)
    """After this long without an answer Triton counts as unavailable."""

    describe_seconds: float = Field(default=30.0, ge=0, le=3600)
    """How long to believe what the model said of itself before asking again."""

    batch: int = Field(default=4, ge=1, le=64)
    """Most photos in one inference; the model's own limit may be lower."""

    places: int = Field(default=4, ge=2, le=256)
    """Batches of one model in progress at once; one of them is kept from bulk work."""

    queue: int = Field(default=256, ge=0, le=100_000)
    """Batches of one model and priority that may wait; above it items are refused with
    EMBED_QUEUE_FULL."""

    max_photo_bytes: int = Field(default=10 * 2**20, ge=1, le=2**30)
    """Largest photo file in bytes; above it items are refused with IMAGE_TOO_LARGE."""

    max_photo_pixels: int = Field(default=50_000_000, ge=1, le=1_000_000_000)
    """Largest photo in pixels (width times height); above it IMAGE_TOO_LARGE."""

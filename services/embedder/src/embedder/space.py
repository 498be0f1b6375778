"""One model of the space `visual`: its version, and whether its vectors are sound."""

import asyncio
import contextlib
import contextvars
import hashlib
import json
import math
import time
from collections.abc import Callable

import numpy as np
from prometheus_client import Gauge

from embedder import preprocess
from embedder.model import (
    Description,
    EmbedderUnavailable,
    Embedding,
    Inference,
    ModelFailed,
    ModelNotReady,
    Pixels,
    SpaceState,
    SpaceVersionUnavailable,
    Vectors,
)
from servicekit.errors import ServiceError

VISUAL = "visual"
TEXT = "text"

UNIT_TOLERANCE = 1e-3

PROBES = 8
"""Most inferences by which a space's state is found out."""

SILENCE = 0.25
"""Seconds for which a silent model is not asked again what it is."""

KEPT = 1.0
"""Seconds for which a state that was found out is told again: it costs an inference of each
process, and whoever watches the suite asks often."""

LOOK = 5.0
"""Most seconds for finding out a state."""

READY = Gauge(
    "sightline_space_ready",
    "Whether this version of the space answered when it was last looked at.",
    ("space", "model", "version"),
)
"""A model has one version at a time in it."""


class VisualSpace:
    """Photos to vectors, under the version of the model that made them.

    What the model says of itself is kept for `ttl` seconds, so that the service starts, and says
    what it knows, while the model does not answer.
    """

    def __init__(
        self, inference: Inference, ttl: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._inference = inference
        self._ttl = ttl
        self._clock = clock
        self._reading = asyncio.Lock()
        self._known: Description | None = None
        self._read_again_at = -math.inf
        self._silent_until = -math.inf
        self._read_at = -math.inf
        self._answered = ""
        self._state: SpaceState | None = None
        self._state_until = -math.inf
        self._looking: asyncio.Task[SpaceState] | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self._inference.model

    def versions(self) -> list[str]:
        """Return the versions that the model names, as far as it has spoken."""
        known = self._known
        return [] if known is None else [version_of(known, number) for number in known.hashes]

    def serving(self) -> list[str]:
        """Return the version that the model answered with last; before that, all that it names."""
        named = self.versions()
        return [self._answered] if self._answered in named else named

    async def description(self) -> Description:
        """Return what the model says of itself; when it is silent, what it said last.

        Raises what Inference.describe raises when the model has not spoken yet.
        """
        async with self._reading:
            if self._known is not None and self._clock() < self._read_again_at:
                return self._known
            try:
                return await self._read()
            except EmbedderUnavailable:
                if self._known is None:
                    raise
                return self._known

    async def refresh(self) -> ServiceError | None:
        """Ask the model what it is, unless it said so a moment ago.

        Returns why nothing is known of it, or None when something is.
        """
        async with self._reading:
            if self._clock() >= self._read_at + KEPT:
                try:
                    await self._read()
                except ServiceError as error:
                    return error if self._known is None else None
            return None

    async def embed(
        self, pixels: Pixels, prepared_for: Description, wanted: str = ""
    ) -> list[Embedding]:
        """Return one vector for each of uint8 [n, side, side, 3].

        `prepared_for` is the description by which the pixels were made; `wanted` the version that
        the vectors have to be of, if any. Raises what Inference raises, EmbedderUnavailable when
        another model answered meanwhile, and SpaceVersionUnavailable when another version did.
        """
        answer = await self._inference.infer(pixels)
        described = await self._of_version(answer.model_version)
        if (described.recipe, described.dimension) != (prepared_for.recipe, prepared_for.dimension):
            raise EmbedderUnavailable("the model was replaced during the call")
        check(answer.vectors, len(pixels), described.dimension)
        self._answered = version = version_of(described, answer.model_version)
        if wanted not in {"", version}:
            raise SpaceVersionUnavailable(VISUAL, [version])
        return [Embedding(VISUAL, version, vector) for vector in answer.vectors]

    async def state(self, seconds: float | None = None) -> SpaceState:
        """Say within `seconds` (None: no end) what the space is now, or was a moment ago.

        Those who ask at the same time share one look.
        """
        if self._state is not None and self._clock() < self._state_until:
            return self._state
        if self._looking is None or self._looking.done():
            # Without the context of who came first: its deadline is not that of the others.
            self._looking = asyncio.create_task(self._look(), context=contextvars.Context())
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._looking)
        except TimeoutError:
            return self._silent()

    async def _look(self) -> SpaceState:
        """Find out what the space is now, and keep it for a moment."""
        state = await self._probe()
        if self._state is not None and self._state.version != state.version:
            with contextlib.suppress(KeyError):
                READY.remove(VISUAL, self.model, self._state.version)
        READY.labels(VISUAL, self.model, state.version).set(state.ready)
        self._state, self._state_until = state, self._clock() + KEPT
        return state

    async def _probe(self) -> SpaceState:
        """Try real inferences of a blank photo, one for each of the model's processes.

        One that was killed fails its share of the photos while the others answer.
        """
        try:
            async with asyncio.timeout(LOOK):
                known = await self.description()
                side = known.recipe.side
                blank = np.full((1, side, side, 3), 127, np.uint8)
                probes = [self.embed(blank, known) for _ in range(min(known.instances, PROBES))]
                ((embedded,), *_) = await asyncio.gather(*probes)
        except (ServiceError, TimeoutError):
            return self._silent()
        return SpaceState(
            space=VISUAL,
            model=known.model,
            ready=True,
            version=embedded.version,
            dimension=known.dimension,
            preprocessing=preprocess.words(known.recipe),
            licence=known.licence,
        )

    def _silent(self) -> SpaceState:
        """Say what is known of a model that does not answer; which version, if it has just one."""
        known = self._known
        if known is None:
            return SpaceState(space=VISUAL, model=self._inference.model, ready=False)
        versions = list(known.hashes)
        return SpaceState(
            space=VISUAL,
            model=known.model,
            ready=False,
            version=version_of(known, versions[0]) if len(versions) == 1 else "",
            dimension=known.dimension,
            preprocessing=preprocess.words(known.recipe),
            licence=known.licence,
        )

    async def _of_version(self, model_version: str) -> Description:
        """Return a description that names this version; a new version is asked for once more."""
        async with self._reading:
            if self._known is not None and model_version in self._known.hashes:
                return self._known
            return await self._read()

    async def _read(self) -> Description:
        """Ask the model, unless it was silent a moment ago: callers that wait share one silence."""
        if self._clock() < self._silent_until:
            raise EmbedderUnavailable("the model server did not answer a moment ago")
        try:
            described = await self._inference.describe()
        except EmbedderUnavailable:
            self._silent_until = self._clock() + SILENCE
            raise
        if described.space != VISUAL:
            raise ModelNotReady(f"{described.model} does not serve the space {VISUAL}")
        self._known = described
        self._read_at = self._clock()
        self._read_again_at = self._read_at + self._ttl
        return self._known


def version_of(description: Description, model_version: str) -> str:
    """Return the space's version: a hash of the model's file, the preprocessing and the precision.

    Raises ModelNotReady when the model does not say the hash of this version's file.
    """
    if model_version not in description.hashes:
        raise ModelNotReady(
            f"version {model_version} of {description.model} has no hash in its configuration"
        )
    parts = {
        "model": description.hashes[model_version],
        "preprocessing": preprocess.words(description.recipe),
        "precision": description.precision,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def check(vectors: Vectors, count: int, dimension: int) -> None:
    """Raise ModelFailed unless these are `count` finite vectors of unit length."""
    if vectors.shape != (count, dimension) or vectors.dtype != np.float32:
        raise ModelFailed("the model's answer has another shape than it says")
    if not np.isfinite(vectors).all():
        raise ModelFailed("the model's answer is not finite")
    if np.abs(np.linalg.norm(vectors, axis=1) - 1).max() > UNIT_TOLERANCE:
        raise ModelFailed("the model's answer is not of unit length")

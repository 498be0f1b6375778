"""A model that serves a space: its versions, its state and validation of its vectors."""

import asyncio
import contextlib
import contextvars
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from prometheus_client import Gauge

from embedder.domain import errors
from embedder.domain.items import Vectors
from embedder.domain.models import (
    FEATURES,
    VISUAL,
    Description,
    Inferred,
    SpaceStatus,
    Tensors,
    version_of,
)
from embedder.domain.recipes import (
    SECOND,
    LineRecipe,
    PairRecipe,
    PhotoRecipe,
    Sentences,
    TextInput,
    TextRecipe,
)
from embedder.ports import Inference
from servicekit.errors import ServiceError

TOLERANCE = 1e-3

PROBES = 8
"""Maximum number of inferences of one probe."""

SILENCE = 0.25
"""Seconds for which the description of a silent model is not requested again."""

KEPT = 1.0
"""Seconds for which a description, and the state of a model that does not work, are cached: a probe
takes an inference per process, and monitors read the state often."""
PROVEN = 60.0
"""Seconds for which a model counts as working after an answer, unless there are doubts. A call
finds a lost model sooner, and a probe costs as much as a photo."""

LOOK = 5.0
"""Timeout of a probe in seconds."""

READY = Gauge(
    "sightline_space_ready",
    "1 if this version of the space answered the last probe, else 0.",
    ("space", "model", "version"),
)
"""Each model has one version at a time in this metric."""


@dataclass(frozen=True, slots=True)
class VersionedVectors:
    """Validated vectors with the version of their space."""

    version: str
    vectors: Vectors
    """float32 [n, dimension]."""
    categories: Vectors | None
    """float32 [n, categories + 1]; None without a head."""


class ServedModel:
    """A model that embeds photos or texts, and names the version of its vectors.

    The model's description is cached for `ttl` seconds, and longer while the model does not answer,
    so that the service starts and lists its spaces meanwhile.
    """

    def __init__(
        self,
        inference: Inference,
        ttl: float,
        space: str = VISUAL,
        clock: Callable[[], float] = time.monotonic,
        probe: Inference | None = None,
    ) -> None:
        """`probe`: inference for probes; default: `inference`."""
        self.space, self.model = space, inference.model
        self._by_probe = probe or inference
        self.answered_at = -math.inf
        """Time of the last vectors, by the clock."""
        self.trouble: ServiceError | None = None
        """Error of the last probe; `None` if it succeeded."""
        self._inference = inference
        self._ttl = ttl
        self._clock = clock
        self._reading = asyncio.Lock()
        self.known: Description | None = None
        """The model's last description of itself; `None` if it never answered."""
        self._read_again_at = -math.inf
        self._silent_until = -math.inf
        self._read_at = -math.inf
        self._answered = ""
        self._state: SpaceStatus | None = None
        self._looked_at = self._state_until = -math.inf
        self._looking: asyncio.Task[SpaceStatus] | None = None

    def versions(self) -> list[str]:
        """Return the versions in the model's description; none before it was read."""
        known = self.known
        return [] if known is None else [version_of(known, number) for number in known.hashes]

    def serving(self) -> list[str]:
        """Return the version of the last answer; before the first answer, all versions."""
        named = self.versions()
        return [self._answered] if self._answered in named else named

    async def description(self) -> Description:
        """Return the model's description, the last known one while the model does not answer.

        Raises as Inference.describe if it was never read.
        """
        async with self._reading:
            if self.known is not None and self._clock() < self._read_again_at:
                return self.known
            try:
                return await self._read()
            except errors.EmbedderUnavailable:
                if self.known is None:
                    raise
                return self.known

    def forget(self) -> None:
        """Remove the version from the metric of readiness."""
        if self._state is not None:
            with contextlib.suppress(KeyError):
                READY.remove(self.space, self.model, self._state.version)

    async def refresh(self) -> ServiceError | None:
        """Read the model's description, unless it was just read.

        Returns the error if no description is known, else None.
        """
        async with self._reading:
            if self._clock() >= self._read_at + KEPT:
                try:
                    await self._read()
                except ServiceError as error:
                    return error if self.known is None else None
            return None

    async def embed(
        self, inputs: Tensors, prepared_for: Description, wanted: str = ""
    ) -> VersionedVectors:
        """Return a vector for each row of `inputs`.

        `prepared_for`: description by which the inputs were made; `wanted`: required version of the
        vectors; empty: any. Raises as Inference, EmbedderUnavailable if another model answered, and
        SpaceVersionUnavailable if another version did.
        """
        try:
            return await self._embed(self._inference, inputs, prepared_for, wanted)
        except (ServiceError, asyncio.CancelledError):
            # Soon probed anew; not with each failure, which callers may cause. A call whose
            # deadline passed is cancelled: the server may stand still.
            self._state_until = min(self._state_until, self._looked_at + KEPT)
            raise

    async def _embed(
        self, inference: Inference, inputs: Tensors, prepared_for: Description, wanted: str = ""
    ) -> VersionedVectors:
        inferred = await inference.infer(inputs)
        self.answered_at = self._clock()
        described = await self._of_version(inferred.model_version)
        if (described.recipe, described.dimension) != (prepared_for.recipe, prepared_for.dimension):
            raise errors.EmbedderUnavailable("the model was replaced during the call")
        check(inferred, len(next(iter(inputs.values()))), described)
        self._answered = version = version_of(described, inferred.model_version)
        if self._state is not None and self._state.version != version:
            self.doubt()
        if wanted not in {"", version}:
            raise errors.SpaceVersionUnavailable(self.space, [version])
        return VersionedVectors(version, inferred.vectors, inferred.categories)

    async def state(self, seconds: float | None = None) -> SpaceStatus:
        """Return the state of the space, cached for KEPT or PROVEN seconds, within `seconds` (None:
        no limit).

        Concurrent callers share one probe.
        """
        if self._state is not None and self._clock() < self._state_until:
            return self._state
        if self._looking is None or self._looking.done():
            # Not in the context of the first caller: its deadline must not apply to the others.
            self._looking = asyncio.create_task(self._look(), context=contextvars.Context())
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._looking)
        except TimeoutError:
            return self._silent()

    def doubt(self) -> None:
        """Have the next call of `state` probe the model."""
        self._state_until = -math.inf

    async def prove(self) -> None:
        """Probe the model now, past the cache. Raises the probe's error."""
        self.doubt()
        self.trouble = None
        await self.state()
        if self.trouble is not None:
            raise self.trouble

    async def _look(self) -> SpaceStatus:
        """Probe the model, and cache and publish its state."""
        state = await self._probe()
        if self._state is not None and self._state.version != state.version:
            self.forget()
        READY.labels(self.space, self.model, state.version).set(state.ready)
        self._state, self._looked_at = state, self._clock()
        self._state_until = self._looked_at + (PROVEN if state.ready else KEPT)
        return state

    async def _probe(self) -> SpaceStatus:
        """Run inferences of a blank input, one per process of the model.

        A lost process fails its share of inferences while the others answer.
        """
        try:
            async with asyncio.timeout(LOOK):
                known = await self.description()
                probes = [
                    self._embed(self._by_probe, blank(known), known) for _ in range(_probes(known))
                ]
                answer, *_ = await asyncio.gather(*probes)
        except ServiceError as error:
            self.trouble = error
            return self._silent()
        except TimeoutError:
            self.trouble = errors.ModelSilent()
            return self._silent()
        self.trouble = None
        return self._state_of(known, answer.version, ready=True)

    def _silent(self) -> SpaceStatus:
        """Return the state of a model that does not answer; with the version if there is only
        one."""
        known = self.known
        if known is None:
            return SpaceStatus(self.space, self.model, ready=False)
        versions = list(known.hashes)
        version = version_of(known, versions[0]) if len(versions) == 1 else ""
        return self._state_of(known, version, ready=False)

    def _state_of(self, known: Description, version: str, *, ready: bool) -> SpaceStatus:
        takes_texts = isinstance(known.recipe, TextInput)
        return SpaceStatus(self.space, known.model, ready, version, known, takes_texts)

    async def _of_version(self, model_version: str) -> Description:
        """Return a description with this version; read it again for a new version."""
        async with self._reading:
            if self.known is not None and model_version in self.known.hashes:
                return self.known
            return await self._read()

    async def _read(self) -> Description:
        """Read the model's description. Fails at once for SILENCE seconds after a failure, so that
        waiting callers do not wait in turn."""
        if self._clock() < self._silent_until:
            raise errors.EmbedderUnavailable("the model server did not answer the last request")
        try:
            described = await self._inference.describe()
        except errors.EmbedderUnavailable:
            self._silent_until = self._clock() + SILENCE
            raise
        if described.space != self.space:
            raise errors.ModelNotReady(f"{described.model} does not serve the space {self.space}")
        self.known = described
        self._read_at = self._clock()
        self._read_again_at = self._read_at + self._ttl
        return self.known


def blank(description: Description) -> Tensors:
    """Return a blank input of one row."""
    match description.recipe:
        case PhotoRecipe(side):
            image = np.full((1, side, side, 3), 127, np.uint8)
            kind = {"kind": np.zeros((1, 1), np.float32)} if description.cameras else {}
            return {"image": image, **kind}
        case TextRecipe():
            return {name: np.ones((1, 2), np.int64) for name in ("input_ids", "attention_mask")}
        case PairRecipe(first):
            words = blank(replace(description, recipe=first))
            return {prefix + name: ids for prefix in ("", SECOND) for name, ids in words.items()}
        case Sentences(dimension):
            return {"sentence": np.full((1, dimension), dimension**-0.5, np.float32)}
        case LineRecipe(height):
            return {"image": np.full((1, height, height, 3), 127, np.uint8)}


def check(inferred: Inferred, count: int, described: Description) -> None:
    """Raise ModelFailed unless an answer has `count` finite vectors of unit length and, with a
    head, valid probabilities."""
    vectors, categories = inferred.vectors, inferred.categories
    if vectors.shape != (count, described.dimension) or vectors.dtype != np.float32:
        raise errors.ModelFailed("the shape of the model's answer differs from its configuration")
    squares = np.einsum("ij,ij->i", vectors, vectors)
    if not np.isfinite(squares).all():
        raise errors.ModelFailed("the model's answer is not finite")
    if described.space != FEATURES and not _is_one(np.sqrt(squares)):
        raise errors.ModelFailed("the model's answer is not of unit length")
    if (categories is not None) != bool(described.categories):
        raise errors.ModelFailed(
            "only one of the model's answer and its configuration has categories"
        )
    if categories is not None:
        if categories.shape != (count, described.categories + 1):
            raise errors.ModelFailed(
                "the number of categories in the model's answer differs from its configuration"
            )
        if not ((categories >= 0).all() and _is_one(categories.sum(axis=1))):
            raise errors.ModelFailed("the probabilities of the categories do not sum to one")


def _is_one(values: Vectors) -> bool:
    return bool((np.abs(values - 1) <= TOLERANCE).all())


def _probes(description: Description) -> int:
    return min(description.instances, PROBES)

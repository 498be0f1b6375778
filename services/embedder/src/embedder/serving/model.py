"""One model that serves a space: its version, and whether its vectors are sound."""

import asyncio
import contextlib
import contextvars
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

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
from embedder.domain.recipes import PhotoRecipe, Sentences, TextRecipe
from embedder.ports import Inference
from servicekit.errors import ServiceError

TOLERANCE = 1e-3

PROBES = 8
"""Most inferences by which a space's state is found out."""

SILENCE = 0.25
"""Seconds for which the description of a silent model is not requested again."""

KEPT = 1.0
"""Seconds for which a state is cached: it costs an inference of each process, and monitors ask
often."""

LOOK = 5.0
"""Most seconds for finding out a state."""

READY = Gauge(
    "sightline_space_ready",
    "Whether this version of the space answered when it was last looked at.",
    ("space", "model", "version"),
)
"""A model has one version at a time in it."""


@dataclass(frozen=True, slots=True)
class VersionedVectors:
    """Sound vectors, under the version of the model that made them."""

    version: str
    vectors: Vectors
    """float32 [n, dimension]."""
    categories: Vectors | None
    """float32 [n, categories + 1], or None of a model without a head."""


class ServedModel:
    """Photos or texts to vectors, under the version of the model that made them.

    What the model says of itself is kept for `ttl` seconds, so that the service starts, and says
    what it knows, while the model does not answer.
    """

    def __init__(
        self,
        inference: Inference,
        ttl: float,
        space: str = VISUAL,
        clock: Callable[[], float] = time.monotonic,
        probe: Inference | None = None,
    ) -> None:
        """`probe`: the model as it is looked at; None = as it is asked."""
        self.space, self.model = space, inference.model
        self._by_probe = probe or inference
        self.answered_at = -math.inf
        """When it gave vectors last, by the clock."""
        self.trouble: ServiceError | None = None
        """Why it was not ready at the last check; `None` if it was."""
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
        self._state_until = -math.inf
        self._looking: asyncio.Task[SpaceStatus] | None = None

    def versions(self) -> list[str]:
        """Return the versions that the model names, as far as it has spoken."""
        known = self.known
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
            if self.known is not None and self._clock() < self._read_again_at:
                return self.known
            try:
                return await self._read()
            except errors.EmbedderUnavailable:
                if self.known is None:
                    raise
                return self.known

    def forget(self) -> None:
        """Take its version out of the metric of readiness."""
        if self._state is not None:
            with contextlib.suppress(KeyError):
                READY.remove(self.space, self.model, self._state.version)

    async def refresh(self) -> ServiceError | None:
        """Ask the model what it is, unless it said so a moment ago.

        Returns why nothing is known of it, or None when something is.
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

        `prepared_for` is the description by which they were made; `wanted` the version that
        the vectors have to be of, if any. Raises what Inference raises, EmbedderUnavailable when
        another model answered meanwhile, and SpaceVersionUnavailable when another version did.
        """
        return await self._embed(self._inference, inputs, prepared_for, wanted)

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
        if wanted not in {"", version}:
            raise errors.SpaceVersionUnavailable(self.space, [version])
        return VersionedVectors(version, inferred.vectors, inferred.categories)

    async def state(self, seconds: float | None = None) -> SpaceStatus:
        """Say within `seconds` (None: no end) what the space is now, or was a moment ago.

        Those who ask at the same time share one look.
        """
        if self._state is not None and self._clock() < self._state_until:
            return self._state
        if self._looking is None or self._looking.done():
            # Without the context of the first caller: its deadline is not that of the others.
            self._looking = asyncio.create_task(self._look(), context=contextvars.Context())
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._looking)
        except TimeoutError:
            return self._silent()

    async def prove(self) -> None:
        """Look at it now, whatever was found a moment ago. Raises why it is not ready."""
        self._state_until = -math.inf
        self.trouble = None
        await self.state()
        if self.trouble is not None:
            raise self.trouble

    async def _look(self) -> SpaceStatus:
        """Find out what the space is now, and keep it for a moment."""
        state = await self._probe()
        if self._state is not None and self._state.version != state.version:
            self.forget()
        READY.labels(self.space, self.model, state.version).set(state.ready)
        self._state, self._state_until = state, self._clock() + KEPT
        return state

    async def _probe(self) -> SpaceStatus:
        """Try real inferences of something blank, one for each of the model's processes.

        One that was killed fails its share of the photos while the others answer.
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
        """Say what is known of a model that does not answer; which version, if it has just one."""
        known = self.known
        if known is None:
            return SpaceStatus(self.space, self.model, ready=False)
        versions = list(known.hashes)
        version = version_of(known, versions[0]) if len(versions) == 1 else ""
        return self._state_of(known, version, ready=False)

    def _state_of(self, known: Description, version: str, *, ready: bool) -> SpaceStatus:
        takes_texts = isinstance(known.recipe, TextRecipe)
        return SpaceStatus(self.space, known.model, ready, version, known, takes_texts)

    async def _of_version(self, model_version: str) -> Description:
        """Return a description that names this version; a new version is asked for once more."""
        async with self._reading:
            if self.known is not None and model_version in self.known.hashes:
                return self.known
            return await self._read()

    async def _read(self) -> Description:
        """Ask the model, unless it was silent a moment ago: callers that wait share one silence."""
        if self._clock() < self._silent_until:
            raise errors.EmbedderUnavailable("the model server did not answer a moment ago")
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
    """Return one row that the model takes and that shows nothing."""
    match description.recipe:
        case PhotoRecipe(side):
            image = np.full((1, side, side, 3), 127, np.uint8)
            kind = {"kind": np.zeros((1, 1), np.float32)} if description.cameras else {}
            return {"image": image, **kind}
        case TextRecipe():
            return {name: np.ones((1, 2), np.int64) for name in ("input_ids", "attention_mask")}
        case Sentences(dimension):
            return {"sentence": np.full((1, dimension), dimension**-0.5, np.float32)}


def check(inferred: Inferred, count: int, described: Description) -> None:
    """Raise ModelFailed unless there are `count` sound vectors, and chances of categories."""
    vectors, categories = inferred.vectors, inferred.categories
    if vectors.shape != (count, described.dimension) or vectors.dtype != np.float32:
        raise errors.ModelFailed("the model's answer has another shape than it says")
    squares = np.einsum("ij,ij->i", vectors, vectors)
    if not np.isfinite(squares).all():
        raise errors.ModelFailed("the model's answer is not finite")
    if described.space != FEATURES and not _is_one(np.sqrt(squares)):
        raise errors.ModelFailed("the model's answer is not of unit length")
    if (categories is not None) != bool(described.categories):
        raise errors.ModelFailed(
            "the model's answer has no categories, or some that it does not name"
        )
    if categories is not None:
        if categories.shape != (count, described.categories + 1):
            raise errors.ModelFailed("the model's answer has other categories than it says")
        if not ((categories >= 0).all() and _is_one(categories.sum(axis=1))):
            raise errors.ModelFailed("the chances of the categories do not sum to one")


def _is_one(values: Vectors) -> bool:
    return bool((np.abs(values - 1) <= TOLERANCE).all())


def _probes(description: Description) -> int:
    return min(description.instances, PROBES)

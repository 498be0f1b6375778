"""Recovery of Triton: retries, and reloading of lost models.

Triton still reports READY when a process of a model was killed, and starts no other, or when one
returns answers of other requests (server 2.51, 2026-11): only a real inference detects this, and
only unloading and loading the model helps.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter, Gauge

from embedder.domain.errors import EmbedderUnavailable, ModelSilent, ProcessLost
from embedder.domain.models import Inferred, Tensors
from embedder.ports import Inference, ModelServer
from embedder.serving.model import ServedModel
from servicekit import deadlines
from servicekit.errors import ServiceError
from servicekit.telemetry import get_logger

RETRY_SECONDS: Final = 3.0
"""If a model answered within this number of seconds, its loss may be temporary, and calls are
retried. Later callers are rejected at once, so that they can use a fallback."""
PAUSES: Final = (0.05, 0.1, 0.2, *[0.4] * 8)
"""Seconds before each further try."""
LEAST: Final = 0.05
"""Seconds of the deadline that have to be left for a further try to be worth it."""

WATCH_SECONDS: Final = 3.0
"""Between two looks while all is well; an inference that finds the model gone wakes it at once."""
TROUBLED_SECONDS: Final = 0.5
"""Between two looks while something is not."""
HUNG_SECONDS: Final = 10.0
"""Seconds without any answer of a model, while the server itself answers, after which it is loaded
again. A server under load answers some calls."""
FIRST_BACKOFF: Final = 1.0
LAST_BACKOFF: Final = 60.0
"""Seconds after a first and after a further attempt in vain."""
LOOK_SECONDS: Final = 5.0
"""Longer no look waits for one model: Triton's Python backend may wait for a process that is gone
until its watchdog sees that (docs/research/triton.md)."""

UP: Final = Gauge("sightline_triton_server_up", "Whether Triton itself answered the last look.")
RETRIES: Final = Counter(
    "sightline_triton_retries", "Inferences that were tried again.", ("model",)
)
RECOVERIES: Final = Counter(
    "sightline_triton_recoveries",
    'Models that were loaded anew, by what came of it: "mended" or "failed".',
    ("model", "outcome"),
)

log = get_logger()


class Retrying:
    """An Inference that tries again: an inference changes nothing, so that is safe.

    Not what was full or too slow: a further try would be more of the same.
    """

    def __init__(
        self,
        inference: Inference,
        trouble: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`trouble` is called when the model was found to be gone, or a process of it."""
        self.model, self.describe = inference.model, inference.describe
        self._inference = inference
        self._trouble = trouble
        self._clock = clock
        self._pause = pause
        self._answered_at = -math.inf

    async def infer(self, inputs: Tensors) -> Inferred:
        for pause in PAUSES:
            try:
                return await self._try(inputs)
            except ModelSilent:
                raise
            except EmbedderUnavailable:
                self._trouble()
                if not self._is_worth(pause):
                    raise
            RETRIES.labels(self.model).inc()
            await self._pause(pause)
        return await self._try(inputs)

    async def _try(self, inputs: Tensors) -> Inferred:
        answer = await self._inference.infer(inputs)
        self._answered_at = self._clock()
        return answer

    def _is_worth(self, pause: float) -> bool:
        left = deadlines.remaining()
        in_time = left is None or left > pause + LEAST
        return in_time and self._clock() + pause < self._answered_at + RETRY_SECONDS


@dataclass(slots=True)
class _Attempts:
    """What was tried for a model."""

    backoff: float = 0.0
    not_before: float = -math.inf
    missing: bool = False
    """Whether the last look found it not loaded."""
    looking: asyncio.Task[bool] | None = None
    """The last look at it, which may go on longer than those at others."""


class Recovery:
    """Looks at every model that should be served, and loads anew what does not come back alone."""

    def __init__(
        self,
        control: ModelServer,
        models: Callable[[], Sequence[ServedModel]],
        fitted: Callable[[], Awaitable[Collection[str]]],
        trouble: asyncio.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`models`: those that are served now; `fitted`: names of the fitted models that should be,
        whether they are or not; `trouble` is set by the caller that finds a fault."""
        self._control = control
        self._models = models
        self._fitted = fitted
        self._clock = clock
        self._attempts: dict[str, _Attempts] = {}
        self._trouble = trouble

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            closely = self._trouble.is_set()
            self._trouble.clear()
            try:
                well = await self.look(closely=closely)
            except Exception:  # The watch must not end: whatever it was, the next look comes.
                log.exception("triton_look_failed")
                well = False
            if not well:
                await asyncio.sleep(TROUBLED_SECONDS)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._trouble.wait()

    async def look(self, *, closely: bool = False) -> bool:
        """Look once, and reload what is broken; return whether all was well.

        `closely`: also at models that answer those who ask them.
        """
        try:
            states = await self._control.states()
        except ServiceError:
            UP.set(0)
            return False
        UP.set(1)
        models = {model.model: model for model in self._models()}
        names = {*models, *await self._fitted()}
        looks = []
        for name in names:
            attempts = self._attempts.setdefault(name, _Attempts())
            if attempts.looking is None or attempts.looking.done():
                state = states.get(name, "")
                look = self._look_at(name, models.get(name), state, attempts, closely=closely)
                attempts.looking = asyncio.create_task(look)
            looks.append(attempts.looking)
        if looks:
            await asyncio.wait(looks, timeout=LOOK_SECONDS)
        return all(each.done() and each.result() for each in looks)

    async def _look_at(
        self,
        name: str,
        model: ServedModel | None,
        state: str,
        attempts: _Attempts,
        *,
        closely: bool,
    ) -> bool:
        """Look at one model; return whether it was well."""
        if state == "LOADING":
            return False
        if state != "READY":
            # Twice, since an operator may be taking it out of service, or bringing it in.
            if attempts.missing:
                await self._reload(name, model, attempts, unload=False)
            attempts.missing = True
            return False
        attempts.missing = False
        if model is None or (self._is_well(model) and not closely):
            return True
        try:
            await model.prove()
        except ServiceError:
            if self._is_broken(model):
                await self._reload(name, model, attempts, unload=True)
            return False
        attempts.backoff = 0.0
        return True

    def _is_well(self, model: ServedModel) -> bool:
        """Return whether its own callers show that a model works, so that no probe is needed."""
        return model.trouble is None and self._clock() - model.answered_at < WATCH_SECONDS

    def _is_broken(self, model: ServedModel) -> bool:
        silent = self._clock() - model.answered_at > HUNG_SECONDS
        return isinstance(model.trouble, ProcessLost) or (
            isinstance(model.trouble, ModelSilent) and silent
        )

    async def _reload(
        self, name: str, model: ServedModel | None, attempts: _Attempts, *, unload: bool
    ) -> None:
        """Load a model anew, unless that was tried in vain a moment ago."""
        if self._clock() < attempts.not_before:
            return
        began = self._clock()
        try:
            if unload:
                await self._control.unload(name)
            await self._control.load(name)
            if model is not None:
                await model.prove()
        except ServiceError as error:
            self._note(name, attempts, "failed")
            log.warning("triton_model_not_recovered", model=name, reason=error.reason)
        else:
            self._note(name, attempts, "mended")
            log.info("triton_model_recovered", model=name, seconds=self._clock() - began)

    def _note(self, name: str, attempts: _Attempts, outcome: str) -> None:
        """Count an attempt, and put off the next: one that helps for a moment only is in vain."""
        RECOVERIES.labels(name, outcome).inc()
        attempts.backoff = min(max(attempts.backoff * 2, FIRST_BACKOFF), LAST_BACKOFF)
        attempts.not_before = self._clock() + attempts.backoff

"""Recovery of Triton: retries, and reloading of lost models.

Triton reports a model as READY, and starts no new process, after a process of the model was killed
or when one returns answers of other requests (server 2.51, 2026-11). Only a real inference detects
this, and only unloading and loading the model repairs it.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter, Gauge

from embedder.domain.errors import EmbedderUnavailable, ModelSilent, ProcessLost
from embedder.domain.models import Inferred, Tensors
from embedder.ports import Inference, ModelServer
from embedder.serving.model import PROVEN, ServedModel
from servicekit import deadlines
from servicekit.errors import ServiceError
from servicekit.tasks.supervision import Backoff, rest, supervised
from servicekit.telemetry import get_logger

RETRY_SECONDS: Final = 3.0
"""If a model answered within this number of seconds, its loss may be temporary, and calls are
retried. Later callers are rejected at once, so that they can use a fallback."""
PAUSES: Final = (0.05, 0.1, 0.2, *[0.4] * 8)
"""Seconds before each retry."""
SLOW_SECONDS: Final = 1.0
"""Seconds without an answer after which a call has the model checked: Triton does not say that the
process ended which has the request."""
LEAST: Final = 0.05
"""Minimum seconds of the deadline that must be left for a retry."""

WATCH_SECONDS: Final = 10.0
"""Seconds between two checks while all models work. An inference that finds a model lost triggers a
check at once."""
TROUBLED_SECONDS: Final = 0.5
"""Seconds between two checks while a model fails."""
HUNG_SECONDS: Final = 10.0
"""Seconds without any answer of a model, while the server itself answers, after which the model is
reloaded. A server under load answers some calls."""
FIRST_BACKOFF: Final = 1.0
LAST_BACKOFF: Final = 60.0
"""Seconds to wait after the first failed reload, and at most after further ones."""
LOOK_SECONDS: Final = 5.0
"""Maximum seconds that a check waits for a model: Triton's Python backend may wait for a lost
process until its watchdog notices (lab/research/triton.md)."""

UP: Final = Gauge(
    "sightline_triton_server_up", "1 if Triton itself answered the last check, else 0."
)
RETRIES: Final = Counter("sightline_triton_retries", "Retried inferences.", ("model",))
RECOVERIES: Final = Counter(
    "sightline_triton_recoveries",
    "Reloads of models by outcome: mended or failed.",
    ("model", "outcome"),
)

log = get_logger()


class Retrying:
    """An Inference with retries, which are safe as an inference changes nothing.

    A full queue or a timeout is not retried.
    """

    def __init__(
        self,
        inference: Inference,
        trouble: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`trouble` is called if the model or one of its processes is lost, or may be."""
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
        slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._trouble)
        try:
            answer = await self._inference.infer(inputs)
        finally:
            slow.cancel()
        self._answered_at = self._clock()
        return answer

    def _is_worth(self, pause: float) -> bool:
        left = deadlines.remaining()
        in_time = left is None or left > pause + LEAST
        return in_time and self._clock() + pause < self._answered_at + RETRY_SECONDS


@dataclass(slots=True)
class _Attempts:
    """Recovery state of one model."""

    backoff: float = 0.0
    not_before: float = -math.inf
    missing: bool = False
    """True if the model was not loaded at the last check."""
    well_at: float = -math.inf
    """Time of the last check that found the model working by its recent answers."""
    looking: asyncio.Task[bool] | None = None
    """The last check, which may still run."""


class Recovery:
    """Checks every model that should be served, and reloads models that do not recover by
    themselves."""

    def __init__(
        self,
        control: ModelServer,
        models: Callable[[], Sequence[ServedModel]],
        fitted: Callable[[], Awaitable[Collection[str]]],
        trouble: asyncio.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`models`: the served models; `fitted`: names of the fitted models that should be served;
        `trouble`: set by calls that find a fault."""
        self._control = control
        self._models = models
        self._fitted = fitted
        self._clock = clock
        self._attempts: dict[str, _Attempts] = {}
        self._trouble = trouble

    async def run(self) -> None:
        """Check repeatedly until cancelled."""
        backoff = Backoff(TROUBLED_SECONDS, TROUBLED_SECONDS)
        await supervised("check of models", self._turn, backoff)

    async def _turn(self) -> None:
        closely = self._trouble.is_set()
        self._trouble.clear()
        if await self.look(closely=closely):
            await rest(WATCH_SECONDS, self._trouble)
        else:
            await asyncio.sleep(TROUBLED_SECONDS)

    async def look(self, *, closely: bool = False) -> bool:
        """Check all models once, and reload broken ones. Return whether all work.

        `closely`: also probe models whose recent calls succeeded.
        """
        try:
            states = await self._control.states()
        except ServiceError:
            UP.set(0)
            for model in self._models():
                model.doubt()
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
                attempts.looking = asyncio.create_task(look, context=Context())
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
        """Check one model. Return whether it works."""
        if model is not None and state != "READY":
            model.doubt()
        if state == "LOADING":
            return False
        if state != "READY":
            # Reloaded only at the second check: an operator may be retiring or promoting it just
            # now.
            if attempts.missing:
                await self._reload(name, model, attempts, unload=False)
            attempts.missing = True
            return False
        attempts.missing = False
        if model is None or (self._is_well(model) and not closely):
            attempts.well_at = self._clock()
            return True
        try:
            await model.prove()
        except ServiceError:
            if self._is_broken(model, attempts):
                await self._reload(name, model, attempts, unload=True)
            return False
        attempts.backoff = 0.0
        return True

    def _is_well(self, model: ServedModel) -> bool:
        """Return whether recent calls show that a model works, so that no probe is needed."""
        return model.trouble is None and self._clock() - model.answered_at < PROVEN

    def _is_broken(self, model: ServedModel, attempts: _Attempts) -> bool:
        silent = self._clock() - max(model.answered_at, attempts.well_at) > HUNG_SECONDS
        return isinstance(model.trouble, ProcessLost) or (
            isinstance(model.trouble, ModelSilent) and silent
        )

    async def _reload(
        self, name: str, model: ServedModel | None, attempts: _Attempts, *, unload: bool
    ) -> None:
        """Reload a model, unless the wait after a recent reload is not over."""
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
            log.warning("model not recovered", model=name, reason=error.reason)
        else:
            self._note(name, attempts, "mended")
            log.info("model recovered", model=name, seconds=self._clock() - began)

    def _note(self, name: str, attempts: _Attempts, outcome: str) -> None:
        """Count a reload and set the earliest time of the next, also after a success, which may not
        last."""
        RECOVERIES.labels(name, outcome).inc()
        attempts.backoff = min(max(attempts.backoff * 2, FIRST_BACKOFF), LAST_BACKOFF)
        attempts.not_before = self._clock() + attempts.backoff

"""One inference for what several calls want at the same time.

A model is asked at once while it has a place. What comes meanwhile waits for the next place and
then goes together, as much as one inference takes: an idle model adds no delay, a busy one is
asked less often. A request of its own for each photo costs 1 ms of processor time here and in
Triton, beside 5 ms of computing (2 cores, 2026-11).
"""

import asyncio
import contextvars
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
from prometheus_client import Histogram

from embedder.domain.errors import ModelFailed
from embedder.domain.items import Priority
from embedder.domain.models import Description, Inferred, Tensors
from embedder.ports import Inference
from embedder.serving.priority import urgency
from servicekit import deadlines

ROWS = Histogram(
    "sightline_inference_rows",
    "Photos' views or texts in one inference.",
    ("model",),
    buckets=(1, 2, 4, 8, 16, 32, 64),
)


@dataclass(slots=True)
class _Wanted:
    """The inputs of one call."""

    priority: Priority
    inputs: Tensors
    form: Sequence[tuple[str, str, tuple[int, ...]]]
    """Name, type and shape of each input, the rows apart."""
    context: contextvars.Context
    """The call's own: its deadline, and whom to name to Triton."""
    answer: asyncio.Future[Inferred] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))

    def is_like(self, other: "_Wanted") -> bool:
        """Return whether one inference can serve both.

        Interactive calls do not wait for bulk rows.
        """
        return self.priority is other.priority and self.form == other.form


class Batching:
    """An Inference that batches concurrent calls."""

    def __init__(self, inference: Inference, most: int, places: int) -> None:
        """`most` rows in an inference, if the model takes as many; `places` inferences at once, one
        of them reserved for interactive calls."""
        if places < 2:
            raise ValueError("one place for bulk work and one for interactive work are needed")
        self.model = inference.model
        self._inference = inference
        self._most = most
        self._takes = most
        self._free = places
        self._waiting: list[_Wanted] = []
        self._running: dict[asyncio.Task[None], Sequence[_Wanted]] = {}

    async def describe(self) -> Description:
        described = await self._inference.describe()
        self._takes = min(self._most, described.max_batch)
        return described

    async def infer(self, inputs: Tensors) -> Inferred:
        """Run the model; see ports.Inference. Calls without a priority run at once and alone."""
        priority = urgency.get()
        if priority is None:
            return await self._inference.infer(inputs)
        wanted = _Wanted(priority, inputs, _form(inputs), contextvars.copy_context())
        self._waiting.append(wanted)
        self._send()
        try:
            return await wanted.answer
        except asyncio.CancelledError:
            self._stop_unwanted()
            raise

    def _send(self) -> None:
        """Start an inference in every free place."""
        while batch := self._next():
            self._free -= 1
            running = asyncio.create_task(self._run(batch), context=_context(batch))
            self._running[running] = batch
            running.add_done_callback(self._done)

    def _stop_unwanted(self) -> None:
        """Cancel abandoned inferences."""
        for running, batch in self._running.items():
            if all(each.answer.done() for each in batch):
                running.cancel()

    def _next(self) -> list[_Wanted]:
        """Take the calls of the next inference; none if they have to wait."""
        if not self._free:
            return []
        self._waiting = [each for each in self._waiting if not each.answer.done()]  # gave up
        if not self._waiting:
            return []
        first = min(self._waiting, key=attrgetter("priority"))  # of alike ones the oldest
        if self._free <= (0 if first.priority is Priority.INTERACTIVE else 1):
            return []
        batch, rows = [first], first.rows
        for each in self._waiting:
            if each is not first and each.is_like(first) and rows + each.rows <= self._takes:
                batch.append(each)
                rows += each.rows
        taken = set(map(id, batch))
        self._waiting = [each for each in self._waiting if id(each) not in taken]
        return batch

    def _done(self, running: asyncio.Task[None]) -> None:
        del self._running[running]
        self._free += 1
        self._send()

    async def _run(self, batch: Sequence[_Wanted]) -> None:
        """Answer all calls of a batch, with one inference unless that fails."""
        try:
            found = await self._inference.infer(_together(batch))
            _share(found, batch)
        except ModelFailed as error:
            if len(batch) == 1:
                _fail(batch, error)
            else:  # what it can't do of one costs the others nothing
                for each in batch:
                    await self._run([each])
        except Exception as error:  # it is theirs who wait
            _fail(batch, error)
        else:
            ROWS.labels(self.model).observe(sum(each.rows for each in batch))


def _form(inputs: Tensors) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(name, values.dtype.str, values.shape[1:]) for name, values in inputs.items()]


def _context(batch: Sequence[_Wanted]) -> contextvars.Context:
    """Return the first call's context, with the latest of the deadlines."""
    first, *others = (each.context for each in batch)
    if others:
        left = [each.run(deadlines.remaining) for each in (first, *others)]
        ends = [seconds for seconds in left if seconds is not None]
        first.run(deadlines.start, max(ends) if len(ends) == len(left) else None)
    return first


def _together(batch: Sequence[_Wanted]) -> Tensors:
    first, *others = (each.inputs for each in batch)
    if not others:
        return first
    return {name: np.concatenate([first[name], *(o[name] for o in others)]) for name in first}


def _share(found: Inferred, batch: Sequence[_Wanted]) -> None:
    """Split an answer among its calls. Raises ModelFailed if its rows do not match theirs."""
    if len(batch) > 1 and len(found.vectors) != sum(each.rows for each in batch):
        raise ModelFailed("the model's answer has another shape than it says")
    start = 0
    for each in batch:
        rows = slice(start, start := start + each.rows)
        if each.answer.done():
            continue
        vectors, categories = found.vectors, found.categories
        if len(batch) > 1:
            vectors = vectors[rows]
            categories = None if categories is None else categories[rows]
        each.answer.set_result(Inferred(vectors, found.model_version, categories))


def _fail(batch: Sequence[_Wanted], error: BaseException) -> None:
    for each in batch:
        if not each.answer.done():
            each.answer.set_exception(error)

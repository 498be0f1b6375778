"""Batching of concurrent calls into one inference.

A call runs at once while a place is free. Otherwise it waits, and the next free place runs all
waiting calls that fit into one inference: an idle model adds no delay, a busy one gets fewer
requests. Each request costs 1 ms of processor time here and in Triton, beside 5 ms of computing per
photo (2 cores, 2026-11).

One place is reserved for interactive calls. For SHOPPED seconds after each of them, bulk calls have
a single place, and it rests after each inference for as long as that took: on few cores, more of
them take the processors of all services.
"""

import asyncio
import contextvars
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
from prometheus_client import Histogram

from embedder.domain.errors import ModelFailed
from embedder.domain.items import Priority
from embedder.domain.models import Description, Inferred, Tensors
from embedder.domain.urgency import urgency
from embedder.ports import Inference
from servicekit import deadlines
from servicekit.tasks.promise import Promise

ROWS = Histogram(
    "sightline_inference_rows",
    "Rows (views of photos, or texts) in one inference.",
    ("model",),
    buckets=(1, 2, 4, 8, 16, 32, 64),
)


SHOPPED = 2.0
"""Seconds for which an interactive call leaves bulk calls a single place, with rests."""


@dataclass(slots=True)
class _Wanted:
    """The inputs of one call."""

    priority: Priority
    inputs: Tensors
    form: Sequence[tuple[str, str, tuple[int, ...]]]
    """Name, type and shape of each input, without the rows."""
    context: contextvars.Context
    """Context of the call: deadline, request id and trace."""
    answer: Promise[Inferred] = field(default_factory=Promise)

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))

    def is_like(self, other: "_Wanted") -> bool:
        """Return whether one inference can serve both calls.

        Interactive calls do not wait for bulk rows.
        """
        return self.priority is other.priority and self.form == other.form


class Batching:
    """An Inference that batches concurrent calls."""

    def __init__(self, inference: Inference, most: int, places: int) -> None:
        """`most`: maximum rows of an inference, up to the model's limit; `places`: concurrent
        inferences, one of them reserved for interactive calls."""
        if places < 2:
            raise ValueError(
                "at least two places are needed: one for bulk, one for interactive calls"
            )
        self.model = inference.model
        self._inference = inference
        self._most = most
        self._takes = most
        self._free = self._places = places
        self._asked = -math.inf
        """When an interactive call came last, by the loop's clock."""
        self._bulk_rests = False
        self._waiting: list[_Wanted] = []
        self._running: dict[asyncio.Task[None], Sequence[_Wanted]] = {}

    async def describe(self) -> Description:
        described = await self._inference.describe()
        self._takes = min(self._most, described.max_batch)
        return described

    async def infer(self, inputs: Tensors) -> Inferred:
        """Run the model; see ports.Inference. Calls without a priority run at once, unbatched."""
        priority = urgency.get()
        if priority is None:
            return await self._inference.infer(inputs)
        wanted = _Wanted(priority, inputs, _form(inputs), contextvars.copy_context())
        if priority is Priority.INTERACTIVE:
            self._asked = asyncio.get_running_loop().time()
        self._waiting.append(wanted)
        self._send()
        try:
            return await wanted.answer.value()
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
            if all(each.answer.over for each in batch):
                running.cancel()

    def _next(self) -> list[_Wanted]:
        """Take the calls of the next inference; none if they must wait for a place."""
        if not self._free:
            return []
        self._waiting = [each for each in self._waiting if not each.answer.over]  # gave up
        if not self._waiting:
            return []
        first = min(self._waiting, key=attrgetter("priority"))  # the oldest of the most urgent
        if first.priority is not Priority.INTERACTIVE and not self._has_place_for_bulk():
            return []
        batch, rows = [first], first.rows
        for each in self._waiting:
            if each is not first and each.is_like(first) and rows + each.rows <= self._takes:
                batch.append(each)
                rows += each.rows
        taken = set(map(id, batch))
        self._waiting = [each for each in self._waiting if id(each) not in taken]
        return batch

    def _has_place_for_bulk(self) -> bool:
        if self._free <= 1:
            return False
        bulk = sum(batch[0].priority is Priority.BULK for batch in self._running.values())
        if not self._is_shopped():
            return bulk < self._places - 1
        return not bulk and not self._bulk_rests

    def _is_shopped(self) -> bool:
        return asyncio.get_running_loop().time() < self._asked + SHOPPED

    def _rest(self, seconds: float) -> None:
        """Let bulk calls wait after an inference of some of them that took so long."""
        if self._is_shopped():
            self._bulk_rests = True
            asyncio.get_running_loop().call_later(seconds, self._end_rest)

    def _end_rest(self) -> None:
        self._bulk_rests = False
        self._send()

    def _done(self, running: asyncio.Task[None]) -> None:
        del self._running[running]
        self._free += 1
        self._send()

    async def _run(self, batch: Sequence[_Wanted]) -> None:
        """Answer all calls of a batch with one inference; if that fails, with one for each."""
        now = asyncio.get_running_loop().time
        began = now()
        try:
            found = await self._inference.infer(_together(batch))
            _share(found, batch)
        except ModelFailed as error:
            if len(batch) == 1:
                _fail(batch, error)
            else:  # one invalid call must not fail the others
                for each in batch:
                    if not each.answer.over:  # its caller gave up
                        await self._run([each])
        except Exception as error:  # raised to the waiting calls
            _fail(batch, error)
        else:
            ROWS.labels(self.model).observe(sum(each.rows for each in batch))
        if batch[0].priority is Priority.BULK:
            self._rest(now() - began)


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
    """Split an answer among its calls. Raises ModelFailed if the number of rows differs."""
    if len(batch) > 1 and len(found.vectors) != sum(each.rows for each in batch):
        raise ModelFailed("the shape of the model's answer differs from its configuration")
    start = 0
    for each in batch:
        rows = slice(start, start := start + each.rows)
        if each.answer.over:
            continue
        vectors, categories = found.vectors, found.categories
        if len(batch) > 1:
            vectors = vectors[rows]
            categories = None if categories is None else categories[rows]
        each.answer.keep(Inferred(vectors, found.model_version, categories))


def _fail(batch: Sequence[_Wanted], error: BaseException) -> None:
    for each in batch:
        each.answer.fail(error)

"""Profilers of an event loop's thread, by calls and by bytecodes."""

from __future__ import annotations

import asyncio
import cProfile
import gc
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Counted:
    """Work of one answer."""

    python: int = 0
    c: int = 0
    bytecodes: int = 0

    @property
    def calls(self) -> int:
        """Return the number of calls that is limited."""
        return self.python + self.c

    def __add__(self, other: Counted) -> Counted:
        return Counted(
            self.python + other.python, self.c + other.c, self.bytecodes + other.bytecodes
        )

    def __sub__(self, other: Counted) -> Counted:
        return Counted(
            self.python - other.python, self.c - other.c, self.bytecodes - other.bytecodes
        )


@dataclass(frozen=True, slots=True)
class Window:
    """Work in a time, all of one kind: calls or bytecodes."""

    counted: Counted
    functions: Counter[str]
    files: Counter[str]
    """By file: that of its functions; of calls, also those of C that they make."""
    callers: Mapping[str, Counter[str]] = field(default_factory=dict)
    """By function: which functions call it."""

    @classmethod
    def of_calls(cls, profile: cProfile.Profile) -> Window:
        """Return the calls that a profile has counted."""
        functions, files, python = Counter[str](), Counter[str](), 0
        callers = defaultdict[str, Counter[str]](Counter)
        for entry in profile.getstats():
            name = _name(entry.code)
            functions[name] += entry.callcount
            for each in entry.calls or ():
                callers[_name(each.code)][name] += each.callcount
            if not isinstance(entry.code, str):
                python += entry.callcount
                made = (each.callcount for each in entry.calls or () if isinstance(each.code, str))
                files[name.partition(":")[0]] += entry.callcount + sum(made)
        return cls(Counted(python, functions.total() - python), functions, files, callers)

    @classmethod
    def of_bytecodes(cls, executed: Mapping[CodeType, int]) -> Window:
        """Return the bytecodes that were executed by each function."""
        functions, files = Counter[str](), Counter[str]()
        for code, times in executed.items():
            name = _name(code)
            functions[name] += times
            files[name.partition(":")[0]] += times
        return cls(Counted(bytecodes=functions.total()), functions, files)


def _name(code: Any) -> str:
    """Return the name of a function, with its file and line if it is Python's."""
    if isinstance(code, str):
        return code
    file = "/".join(Path(code.co_filename).parts[-4:])
    return f"{file}:{code.co_firstlineno} {code.co_qualname}"


class Profiler(Protocol):
    """Counts work in the thread of an event loop."""

    def start(self) -> None:
        """Begin to count."""

    def stop(self) -> Window:
        """Return the work since `start`."""

    def quiet(self) -> None:
        """Let no finalizer run from now on: it runs at times of its own."""


class LoopThread:
    """The thread of an event loop of this process, seen from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def do(self, work: Callable[[], object]) -> None:
        """Do a work there, and wait for its end."""
        done = Future[None]()

        def run() -> None:
            work()
            done.set_result(None)

        self._loop.call_soon_threadsafe(run)
        done.result()

    def quiet(self) -> None:
        """See Profiler."""
        gc.collect()
        gc.disable()


class CallProfiler(LoopThread):
    """Counts Python and C calls."""

    def start(self) -> None:
        """See Profiler."""
        self._profile = cProfile.Profile()
        self.do(self._profile.enable)

    def stop(self) -> Window:
        """See Profiler."""
        self.do(self._profile.disable)
        return Window.of_calls(self._profile)


class BytecodeProfiler(LoopThread):
    """Counts executed bytecodes, those of coroutines that go on included."""

    def start(self) -> None:
        """See Profiler."""
        self._executed = executed = defaultdict[CodeType, int](int)

        def count(frame: FrameType, event: str, _: Any) -> Any:
            if event == "opcode":
                executed[frame.f_code] += 1
            return count

        def enter(frame: FrameType, _event: str, _: Any) -> Any:
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
            return count

        self.do(lambda: sys.settrace(enter))

    def stop(self) -> Window:
        """See Profiler."""
        self.do(lambda: sys.settrace(None))
        return Window.of_bytecodes(self._executed)

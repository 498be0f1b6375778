"""Models in processes of the service, with programs that crash, hang and fail when they are asked
to."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from embedder.adapters.onnxruntime.engine import OnnxEngine
from embedder.adapters.onnxruntime.model_process import MOST_WAITING
from embedder.domain import errors
from embedder.domain.items import Priority
from embedder.domain.models import Tensors
from embedder.domain.urgency import asking
from embedder.serving.model import ServedModel
from embedder.serving.recovery import Recovery
from servicekit import deadlines
from tests.fakes.triton import MODELS
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.slow

GIB = 2**30
CRASH, HANG, FAIL, REJECT, GREED, WHO = range(1, 7)
"""First pixels, and what they have the program do."""

PROGRAM = f"""
import json, os, time
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        outputs = json.loads(args["model_config"])["output"]
        assert [each["name"] for each in outputs] == ["embedding"]

    def execute(self, requests):
        for request in requests:
            pixels = pb.get_input_tensor_by_name(request, "image").as_numpy()
            answer = self.answer(int(pixels.flat[0]), len(pixels), request)
            if answer is not None:
                request.get_response_sender().send(
                    answer, flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL
                )

    def answer(self, wanted, rows, request):
        if wanted == {CRASH}:
            os.abort()
        if wanted == {HANG}:
            return None
        if wanted == {FAIL}:
            return pb.InferenceResponse([], pb.TritonError("no", pb.TritonError.INTERNAL))
        if wanted == {REJECT}:
            return pb.InferenceResponse([], pb.TritonError("no", pb.TritonError.INVALID_ARG))
        if wanted == {GREED}:
            try:
                np.ones(2**30, np.uint8)
            except MemoryError as error:
                said = type(error).__name__
                return pb.InferenceResponse([], pb.TritonError(said, pb.TritonError.INTERNAL))
        vectors = np.zeros((rows, 1280), np.float32)
        vectors[:, wanted] = 1
        if wanted == {WHO}:
            vectors[0, :2] = os.getpid(), json.loads(request.parameters()).get("bulk", False)
        return pb.InferenceResponse([pb.Tensor("embedding", vectors)])
"""


def model(folder: Path, name: str, program: str = PROGRAM) -> Path:
    """Write a model with the configuration of a real one. Return its folder."""
    made = folder / name
    (made / "1").mkdir(parents=True)
    text = (MODELS / "efficientnet_lite0/config.pbtxt").read_text()
    (made / "config.pbtxt").write_text(text.replace('"efficientnet_lite0"', f'"{name}"', 1))
    (made / "1/model.onnx").touch()
    (made / "1/model.py").write_text(program)
    return made


def photos(first: int, rows: int = 1) -> Tensors:
    return {"image": np.full((rows, 224, 224, 3), first, np.uint8)}


@asynccontextmanager
async def running(
    folder: Path, *names: str, seconds: float = SECONDS, memory: int = GIB
) -> AsyncIterator[OnnxEngine]:
    """Run the engine with these models, loaded."""
    for name in names:
        model(folder, name)
    async with OnnxEngine([folder], seconds, memory, first=names) as engine:
        for name in names:
            await until(lambda name=name: answered(engine, name))  # type: ignore[misc]
        yield engine


async def answered(engine: OnnxEngine, name: str) -> bool:
    with suppress(errors.ModelAbsent):
        return bool((await engine.inference(name).infer(photos(200))).vectors[0, 200])
    return False


def pid(engine: OnnxEngine, name: str) -> int:
    return engine.model(name).process.pid


def variables(process: int) -> list[bytes]:
    return Path(f"/proc/{process}/environ").read_bytes().split(b"\0")


def gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


async def test_concurrent_requests_get_the_answers_to_their_own_inputs(tmp_path: Path) -> None:
    async with running(tmp_path, "one") as engine:
        inference = engine.inference("one")
        described = await inference.describe()
        assert (described.model, described.dimension, described.max_batch) == ("one", 1280, 4)
        wanted = range(20, 60)
        found = await asyncio.gather(*(inference.infer(photos(w, w % 4 + 1)) for w in wanted))
        for which, answer in zip(wanted, found, strict=True):
            assert answer.model_version == "1"
            assert answer.vectors.shape == (which % 4 + 1, 1280)
            assert (answer.vectors.argmax(axis=1) == which).all()


async def test_a_crash_fails_the_calls_of_its_model_alone_and_the_watch_mends_it(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, "one", "other") as engine:
        served = {name: ServedModel(engine.inference(name), 0) for name in ("one", "other")}
        trouble = asyncio.Event()

        async def fitted() -> set[str]:
            return set()

        watch = Recovery(engine, lambda: list(served.values()), fitted, trouble)
        assert await watch.look()
        hanging = asyncio.create_task(engine.inference("one").infer(photos(HANG)))
        await asyncio.sleep(0)
        before = pid(engine, "one")
        with pytest.raises(errors.ProcessLost):
            await engine.inference("one").infer(photos(CRASH))
        with pytest.raises(errors.ProcessLost):
            await hanging
        with pytest.raises(errors.ProcessLost):
            await engine.inference("one").infer(photos(9))
        assert await answered(engine, "other")
        await until(lambda: watch.look(closely=True))
        assert await answered(engine, "one")
        assert pid(engine, "one") != before
        assert gone(before)


async def test_a_killed_process_is_lost_at_once_whatever_it_was_doing(tmp_path: Path) -> None:
    async with running(tmp_path, "one") as engine:
        calls = [asyncio.create_task(engine.inference("one").infer(photos(HANG))) for _ in range(5)]
        await asyncio.sleep(0)
        os.kill(pid(engine, "one"), signal.SIGKILL)
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in found] == [errors.ProcessLost] * 5


async def test_a_model_that_hangs_is_silent_and_can_be_loaded_anew(tmp_path: Path) -> None:
    async with running(tmp_path, "one", seconds=0.3) as engine:
        before = pid(engine, "one")
        os.kill(before, signal.SIGSTOP)
        with pytest.raises(errors.ModelSilent):
            await engine.inference("one").infer(photos(9))
        await engine.unload("one")
        with pytest.raises(errors.ModelAbsent):
            await engine.inference("one").infer(photos(9))
        await engine.load("one")
        await until(lambda: gone(before))
        assert await until_answered(engine, "one")


async def until_answered(engine: OnnxEngine, name: str) -> bool:
    """Return True once a model with a short time limit has answered."""

    async def found() -> bool:
        with suppress(errors.ModelSilent):
            return await answered(engine, name)
        return False

    await until(found)
    return True


async def test_a_callers_own_deadline_says_nothing_about_the_model(tmp_path: Path) -> None:
    async with running(tmp_path, "one") as engine:
        deadlines.start(0.2)
        with pytest.raises(errors.DeadlinePassed):
            await engine.inference("one").infer(photos(HANG))
        with pytest.raises(errors.DeadlinePassed):
            await engine.inference("one").infer(photos(9))
        deadlines.start(None)
        assert await answered(engine, "one")


async def test_more_requests_than_a_process_may_hold_are_rejected(tmp_path: Path) -> None:
    async with running(tmp_path, "one") as engine:
        inference = engine.inference("one")
        calls = [asyncio.create_task(inference.infer(photos(HANG))) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        calls[0].cancel()  # abandoned, but the process still has it
        await asyncio.sleep(0)
        with pytest.raises(errors.QueueFull):
            await inference.infer(photos(9))
        os.kill(pid(engine, "one"), signal.SIGKILL)
        await asyncio.gather(*calls, return_exceptions=True)


async def test_a_request_that_needs_too_much_memory_fails_alone(tmp_path: Path) -> None:
    async with running(tmp_path, "one", memory=GIB // 2) as engine:
        before = pid(engine, "one")
        with pytest.raises(errors.ModelFailed, match="EMBEDDER_MODEL_BYTES"):
            await engine.inference("one").infer(photos(GREED))
        assert await answered(engine, "one")
        assert pid(engine, "one") == before


@pytest.mark.parametrize(
    ("wanted", "error"), [(FAIL, errors.ModelFailed), (REJECT, errors.ModelNotReady)]
)
async def test_what_a_program_says_is_a_typed_error(
    tmp_path: Path, wanted: int, error: type[Exception]
) -> None:
    async with running(tmp_path, "one") as engine:
        with pytest.raises(error):
            await engine.inference("one").infer(photos(wanted))
        assert await answered(engine, "one")


async def test_imports_are_marked_for_the_threads_of_low_priority(tmp_path: Path) -> None:
    async with running(tmp_path, "one") as engine:
        inference = engine.inference("one")
        for priority in Priority:
            with asking(priority):
                (answer,) = (await inference.infer(photos(WHO))).vectors
            assert list(answer[:2]) == [pid(engine, "one"), priority is Priority.BULK]


async def test_requests_in_progress_are_answered_by_the_process_that_is_replaced(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, "one") as engine:
        former = pid(engine, "one")
        os.kill(former, signal.SIGSTOP)
        waiting = asyncio.create_task(engine.inference("one").infer(photos(WHO)))
        await asyncio.sleep(0)
        await engine.load("one")
        assert pid(engine, "one") != former
        os.kill(former, signal.SIGCONT)
        assert (await waiting).vectors[0, 0] == former
        await until(lambda: gone(former))


MISSING = """raise ModuleNotFoundError("No module named 'onnxruntime'")"""
BROKEN = {
    "no folder": ("make setup|triton_engine.build", None),
    "no graph": ("has no model.onnx", None),
    "other backend": ("not of a model for CPUs", None),
    "bad program": ("can't be loaded", "raise ValueError('no')"),
    "no runtime": (r"sightline-embedder\[onnxruntime\]", MISSING),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_model_that_can_not_be_loaded_says_what_to_do_and_affects_no_other(
    tmp_path: Path, what: str
) -> None:
    said, program = BROKEN[what]
    if what != "no folder":
        made = model(tmp_path, "bad", program or PROGRAM)
    if what == "no graph":
        (made / "1/model.onnx").unlink()
    if what == "other backend":
        gpu = (MODELS / "efficientnet_lite0/configs/gpu.pbtxt").read_text()
        (made / "config.pbtxt").write_text(gpu)
    async with running(tmp_path, "one") as engine:
        with pytest.raises(errors.ModelNotReady, match=said):
            await engine.load("bad")
        with pytest.raises(errors.ModelNotReady, match=said):
            await engine.inference("bad").describe()
        assert await engine.loaded() == {"one"}
        assert await engine.states() == {"one": "READY"}
        assert await answered(engine, "one")


async def test_processes_end_with_the_engine_and_with_the_service(tmp_path: Path) -> None:
    async with running(tmp_path, "one") as engine:
        process = pid(engine, "one")
    assert gone(process)
    program = f"""
        import asyncio
        from pathlib import Path
        from embedder.adapters.onnxruntime.engine import OnnxEngine

        async def main():
            async with OnnxEngine([Path({str(tmp_path)!r})], 60, 2**30, ["one"]) as engine:
                while "one" not in engine._models:
                    await asyncio.sleep(0.1)
                print(engine.model("one").process.pid, flush=True)
                await asyncio.sleep(600)

        asyncio.run(main())
    """
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", dedent(program)), stdout=asyncio.subprocess.PIPE
    )
    assert service.stdout is not None
    process = int(await service.stdout.readline())
    assert not gone(process)
    service.kill()
    await service.wait()
    await until(lambda: gone(process))


async def test_a_process_sees_no_variable_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANKER_DATABASE_URL", "postgresql://ranker:secret@db")
    monkeypatch.setenv("SIGHTLINE_SUITE", "/srv/data")
    async with running(tmp_path, "one") as engine:
        seen = variables(pid(engine, "one"))
    assert b"SIGHTLINE_SUITE=/srv/data" in seen
    assert not any(b"RANKER" in each for each in seen)

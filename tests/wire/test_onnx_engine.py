"""The engine `onnx` beside a real Triton: the same models, the same vectors, and the embedder's
calls while a model crashes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedder.adapters.onnxruntime.engine import OnnxEngine
from embedder.adapters.triton.client import Triton
from embedder.domain.models import Description, Inferred, Tensors
from embedder.domain.recipes import SECOND, LineRecipe, PairRecipe, PhotoRecipe, TextRecipe
from embedder.preprocessing import preprocess
from embedder.settings import Engine
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
from sightline_rules.photos import PhotoLimits
from tests.engines import ROOT, free_port
from tests.fakes.photos import photo
from tests.triton import MODELS, real_triton
from tests.waiting import SECONDS, until
from tests.wire.embedder_server import RECOVERY, batch, reasons, served

WINES = ROOT / "examples" / "wines" / "images"
PHOTO_MODEL, TEXT_MODEL = "efficientnet_lite0", "texts_16"
ALL = sorted(path.parent.name for path in MODELS.glob("*/config.pbtxt"))
GIB = 2**30


@asynccontextmanager
async def both(folder: Path, names: Sequence[str]) -> AsyncIterator[tuple[Triton, OnnxEngine]]:
    """Run Triton and the engine with these models."""
    port = free_port()
    async with (
        real_triton(port, folder / "log", names),
        Triton(f"127.0.0.1:{port}", SECONDS) as triton,
        OnnxEngine([MODELS], SECONDS, 2 * GIB, first=names) as engine,
    ):
        await until(lambda: ready(triton, names))
        await until(lambda: ready(engine, names))
        yield triton, engine


async def ready(engine: Any, names: Sequence[str]) -> bool:
    try:
        states = await engine.states()
    except Exception:  # not there yet
        return False
    return all(states.get(name) == "READY" for name in names)


def inputs(described: Description, rows: int) -> Tensors:
    """Return photos of wines or texts of several lengths as a model takes them."""
    random = np.random.default_rng(rows)
    match described.recipe:
        case PhotoRecipe(side):
            files = [path.read_bytes() for path in sorted(WINES.glob("*.jpg"))[:rows]]
            pixels = [preprocess.pixels(f, PhotoLimits(), described.recipe)[0] for f in files]
            stacked = np.frombuffer(b"".join(pixels), np.uint8)
            kinds = {"kind": np.ones((rows, 1), np.float32)} if described.cameras else {}
            return {"image": stacked.reshape(rows, side, side, 3), **kinds}
        case LineRecipe(height):
            return {"image": random.integers(0, 256, (rows, height, 200, 3), np.uint8)}
        case TextRecipe():
            ids = random.integers(1, 1000, (rows, 12))
            return {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        case PairRecipe(first, second):
            found: dict[str, Any] = {}
            for prefix, recipe in (("", first), (SECOND, second)):
                taken = inputs(replace(described, recipe=recipe), rows)
                found |= {prefix + name: values for name, values in taken.items()}
            return found
        case _:
            raise AssertionError(described.recipe)


def same(first: Inferred, second: Inferred) -> bool:
    """Return whether two answers have the same bits."""
    pairs = [(first.vectors, second.vectors)]
    pairs += [(first.maps[name], second.maps[name]) for name in first.maps]
    return (
        first.maps.keys() == second.maps.keys()
        and first.model_version == second.model_version
        and all(np.array_equal(one, other) for one, other in pairs)
    )


async def check_same(triton: Triton, engine: OnnxEngine, model: str, most: int) -> None:
    ours, theirs = engine.inference(model), triton.inference(model)
    described = await ours.describe()
    beside = await theirs.describe()
    assert (described.hashes, described.recipe, described.precision, described.max_batch) == (
        beside.hashes,
        beside.recipe,
        beside.precision,
        beside.max_batch,
    )
    for rows in (1, most):
        given = inputs(described, rows)
        expected, found = await theirs.infer(given), await ours.infer(given)
        assert np.isfinite(expected.vectors).all()
        assert same(expected, found), f"{model}: {rows} rows"


@pytest.mark.when("deploy/triton", "services/embedder")
async def test_photos_and_texts_have_the_same_vectors_by_both_engines(tmp_path: Path) -> None:
    names = (PHOTO_MODEL, TEXT_MODEL)
    async with both(tmp_path, names) as (triton, engine):
        for model in names:
            await check_same(triton, engine, model, 4)


@pytest.mark.full
async def test_every_model_has_the_same_outputs_by_both_engines(tmp_path: Path) -> None:
    async with both(tmp_path, (PHOTO_MODEL,)) as (triton, engine):
        for model in ALL:
            for each in (triton, engine):
                await each.load(model)
            await check_same(triton, engine, model, 2)  # the maps of more exceed a message
            for each in (triton, engine):
                await each.unload(model)


@pytest.mark.slow
async def test_answers_go_on_while_a_model_crashes_and_it_comes_back() -> None:
    options = {
        "engine": Engine.ONNX,
        "backbones": str(MODELS),
        "models": (PHOTO_MODEL,),
        "text_models": (TEXT_MODEL,),
    }
    async for channel in served(1, **options):
        await check_crashes(pb_grpc.EmbeddingServiceStub(channel))


async def check_crashes(stub: Any) -> None:
    watching = asyncio.create_task(RECOVERY[0].run())
    by_text = pb.BatchEmbedRequest()
    by_text.items.add(text="a dry white wine from the Loire")

    async def is_good() -> bool:
        return await embedded(stub, batch(photo())) == [""]

    await until(is_good)
    for _ in range(3):
        os.kill(process_of(PHOTO_MODEL), signal.SIGSEGV)
        # Its own calls are retried or fail with a reason; texts don't notice.
        assert await embedded(stub, by_text) == [""]
        assert set(await embedded(stub, batch(photo()))) <= {"", "EMBEDDER_UNAVAILABLE"}
        await until(is_good)
    watching.cancel()


async def embedded(stub: Any, asked: pb.BatchEmbedRequest) -> list[str]:
    """Return the reason of each item's failure; empty for a vector."""
    return reasons(await stub.BatchEmbed(asked, timeout=SECONDS))


def process_of(model: str) -> int:
    """Return the id of the process of a model that this process started."""
    wanted = f"embedder.adapters.onnxruntime.host\0{model}\0"
    for entry in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
        if wanted in Path(f"/proc/{entry}/cmdline").read_text():
            return int(entry)
    raise AssertionError(f"no process of {model}")

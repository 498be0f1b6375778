"""A network of a shop's own, from its file to searches and back, as the page says."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from embedder.domain.photos import WHOLE
from embedder.domain.recipes import PhotoRecipe
from embedder.preprocessing import preprocess
from examples.wines import loading
from examples.wines.catalogue import load_wines
from examples.wines.local import free_port_base
from local_suite.programs import ALL, sightline
from local_suite.suite import Suite
from sightline_client import SightlineClient
from tests.engines import ROOT
from tests.live.hands import SIGHTLINE, Hands
from tests.unit.embedder.bringing.graphs import SIDE, WIDTH, tower
from tests.waiting import SECONDS

pytestmark = [
    pytest.mark.full,
    pytest.mark.when(
        "docs/operate/own-models.md",
        "services/embedder/src/embedder/bringing",
        "deploy/triton/triton_engine",
    ),
]

PAGE = (ROOT / "docs" / "operate" / "own-models.md").read_text("utf-8")
(BRING,) = re.findall(r"^```console\n\$ (sightline models bring .+)\n```$", PAGE, re.MULTILINE)
(STEPS,) = re.findall(r"^```sh\n(.+?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
ENGINE = ROOT / "deploy" / "triton"
WINES = load_wines()[:24]
HALF = 0.5


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder laid out as a clone, with the models that are built, a network and its photos."""
    triton = tmp_path / "deploy" / "triton"
    (triton / "triton_engine" / "backbones").mkdir(parents=True)
    (triton / "models").mkdir()
    for model in (ENGINE / "models").iterdir():
        (triton / "models" / model.name).symlink_to(model)
    (tmp_path / "net.onnx").write_bytes(tower())
    settings = f'{{"image_mean": [{HALF}, {HALF}, {HALF}], "image_std": [{HALF}, {HALF}, {HALF}]}}'
    (tmp_path / "preprocessor_config.json").write_text(settings)
    photos = tmp_path / "photos"
    photos.mkdir()
    session, vectors = onnxruntime.InferenceSession(tower()), {}
    for wine in WINES:
        with Image.open(wine.image) as opened:
            image = opened.convert("RGB")
        pixels = preprocess.views(image, PhotoRecipe(SIDE, 1.0, ""), WHOLE, 1)[0]
        normal = ((pixels / np.float32(255) - HALF) / HALF).astype(np.float32)
        inputs = {"pixels": normal.transpose(2, 0, 1)[None]}
        image.save(photos / f"{wine.id}.png")
        vectors[f"{wine.id}.png"] = session.run(None, inputs)[0][0]
        shown = tmp_path / "shop" / wine.id
        shown.mkdir(parents=True)
        image.save(shown / "1.png")
        image.rotate(180).save(shown / "2.png")
    np.savez(tmp_path / "reference.npz", **vectors)
    return tmp_path


@contextmanager
def serving(folder: Path, models: list[str]) -> Iterator[Suite]:
    """Run a suite in one process with these models, of the folder's repository."""
    programs = sightline(folder / "suite", free_port_base(), target=ALL, models=models)
    there = {
        "EMBEDDER_BACKBONES": str(folder / "deploy" / "triton" / "models"),
        "EMBEDDER_FIT_PRIORITY": "normal",  # a busy machine fits nothing at the usual one
    }
    ours = [
        replace(each, environment={**each.environment, **there}) if each.name == ALL else each
        for each in programs
    ]
    with Suite(folder / "suite", ours) as started:
        yield started


@pytest.fixture
def brought(clone: Path) -> Path:
    """The same folder once the network is brought and built."""
    command = [str(SIGHTLINE), *shlex.split(BRING)[1:]]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in STEPS.splitlines():
        assert line in done.stdout
    folder = clone / "deploy" / "triton"
    (arguments,) = re.findall(r"\.venv/bin/python (.+ --pin)\)$", STEPS, re.MULTILINE)
    manifests = folder / "triton_engine" / "backbones"
    places = ["--models", str(folder / "models"), "--backbones", str(manifests)]
    subprocess.run(
        [str(ENGINE / ".venv/bin/python"), *arguments.split(), *places],
        cwd=ENGINE,
        env=os.environ | {"PYTHONPATH": str(ENGINE)},
        check=True,
    )
    return clone


async def test_a_network_is_brought_rolled_out_and_taken_back(brought: Path) -> None:
    _, up, upgrade, rollback, fit = STEPS.splitlines()
    (models,) = re.findall(r"MODELS=(\S+)$", up)
    with serving(brought, models.split(",")) as suite:
        gateway = suite.addresses()["gateway"]
        async with SightlineClient(gateway, timeout=SECONDS) as client:
            await loading.import_wines(client, WINES)
            await loading.wait_indexed(client, len(WINES))
            hands = Hands(gateway, brought, "default")
            before = await active(client)
            hands.run(*upgrade.split()[1:])
            assert await active(client) == (models.split(",")[1], WIDTH)
            photo = (brought / "photos" / f"{WINES[3].id}.png").read_bytes()
            found = await client.recommend(images=[photo], page_size=5)
            assert found.results[0].product.product_id == WINES[3].id
            hands.run(*rollback.split()[1:])
            assert await active(client) == before
            assert (await client.recommend(images=[photo], page_size=5)).results
            hands.run(*fit.split()[1:])
            fitted = [
                each for each in await client.list_spaces(include_all=True) if each.evaluation
            ]
            assert [each.space for each in fitted] == ["visual"]


async def active(client: SightlineClient) -> tuple[str, int]:
    """Return the model of the version that searches use, and its dimension."""
    generations = [each for each in await client.list_generations() if each.space == "visual"]
    (used,) = [each for each in generations if each.active]
    (space,) = [each for each in await client.list_spaces() if each.version == used.space_version]
    return space.model, used.dimension

"""`bring` from the file to the manifest, in its confined process."""

import hashlib
import io
import json
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from embedder.adapters.onnx import space_graph
from embedder.adapters.triton import config_file
from embedder.adapters.triton.configuration import of_space
from embedder.bringing import bring as bringing
from embedder.bringing import parity, trial_process
from embedder.bringing.bring import bring
from embedder.bringing.trial_process import TrialProcess
from embedder.domain.brought import Look, ModelRefused, Wanted
from embedder.domain.fitted import FittedSpace, Labelled
from embedder.domain.photos import WHOLE
from embedder.domain.recipes import PhotoRecipe
from embedder.fitting.fit import FitOptions, fit
from embedder.preprocessing import preprocess
from tests.unit.embedder.bringing import graphs
from tests.unit.embedder.bringing.graphs import SIDE, WIDTH, tower

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "deploy" / "triton"))

from triton_engine import build

pytestmark = pytest.mark.slow

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def photo(seed: int, take: int = 0) -> bytes:
    """A photo of a few coloured rectangles, and of others in each take."""
    image = Image.new("RGB", (90, 70), "white")
    for random, count in (
        (np.random.default_rng(seed), 5),
        (np.random.default_rng([seed, take]), 2),
    ):
        for _ in range(count):
            left, top, width, height = random.integers(0, 40, 4).tolist()
            box = (left, top, left + width + 8, top + height + 8)
            image.paste(tuple(random.integers(0, 256, 3).tolist()), box)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a network, photos of it, and a folder for manifests."""
    (tmp_path / "net.onnx").write_bytes(tower())
    for folder in ("manifests", "photos"):
        (tmp_path / folder).mkdir()
    for seed in range(4):
        (tmp_path / "photos" / f"p{seed}.png").write_bytes(photo(seed))
    return tmp_path


def order(place: Path, **more: Any) -> dict[str, Any]:
    return {
        "name": "net",
        "licence": "MIT",
        "trained_on": "nothing",
        "mean": MEAN,
        "std": STD,
        "to": str(place / "manifests"),
        "least_cosine": 0.98,
        "reference_photos": str(place / "photos"),
        **more,
    }


def brought(place: Path, photos: Any = (), **more: Any) -> Any:
    return bring(place / "net.onnx", order(place, **more), photos, progress=lambda *_: None)


def seen(data: bytes, crop: float = 1.0) -> Any:
    """What the embedder gives a model of this side."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return preprocess.views(image, PhotoRecipe(SIDE, crop, ""), WHOLE, 1)[0]


def by_its_own_tools(data: bytes, *, backwards: bool = False) -> Any:
    """The network's vector of a photo, without anything of ours."""
    pixels = seen(data)[..., ::-1] if backwards else seen(data)
    normal = (pixels / np.float32(255) - np.float32(MEAN)) / np.float32(STD)
    session = onnxruntime.InferenceSession(tower())
    return session.run(None, {"pixels": normal.astype(np.float32).transpose(2, 0, 1)[None]})[0][0]


def reference(place: Path, **how: bool) -> str:
    path = place / "reference.npz"
    photos = sorted((place / "photos").iterdir())
    np.savez(path, **{each.name: by_its_own_tools(each.read_bytes(), **how) for each in photos})
    return str(path)


def test_the_client_finds_it_by_its_entry_point() -> None:
    (point,) = entry_points(group="sightline.bring")
    assert point.load() is bring


def test_triton_serves_the_vectors_that_the_network_s_own_tools_give(place: Path) -> None:
    report = brought(place, reference=reference(place))
    assert report["parity"]["mean"] > 0.9999
    assert {"no_new_privs", "limits"} <= {*report["confined_by"]}
    build.pin(place / "manifests")
    paths = build.ensure(place / "models", place / "manifests")
    session, features = (onnxruntime.InferenceSession(path.read_bytes()) for path in paths)
    for each in sorted((place / "photos").iterdir()):
        image = {"image": seen(each.read_bytes())[None]}
        served = session.run(["embedding"], image)[0][0]
        own = by_its_own_tools(each.read_bytes())
        np.testing.assert_allclose(served, own / np.linalg.norm(own), atol=2e-6)
        raw = features.run(["features"], image)[0][0]
        np.testing.assert_allclose(raw, own, rtol=1e-4, atol=1e-5)
    configured = (place / "models" / "net_features" / "config.pbtxt").read_text()
    description, _ = config_file.read(configured)
    assert (description.space, description.blocks) == ("features", {"head": WIDTH})
    # A space that is fitted on it is a graph behind it, with a configuration made from its own.
    one = np.ones((2, WIDTH), np.float32)
    space = FittedSpace(means=0 * one, scales=one, projection=np.eye(WIDTH, dtype=np.float32))
    graph = onnxruntime.InferenceSession(space_graph(paths[1], space))
    kind = np.zeros((1, 1), np.float32)
    fitted = graph.run(["embedding"], {**image, "kind": kind})[0][0]
    np.testing.assert_allclose(fitted, served, atol=2e-6)
    assert "blocks" not in of_space(configured, "visual_0", "0" * 64, (WIDTH, 0), {})
    # Brought again, the manifest keeps the graph's hash.
    pinned = (place / "manifests" / "net.toml").read_text()
    brought(place)
    assert (place / "manifests" / "net.toml").read_text() == pinned
    with pytest.raises(ModelRefused, match="of another model"):
        brought(place, trained_on="something else")


def test_a_wrong_step_is_named_and_nothing_is_written(place: Path) -> None:
    path = reference(place, backwards=True)
    with pytest.raises(ModelRefused, match=r"order of channels \(--channels BGR\)") as caught:
        brought(place, reference=path)
    assert caught.value.reason == "MODEL_PARITY"
    assert not list((place / "manifests").iterdir())
    report = brought(place, reference=path, channels="BGR")
    assert report["parity"]["mean"] > 0.9999
    manifest = tomllib.loads((place / "manifests" / "net.toml").read_text())
    assert manifest["input"]["channels"] == "BGR"
    file = (place / "manifests" / manifest["weights"]["path"]).read_bytes()
    assert hashlib.sha256(file).hexdigest() == manifest["weights"]["sha256"]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"p0.png": np.zeros(WIDTH)}, "no finite vector"),
        ({"p0.png": np.ones(3)}, "has 3 numbers"),
        ({"other.png": np.ones(WIDTH)}, "name its arrays"),
        ({"p0.png": np.array([object()])}, "can't be used"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(place: Path, arrays: Any, says: str) -> None:
    np.savez(place / "bad.npz", **arrays)
    with pytest.raises(ModelRefused, match=says) as caught:
        brought(place, reference=str(place / "bad.npz"))
    assert caught.value.reason == "MODEL_PARITY"


def cut_short(file: bytes) -> bytes:
    return file[: len(file) // 2]


def damaged(file: bytes) -> bytes:
    middle = len(file) // 3
    return file[:middle] + bytes(64) + file[middle + 64 :]


@pytest.mark.parametrize("harm", [cut_short, damaged])
def test_a_reference_that_is_not_whole_is_refused(place: Path, harm: Any) -> None:
    np.savez_compressed(place / "bad.npz", **{"p0.png": np.random.default_rng(0).random(4096)})
    (place / "bad.npz").write_bytes(harm((place / "bad.npz").read_bytes()))
    with pytest.raises(ModelRefused, match="can't be used") as caught:
        brought(place, reference=str(place / "bad.npz"))
    assert caught.value.reason == "MODEL_PARITY"


def test_a_reference_that_expands_too_far_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "MOST_BYTES", 2**20)
    np.savez_compressed(place / "bad.npz", **{"p0.png": np.ones(2**18)})
    with pytest.raises(ModelRefused, match="more than 1,048,576 bytes"):
        brought(place, reference=str(place / "bad.npz"))


def test_a_file_of_the_caller_is_not_overwritten(place: Path) -> None:
    taken = place / "manifests" / "net.onnx"
    taken.write_bytes(b"the caller's own")
    with pytest.raises(ModelRefused, match=r"net\.onnx exists and is another file: give another"):
        brought(place)
    assert [each.name for each in (place / "manifests").iterdir()] == ["net.onnx"]
    assert taken.read_bytes() == b"the caller's own"


def space_of(place: Path, shop: list[dict[str, str]]) -> Path:
    """Return the folder of a space on the network, fitted on the shop's photos."""
    photos = [each for each in shop if "broken" not in each["path"]]
    features = [by_its_own_tools(Path(each["path"]).read_bytes()) for each in photos]
    data = Labelled(
        features=np.stack(features)[:, None],
        kinds=np.zeros(len(photos), np.int8),
        products=[each["product"] for each in photos],
        groups=[each["upload"] for each in photos],
        categories=[()] * len(photos),
    )
    backbone, folder = place / "models" / "net_features", place / "models" / "visual_0"
    graph = space_graph(backbone / "1" / "model.onnx", fit(data, FitOptions(), 0), "shop")
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(graph)
    text = (backbone / config_file.NAME).read_text()
    configured = of_space(text, "visual_0", "0" * 64, (WIDTH, 0), {"catalog": "shop"})
    (folder / config_file.NAME).write_text(configured)
    return folder


def test_it_is_measured_beside_the_model_in_use(place: Path) -> None:
    brought(place)
    build.pin(place / "manifests")
    build.ensure(place / "models", place / "manifests")
    shop = []
    for product in range(6):
        for take in range(4):
            path = place / f"{product}-{take}.png"
            path.write_bytes(photo(product, take))
            shop.append({"path": str(path), "product": str(product), "upload": f"{product}{take}"})
    (place / "broken.png").write_bytes(b"no photo")
    shop.append({"path": str(place / "broken.png"), "product": "0", "upload": "x"})
    beside = str(place / "models" / "net")
    held = brought(place, shop, beside=beside)["held"]
    nearest = held["figures"][0]
    # The same network: the same figure, and no difference.
    assert nearest["name"] == "1-NN"
    assert nearest["value"] == nearest["baseline"] > 0.3
    assert (nearest["gain_low"], nearest["gain_high"]) == (0.0, 0.0)
    assert held["fitted"]["baseline"] == nearest["baseline"]
    assert (held["verdict"], held["photos"], held["rejected"]) == ("INCONCLUSIVE", 24, 1)
    assert all(cost["p50_ms"] > 0 and cost["processor_ms"] > 0 for cost in held["costs"])
    # A space on the same network that learned from these photos: it is fitted again as well.
    space = brought(place, shop, beside=str(space_of(place, shop)))["held"]
    fitted = space["fitted"]["value"]
    assert fitted == space["fitted"]["baseline"] == space["figures"][0]["baseline"] < 0.9
    assert space["costs"][1]["model"] == "visual_0, fitted anew in each fold"
    together = [{**each, "upload": each["product"]} for each in shop]
    with pytest.raises(ModelRefused, match="taken together"):
        brought(place, together, beside=beside)
    with pytest.raises(ModelRefused, match="at least 20") as caught:
        brought(place, shop[:8], beside=beside)
    assert caught.value.reason == "MODEL_PHOTOS"
    with pytest.raises(ModelRefused, match="--beside"):
        brought(place, shop, beside=str(place))


@pytest.mark.parametrize("lacking", ["limits", "landlock seccomp"])
def test_no_file_is_read_where_a_process_cannot_be_confined(
    place: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    whole = ("limits", "no_new_privs", "landlock", "seccomp")
    monkeypatch.setattr(
        trial_process, "LAYERS", [each for each in whole if each not in lacking.split()]
    )
    with pytest.raises(ModelRefused, match="can't confine") as caught:
        brought(place)
    assert caught.value.reason == "MODEL_UNCONFINED"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_process, "FILE_SECONDS", 10.0)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("file", [graphs.greedy(10**10), graphs.endless()])
def test_a_network_without_bounds_ends_with_its_process(place: Path, file: bytes) -> None:
    (place / "net.onnx").write_bytes(file)
    with pytest.raises(ModelRefused) as caught:
        brought(place)
    assert caught.value.reason == "MODEL_MEMORY"
    assert not list((place / "manifests").iterdir())


def test_the_file_s_process_can_open_nothing_and_knows_no_secret(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_TOKEN", "secret")
    with TrialProcess(place / "net.onnx", Wanted(side=SIDE)) as process:
        pid = process.pid
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        status = Path(f"/proc/{pid}/status").read_text()
        found = process.embed(photo(1), [Look()])
        assert process.embed(b"no photo", [Look()]) is None
    assert found is not None
    assert found.vectors.shape == (1, WIDTH)
    assert b"secret" not in environment
    if "seccomp" in process.layers:
        assert "Seccomp:\t2" in status
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "Net"}, "small letters"),
        ({"licence": 'MIT"'}, "quotes"),
        ({"mean": None}, "preprocessor_config.json"),
        ({"crop": 2}, "crop"),
        ({"to": "/nowhere/at/all"}, "is no folder"),
    ],
)
def test_wrong_options_are_named(place: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelRefused, match=says):
        brought(place, **options)


def test_the_manifest_says_where_the_embedder_does_otherwise(place: Path) -> None:
    said = {"size": {"height": SIDE, "width": SIDE}, "resample": 2, "image_mean": MEAN}
    (place / "preprocessor_config.json").write_text(json.dumps({**said, "image_std": STD}))
    report = brought(place, mean=None, std=None)
    assert len(report["notes"]) == 2
    text = (place / "manifests" / "net.toml").read_text()
    assert "# The authors squash whole photos" in text
    assert tomllib.loads(text)["input"]["mean"] == [127.5, 102.0, 76.5]
    assert bringing.ZEROS in text

"""The graph compared with a second, plain implementation of the network in NumPy."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from tests.unit.triton.conftest import FEATURES, LITE0, LITE2, model_of, weights_of
from triton_engine import efficientnet, weights

pytestmark = [pytest.mark.slow, pytest.mark.when("deploy/triton")]

PHOTOS = Path(__file__).resolve().parents[3] / "examples" / "wines" / "images"
WINE_BOTTLE = 907  # ImageNet-1k
RED_WINE = 966

Array = np.ndarray[Any, Any]

SIDES = {LITE0: 224, LITE2: 260}
PLANS = {
    LITE0: [(1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1)],
    LITE2: [(1, 1), (3, 2), (3, 2), (4, 2), (4, 1), (5, 2), (1, 1)],
}
"""Number of blocks of each stage, and the stride of its first."""


class Reference:
    """The network as the paper and the TensorFlow code describe it; nothing folded, NHWC."""

    def __init__(self, state: dict[str, Any], plan: list[tuple[int, int]]) -> None:
        self.state = state
        self.plan = plan

    def features(self, image: Array) -> Array:
        """Return the pooled features of one image, before any normalisation."""
        return self.pooled(image)[-1]

    def pooled(self, image: Array) -> list[Array]:
        """Return the averages over the plane of each stage and of the head."""
        return [plane.mean(axis=(0, 1)) for plane in self.planes(image)]

    def planes(self, image: Array) -> list[Array]:
        """Return the outputs of each stage and of the head, [height, width, channels]."""
        x = (image.astype(np.float32) - 127) / 128
        x = self.relu6(self.norm(self.conv(x, "_conv_stem", 2), "_bn0"))
        strides = [s if i == 0 else 1 for count, s in self.plan for i in range(count)]
        ends = np.cumsum([count for count, _ in self.plan]) - 1
        found = []
        for index, stride in enumerate(strides):
            x = self.block(x, f"_blocks.{index}.", stride)
            if index in ends:
                found.append(x)
        x = self.relu6(self.norm(self.conv(x, "_conv_head", 1), "_bn1"))
        return [*found, x]

    def block(self, x: Array, p: str, stride: int) -> Array:
        y = x
        if p + "_expand_conv.weight" in self.state:
            y = self.relu6(self.norm(self.conv(y, p + "_expand_conv", 1), p + "_bn0"))
        y = self.relu6(self.norm(self.conv(y, p + "_depthwise_conv", stride), p + "_bn1"))
        y = self.norm(self.conv(y, p + "_project_conv", 1), p + "_bn2")
        return x + y if stride == 1 and x.shape == y.shape else y

    def conv(self, x: Array, name: str, stride: int) -> Array:
        weight = self.state[name + ".weight"]
        kernel = weight.shape[-1]
        pads = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[:2]]
        x = np.pad(x, [(p // 2, p - p // 2) for p in pads] + [(0, 0)])
        windows = sliding_window_view(x, (kernel, kernel), (0, 1))[::stride, ::stride]
        if weight.shape[1] == 1:
            return np.einsum("hwcij,cij->hwc", windows, weight[:, 0])
        return np.tensordot(windows, weight, axes=([2, 3, 4], [1, 2, 3]))

    def norm(self, x: Array, name: str) -> Array:
        s = self.state
        whitened = (x - s[name + ".running_mean"]) / np.sqrt(s[name + ".running_var"] + 1e-3)
        return np.asarray(whitened * s[name + ".weight"] + s[name + ".bias"])

    @staticmethod
    def relu6(x: Array) -> Array:
        return np.clip(x, 0, 6)


@pytest.fixture(scope="module")
def reference(name: str, weights_file: bytes) -> Reference:
    return Reference(weights.read(weights_file), PLANS[name])


@pytest.fixture(scope="module")
def session(model_file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model_file.read_bytes(), options)


def photo(file: str, size: int) -> Array:
    """Return the centre crop of one of the example photos."""
    image = Image.open(PHOTOS / file).convert("RGB")
    side = int(min(image.size) * 0.875)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)).resize((size, size), 2))


def embed(session: onnxruntime.InferenceSession, *images: Array) -> Array:
    return np.asarray(session.run(["embedding"], {"image": np.stack(images)})[0])


def test_the_graph_gives_the_reference_s_features_at_unit_length(
    name: str, session: onnxruntime.InferenceSession, reference: Reference
) -> None:
    side = SIDES[name]
    noise = np.random.default_rng(7).integers(0, 256, (side, side, 3), dtype=np.uint8)
    images = [noise, photo("100062.jpg", side)]
    for image, vector in zip(images, embed(session, *images), strict=True):
        features = reference.features(image)
        expected = features / np.linalg.norm(features)
        assert np.abs(vector - expected).max() < 1e-5
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_features_are_means_and_deviations_of_stages_the_head_s_roots_and_a_histogram() -> None:
    image = photo("100062.jpg", SIDES[LITE0])
    network = Reference(weights.read(weights_of(LITE0)), PLANS[LITE0])
    *stages, head = network.planes(image)
    averages = [plane.mean(axis=(0, 1)) for plane in stages[2:]]
    deviations = [plane.std(axis=(0, 1)) for plane in stages[2:]]
    root = np.sqrt(head.mean(axis=(0, 1)))
    session = onnxruntime.InferenceSession(model_of(FEATURES[0]).read_bytes())
    (found,) = session.run(["features"], {"image": image[None]})[0]
    expected = np.concatenate([*averages, *deviations, root, histogram(image)])
    assert found.shape == expected.shape == (2960,)
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_positions_are_what_features_and_vectors_are_averaged_from(name: str) -> None:
    side = SIDES[LITE0] if name == LITE0 else SIDES[LITE2]
    image = {"image": photo("100062.jpg", side)[None]}
    session = onnxruntime.InferenceSession(model_of(f"{name}_positions").read_bytes())
    found = dict(
        zip([each.name for each in session.get_outputs()], session.run(None, image), strict=True)
    )
    (features,) = onnxruntime.InferenceSession(model_of(f"{name}_features").read_bytes()).run(
        ["features"], image
    )
    assert (found.pop("features") == features).all()
    averages = {block: values.mean(axis=(2, 3))[0] for block, values in found.items()}
    stages = [averages[f"stage_{stage}_map"] for stage in range(4, 9)]
    assert np.abs(features[0, : sum(map(len, stages))] - np.concatenate(stages)).max() < 1e-5
    (vector,) = onnxruntime.InferenceSession(model_of(name).read_bytes()).run(["embedding"], image)
    head = averages["head_map"]
    assert np.abs(vector[0] - head / np.linalg.norm(head)).max() < 1e-6


@pytest.mark.parametrize(
    ("colour", "place"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((255, 255, 255), (0, 0, 3)),
        ((128, 128, 128), (0, 0, 2)),
        ((255, 0, 0), (0, 3, 3)),
        ((0, 255, 0), (4, 3, 3)),
        ((0, 0, 255), (8, 3, 3)),
        ((255, 0, 254), (10, 3, 3)),
        ((255, 0, 1), (11, 3, 3)),
        ((60, 90, 60), (4, 1, 1)),
    ],
)
def test_a_photo_of_one_colour_fills_the_bin_of_its_hue_saturation_and_value(
    colour: tuple[int, int, int], place: tuple[int, int, int]
) -> None:
    session = onnxruntime.InferenceSession(model_of(FEATURES[0]).read_bytes())
    image = np.full((1, 224, 224, 3), colour, np.uint8)
    (found,) = session.run(["features"], {"image": image})[0]
    expected = np.zeros((12, 4, 4))
    expected[place] = 1
    assert np.array_equal(found[-192:].reshape(12, 4, 4), expected)


def histogram(image: Array) -> Array:
    """Return the square-rooted 12 x 4 x 4 histogram of hue, saturation and value, plainly."""
    small = image.reshape(56, 4, 56, 4, 3).mean(axis=(1, 3)).reshape(-1, 3)
    counts = np.zeros((12, 4, 4))
    for red, green, blue in small:
        most, least = max(red, green, blue), min(red, green, blue)
        chroma = max(most - least, 1e-6)
        sextant = {
            red: ((green - blue) / chroma) % 6,
            green: (blue - red) / chroma + 2,
            blue: (red - green) / chroma + 4,
        }
        hue = next(sextant[c] for c in (red, green, blue) if c == most) if most > least else 0
        saturation = (most - least) / most if most else 0
        counts[int(hue * 2), min(int(saturation * 4), 3), int(most / 64)] += 1
    return np.sqrt(counts.ravel() / len(small))


def test_a_network_without_its_last_residual_would_fail_that_comparison(
    name: str, session: onnxruntime.InferenceSession, reference: Reference
) -> None:
    last = sum(count for count, _ in PLANS[name]) - 2
    weight = f"_blocks.{last}._bn2.weight"
    state = reference.state | {weight: reference.state[weight] * 0}
    image = photo("100062.jpg", SIDES[name])
    features = Reference(state, PLANS[name]).features(image)
    assert np.abs(embed(session, image)[0] - features / np.linalg.norm(features)).max() > 1e-3


def test_a_vector_does_not_depend_on_its_place_in_the_batch(
    name: str,
    session: onnxruntime.InferenceSession,
) -> None:
    images = [photo(path.name, SIDES[name]) for path in sorted(PHOTOS.glob("*.jpg"))[:4]]
    together = embed(session, *images)
    for image, vector in zip(images, together, strict=True):
        assert np.abs(embed(session, image)[0] - vector).max() < 1e-6


def test_the_packaged_classifier_sees_wine_among_its_five_guesses_for_most_wine_photos(
    name: str, session: onnxruntime.InferenceSession, reference: Reference
) -> None:
    """Apply the classifier, which is not in the graph, to its features: this shows that the weights
    are right."""
    images = [photo(path.name, SIDES[name]) for path in sorted(PHOTOS.glob("*.jpg"))[:24]]
    weight, bias = reference.state["_fc.weight"], reference.state["_fc.bias"]
    # The graph's features lost their length; the head was trained on lengths of about this one.
    length = np.linalg.norm(reference.features(images[0]))
    logits = embed(session, *images) * length @ weight.T + bias
    guesses = np.argsort(-logits, axis=1)[:, :5]
    assert np.isin(guesses, [WINE_BOTTLE, RED_WINE]).any(axis=1).mean() > 0.6


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        (224, 3, 2, (0, 1)),
        (112, 3, 1, (1, 1)),
        (56, 5, 2, (1, 2)),
        (7, 1, 1, (0, 0)),
        (7, 3, 2, (1, 1)),
        (65, 5, 2, (2, 2)),
        (260, 3, 2, (0, 1)),
    ],
)
def test_same_padding_puts_the_odd_row_at_the_end(
    size: int, kernel: int, stride: int, expected: tuple[int, int]
) -> None:
    assert efficientnet.same_padding(size, kernel, stride) == expected


@pytest.mark.parametrize(
    ("depth", "count"), [(1.0, 16), (1.1, 21), (1.2, 21), (1.4, 24), (1.8, 30)]
)
def test_a_deeper_network_repeats_its_inner_stages_and_only_the_first_block_does_not_expand(
    depth: float, count: int
) -> None:
    found = list(efficientnet.blocks(depth))
    assert [block.index for block in found] == list(range(count))
    assert [block.expands for block in found] == [False] + [True] * (count - 1)
    assert sum(block.residual for block in found) == count - 7

"""Manifests of networks that take photos, or lines of text cut out of them."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from triton_engine.features import FEATURES, HEAD, MAP, POSITIONS, Features, side_of
from triton_engine.manifest import Packaged, SingleModel
from triton_engine.tables import Count, Number, Plain, Positive, Sha256, Table

FACES: Final = "faces"
"""Space of models that find faces, which is never searched."""
OBJECTS: Final = "objects"
"""Name of the output of a model that finds objects, and of its space, which is never searched."""
BOXES: Final = "boxes"
"""Name of the output of a model that finds objects and returns their boxes."""
MOST_BOXES: Final = 301
"""Boxes that such a model returns: one more than a request may ask for."""
LABELS: Final = "labels"
"""Space of models that read labels, which is never searched."""


class Lite(Table):
    """EfficientNet-Lite; see efficientnet.py."""

    family: Literal["efficientnet-lite"]
    depth: Annotated[float, Field(ge=1, le=4)]
    """Repetitions of the inner stages' blocks relative to the smallest network."""
    dimension: Count
    """Channels of the last feature map."""


class OnnxPhotos(Table):
    """An ONNX file for photos, in the published form of CLIP's and SigLIP's image towers."""

    family: Literal["onnx"]
    input: Plain
    """Name of its input: float32 pixels, normalised."""
    layout: Literal["NCHW", "NHWC"]
    output: Plain
    """Name of the output that is the vector: float32 [N, dimension]."""
    dimension: Count


class OnnxFaces(Table):
    """An ONNX file that finds faces as CenterFace does (Xu et al., CenterFace: Joint Face Detection
    and Alignment Using Face as Point, 2019): maps of a quarter of the input's sides."""

    family: Literal["centerface"]
    input: Plain
    """Name of its input: float32 pixels [N, 3, side, side]."""
    outputs: tuple[Plain, Plain, Plain]
    """Names of its outputs: the probability that a face's centre is here (1 channel), logarithms of
    its height and width (2), and the centre's offset down and right (2)."""


class LiteObjects(Table):
    """EfficientNet-Lite with a head that finds objects; see objects.py."""

    family: Literal["efficientnet-lite-objects"]
    depth: Annotated[float, Field(ge=1, le=4)]
    """Depth multiplier, see Lite."""
    head: Plain
    """Path of the head's .npz file, relative to the manifest's folder."""
    head_sha256: Sha256
    head_trained_on: Plain


class OnnxObjects(Table):
    """An ONNX file that finds objects, whatever they are. `K`: the places that it looks at."""

    family: Literal["onnx-objects"]
    input: Plain
    """Name of its input: float32 pixels, normalised."""
    layout: Literal["NCHW", "NHWC"]
    boxes: Plain
    """Name of the output with the boxes: float32 [N, K, 4]; without `scores` [N, K, 5 + classes],
    where the fifth number is the probability of an object, as YOLOX returns them."""
    scores: Plain | None = None
    """Name of the output with the scores: float32 [N, K], or [N, K, classes], of which the highest
    counts."""
    form: Literal["corners", "centre"]
    """Numbers of a box: left, top, right and bottom, or centre, width and height."""
    unit: Literal["pixels", "share"]
    """Unit of these numbers: pixels of the input, or shares of its sides."""
    least_score: Annotated[float, Field(gt=0, lt=1)]
    """Score from which a place is an object."""


class OnnxTextMap(Table):
    """An ONNX file that finds lines of text by differentiable binarization (Liao et al., Real-time
    Scene Text Detection with Differentiable Binarization, AAAI 2020)."""

    family: Literal["text-map"]
    input: Plain
    """Name of its input: float32 pixels [N, 3, height, width], both multiples of 32."""
    output: Plain
    """Name of its output: the probability that a pixel is within a text [N, 1, height, width]."""


class OnnxReader(Table):
    """An ONNX file that reads a line of text by connectionist temporal classification (Graves et
    al., 2006), with its characters in the file's metadata."""

    family: Literal["reader"]
    input: Plain
    """Name of its input: float32 pixels [N, 3, height, width]."""
    output: Plain
    """Name of its output: probabilities [N, steps, characters], of no character first, then those
    of the metadata, then of a space."""
    characters: Plain
    """Key of the metadata with the characters, one a line."""


class Normalised(Table):
    """RGB bytes, and what the graph makes of them."""

    mean: Number | tuple[Number, Number, Number]
    scale: Positive | tuple[Positive, Positive, Positive]
    """The graph computes (byte - mean) / scale; three numbers are in the order of `channels`."""
    channels: Literal["BGR"] | None = None
    """Order of the channels that the file takes; None: RGB."""

    @property
    def normalisation(self) -> str:
        """Description of the preprocessing in the graph; part of the space's version."""
        order = f", {self.channels}" if self.channels else ""
        return f"(x-{_stated(self.mean)})/{_stated(self.scale)}{order} in the graph"


class Pixels(Normalised):
    """A square of RGB bytes."""

    size: Annotated[int, Field(ge=32, le=1024)]
    """Width and height in pixels."""
    crop: Annotated[float, Field(gt=0, le=1)]
    """Fraction of the photo's shorter side that the center square keeps."""
    preprocessing: Plain | None = None
    """Preprocessing steps of the embedder, by name; docs/operate/photos.md lists them."""


class Lines(Normalised):
    """RGB bytes of lines of text."""

    height: Annotated[int, Field(ge=16, le=128)]
    """Height of a line in pixels; its width varies."""


def _stated(value: float | tuple[float, ...]) -> str:
    several = value if isinstance(value, tuple) else (value,)
    text = " ".join(f"{number:g}" for number in several)
    return f"[{text}]" if len(several) > 1 else text


class Quantization(Table):
    """The network in 8-bit integers; see quantize.py."""

    ranges: Mapping[str, tuple[Number, Number]]
    """Minimum and maximum of each tensor; a manifest names the JSON file with them."""
    measured_on: Plain


class PhotoModel(SingleModel):
    """A network that takes photos: uint8 `image` [N, size, size, 3]."""

    network: Lite | LiteObjects | OnnxObjects | OnnxPhotos | OnnxFaces | OnnxTextMap
    input: Pixels

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        raise NotImplementedError

    @property
    def parameters(self) -> dict[str, str]:
        """Parameters for the embedder, in addition to those of every model."""
        stated = {
            "input_size": str(self.input.size),
            "crop": f"{self.input.crop:g}",
            "normalisation": self.input.normalisation,
        }
        steps = self.input.preprocessing
        return {**stated, "preprocessing": steps} if steps else stated


class LiteModel(PhotoModel):
    """An EfficientNet-Lite."""

    network: Lite
    weights: Packaged
    features: Features | None = None
    """None: the model returns only the head's averages, at unit length."""
    quantization: Quantization | None = None
    """None: the model computes in floating point."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.space in (FEATURES, POSITIONS)) is not (self.features is not None):
            raise ValueError(
                f'space must be "{FEATURES}" or "{POSITIONS}" with [features], and neither'
                " without it"
            )
        return self

    @property
    def output(self) -> str:
        return "features" if self.features else "embedding"

    @property
    def maps(self) -> dict[str, tuple[int, int, int]]:
        """Shapes of a positions model's additional outputs by name: channels, height and width of
        each stage's map, then of the head's.
        """
        if self.features is None or self.space != POSITIONS:
            return {}
        sizes = {**self.features.stages, HEAD: self.network.dimension}
        return {
            block + MAP: (channels, side, side)
            for block, channels in sizes.items()
            for side in [side_of(self.input.size, block)]
        }

    @property
    def given(self) -> str:
        return "pooled stages, head, HSV histogram" if self.features else "pooled features, L2"

    @property
    def precision(self) -> str:
        return "int8" if self.quantization else "fp32"

    @property
    def blocks(self) -> dict[str, int]:
        """The sizes of a features model's blocks by their names, in order."""
        return self.features.blocks(self.network.dimension) if self.features else {}

    @property
    def dimension(self) -> int:
        return sum(self.blocks.values()) or self.network.dimension

    @property
    def parameters(self) -> dict[str, str]:
        blocks = " ".join(f"{name}={size}" for name, size in self.blocks.items())
        return super().parameters | ({"blocks": blocks} if blocks else {})


class OnnxPhotoModel(PhotoModel):
    """Any ONNX file that takes photos."""

    network: OnnxPhotos

    @property
    def output(self) -> str:
        return FEATURES if self.space == FEATURES else "embedding"

    @property
    def given(self) -> str:
        return "output as it is" if self.space == FEATURES else "output, L2"

    @property
    def dimension(self) -> int:
        return self.network.dimension

    @property
    def parameters(self) -> dict[str, str]:
        stated = super().parameters
        return stated | ({"blocks": f"{HEAD}={self.dimension}"} if self.space == FEATURES else {})


class FaceModel(PhotoModel):
    """A network that finds faces."""

    network: OnnxFaces
    space: Literal["faces"]
    _output: ClassVar[str] = FACES
    _given: ClassVar[str] = "maps of faces: centre, log height and width, offset down and right"

    @property
    def dimension(self) -> int:
        """Five maps, one after the other."""
        return 5 * (self.input.size // 4) ** 2


class ObjectModel(PhotoModel):
    """A network that finds objects."""

    network: LiteObjects
    weights: Packaged
    space: Literal["objects"]
    _output: ClassVar[str] = OBJECTS
    _given: ClassVar[str] = "maps of objects: score of the middle, log distances to the four sides"

    @property
    def source(self) -> str:
        return f"{self.weights.source}; head: {self.network.head_trained_on}"

    @property
    def dimension(self) -> int:
        """Five maps, one after the other."""
        return 5 * (self.input.size // 8) ** 2


class OnnxObjectModel(PhotoModel):
    """Any ONNX file that finds objects."""

    network: OnnxObjects
    space: Literal["objects"]
    _output: ClassVar[str] = BOXES
    _given: ClassVar[str] = "boxes of objects, highest score first: left, top, right, bottom, score"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.input.crop != 1 or self.input.preprocessing != "crop=pad":
            raise ValueError('crop must be 1.0 and preprocessing "crop=pad": objects are anywhere')
        return self

    @property
    def dimension(self) -> int:
        """Five numbers a box, one box after the other."""
        return 5 * MOST_BOXES


class TextMapModel(PhotoModel):
    """A network that finds lines of text."""

    network: OnnxTextMap
    space: Literal["labels"]
    _output: ClassVar[str] = "texts"
    _given: ClassVar[str] = "probability of a text at each pixel"


class ReaderModel(SingleModel):
    """A network that reads lines of text: uint8 `image` [N, height, width, 3]."""

    network: OnnxReader
    space: Literal["labels"]
    input: Lines
    _output: ClassVar[str] = "lines"
    _given: ClassVar[str] = "code point and probability of the likeliest character at each step"

    @property
    def parameters(self) -> dict[str, str]:
        """Parameters for the embedder, in addition to those of every model."""
        return {"normalisation": self.input.normalisation}

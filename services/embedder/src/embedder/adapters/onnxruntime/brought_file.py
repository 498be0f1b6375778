"""Reading of an ONNX file that nobody has checked. Runs in a confined process: see trial_host.py.

A file may name other files for its weights, operators that are not ONNX's, or shapes of any size.
The first two are refused; the last fails on the memory that the process may take.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper

from embedder.domain.brought import (
    LEAST_SIDE,
    MOST_DIMENSIONS,
    MOST_SIDE,
    FileFacts,
    ModelRefused,
    Refusal,
    Wanted,
)

DOMAINS: Final = frozenset({"", "ai.onnx"})
VECTORS: Final = ("image_embeds", "pooler_output", "embedding", "embeddings", "sentence_embedding")
"""Names that exporters give the vector of a photo."""
PREFIX: Final = "sightline/"
"""Prefix of names that are added."""
FIRST: Final = f"{PREFIX}first"
PLACES: Final = f"{PREFIX}places"
COLOURS: Final = 3
PIXELS: Final[Mapping[int, Literal["float32", "uint8"]]] = {
    TensorProto.FLOAT: "float32",
    TensorProto.UINT8: "uint8",
}
ALIKE: Final = 0.9999
"""Least cosine of a photo's vectors alone and beside another."""
TOO_NEW: Final = re.compile(r"IR version: (\d+), max supported IR version: (\d+)")
"""As ONNX Runtime says it of a later version of the format."""
_AXES_ARE_INPUTS: Final = 18
"""Opset from which ReduceMean takes its axes as an input."""


def read(data: bytes) -> onnx.ModelProto:
    """Return the file's model, which needs no other file and no operator but ONNX's own. Raises
    ModelRefused."""
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ModelRefused(
            Refusal.NOT_ONNX, "the file is not ONNX, or not whole: export or download it again"
        ) from error
    if not model.graph.node or not model.opset_import:
        raise ModelRefused(Refusal.NOT_ONNX, "the file has no graph: export or download it again")
    if any(tensor.external_data or tensor.data_location for tensor in _tensors(model.graph)):
        raise ModelRefused(
            Refusal.EXTERNAL_DATA,
            "the file keeps weights in other files, which are never read: save it with its weights"
            " inside (onnx.save_model with save_as_external_data=False), up to 2 GB",
        )
    if model.functions:
        raise ModelRefused(
            Refusal.CUSTOM_OPERATOR,
            "the file defines functions: inline them (onnx.inliner.inline_local_functions)",
        )
    foreign = {node.domain for node in _nodes(model.graph)} - DOMAINS
    if foreign:
        raise ModelRefused(
            Refusal.CUSTOM_OPERATOR,
            f"the file has operators of {', '.join(sorted(foreign))}, which not every engine runs:"
            " export it again without optimisations for one engine",
        )
    return model


def runnable(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Return a session of one thread. Raises ModelRefused."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # of any kind, by a file that nobody has checked
        raise broken(error) from error


def run(session: onnxruntime.InferenceSession, inputs: Mapping[str, Any]) -> Any:
    """Return the first output. Raises ModelRefused."""
    try:
        return session.run(None, dict(inputs))[0]
    except Exception as error:
        raise broken(error) from error


def checked(
    model: onnx.ModelProto, wanted: Wanted
) -> tuple[FileFacts, onnx.ModelProto, onnxruntime.InferenceSession]:
    """Return what a model takes and returns, the part of it from the photo to the vector
    [N, dimension], and its session. Raises ModelRefused."""
    inputs = _inputs(model.graph)
    image = _image(inputs, wanted)
    pixels = _pixels(inputs[image])
    layout, side = _layout(inputs[image], image, wanted)
    part = _cut(model, _vector(model.graph, wanted))
    needed = _inputs(part.graph).keys() - {image}
    extra = {name: _width(inputs[name]) for name in needed if name in inputs}
    if image not in _inputs(part.graph) or (needed and not _camera(extra, pixels)):
        raise ModelRefused(
            Refusal.OTHER_INPUT,
            f"the vector {part.graph.output[0].name} is made of {', '.join(sorted(needed)) or '-'},"
            f" not of the photo {image} alone: name another by --vector, or export the image tower",
        )
    session = runnable(part)
    facts = FileFacts(
        image=image,
        layout=layout,
        side=side,
        vector=part.graph.output[0].name,
        dimension=0,
        pixels=pixels,
        opset=_opset(model),
        operators=len(part.graph.node),
        extra=extra,
    )
    shape = run(session, blank(facts, 2)).shape
    if len(shape) != 2 or wanted.pool:
        part = _pooled(part, shape, wanted, layout)
        session = runnable(part)
        facts = replace(facts, vector=part.graph.output[0].name)
    return _measured(facts, part, session)


def blank(facts: FileFacts, count: int) -> dict[str, Any]:
    """Return inputs for this number of different patterns. Not of random numbers: their module
    could no longer be imported."""
    shape = (count, facts.side, facts.side, COLOURS)
    places = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    noise = (places * (1 + np.arange(count)[:, None, None, None]) * 7919 % 251).astype(np.uint8)
    return given(facts, noise if facts.pixels == "uint8" else noise.astype(np.float32) / 255)


def given(facts: FileFacts, pixels: Any) -> dict[str, Any]:
    """Return a model's inputs for pixels [N, side, side, 3]."""
    laid = pixels.transpose(0, 3, 1, 2) if facts.layout == "NCHW" else pixels
    more = {name: np.zeros((len(pixels), width), np.float32) for name, width in facts.extra.items()}
    return {facts.image: np.ascontiguousarray(laid), **more}


def _measured(
    facts: FileFacts, part: onnx.ModelProto, session: onnxruntime.InferenceSession
) -> tuple[FileFacts, onnx.ModelProto, onnxruntime.InferenceSession]:
    """Return them with the dimension, after a look at the vectors of noise."""
    inputs = blank(facts, 2)
    both = run(session, inputs)
    alone = run(session, {name: values[:1] for name, values in inputs.items()})
    dimension = both.shape[-1]
    if both.dtype != np.float32 or both.shape != (2, dimension) or alone.shape != (1, dimension):
        raise ModelRefused(
            Refusal.VECTOR,
            f"{facts.vector} is {both.dtype} {list(both.shape)} of two photos, not float32 [2, d]:"
            " name another by --vector, and --pool for a tensor of several places",
        )
    if not 1 < dimension <= MOST_DIMENSIONS:
        raise ModelRefused(
            Refusal.VECTOR,
            f"{facts.vector} has {dimension} numbers; a vector may have 2 to {MOST_DIMENSIONS:,}:"
            " name an earlier tensor by --vector",
        )
    if not np.isfinite(both).all() or not both.any() or np.allclose(both[0], both[1], 1e-6, 1e-9):
        raise ModelRefused(
            Refusal.BROKEN,
            f"{facts.vector} is not finite, all 0, or the same for every photo: the file is damaged"
            " or needs another precision; export it again in float32",
        )
    if _cosine(both[0], alone[0]) < ALIKE:
        raise ModelRefused(
            Refusal.BATCH,
            "a photo's vector depends on the photos beside it: export the network for inference"
            " (in PyTorch: model.eval())",
        )
    del part.graph.output[:]
    part.graph.output.append(
        helper.make_tensor_value_info(facts.vector, TensorProto.FLOAT, ["N", dimension])
    )
    return replace(facts, dimension=dimension), part, session


def _tensors(graph: onnx.GraphProto) -> Iterator[Any]:
    for inner in _graphs(graph):
        yield from inner.initializer
        for sparse in inner.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in inner.node:
            for attribute in node.attribute:
                yield attribute.t
                yield from attribute.tensors
                for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                    yield from (sparse.values, sparse.indices)


def _nodes(graph: onnx.GraphProto) -> Iterator[Any]:
    for inner in _graphs(graph):
        yield from inner.node


def _graphs(graph: onnx.GraphProto) -> Iterator[Any]:
    """Yield a graph and all graphs inside its nodes."""
    waiting = [graph]
    while waiting:
        yield (inner := waiting.pop())
        for node in inner.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting.extend(attribute.graphs)


def _inputs(graph: onnx.GraphProto) -> dict[str, Any]:
    """Return the inputs by name, without those that are constants."""
    constants = {constant.name for constant in graph.initializer}
    return {value.name: value for value in graph.input if value.name not in constants}


def _dims(value: Any) -> list[int]:
    """Return the sizes of a tensor's dimensions, 0 where they vary; some exporters write -1."""
    return [max(0, each.dim_value) for each in value.type.tensor_type.shape.dim]


def _said(values: Iterable[Any]) -> str:
    """Return names and shapes for a person."""
    shapes = ((value.name, [size or "?" for size in _dims(value)]) for value in values)
    return ", ".join(f"{name} [{', '.join(map(str, sizes))}]" for name, sizes in shapes)


def _image(inputs: Mapping[str, Any], wanted: Wanted) -> str:
    """Return the name of the input for photos."""
    if wanted.image and wanted.image not in inputs:
        raise ModelRefused(
            Refusal.IMAGE_INPUT,
            f"the file has no input {wanted.image}; it has {_said(inputs.values())}",
        )
    images = [name for name, value in inputs.items() if len(_dims(value)) == 4]
    if wanted.image in images:
        return wanted.image
    if not images or wanted.image:
        raise ModelRefused(
            Refusal.IMAGE_INPUT,
            f"no input takes photos [N, 3, side, side]; the file has {_said(inputs.values())}:"
            " export the image tower",
        )
    if len(images) > 1:
        raise ModelRefused(
            Refusal.IMAGE_INPUT,
            f"the file has {len(images)} inputs for images: {', '.join(images)}. Name the photo's"
            " by --input; a network that compares two photos can't be served",
        )
    return images[0]


def _pixels(image: Any) -> Literal["float32", "uint8"]:
    found = PIXELS.get(image.type.tensor_type.elem_type)
    if found is None:
        name = TensorProto.DataType.Name(image.type.tensor_type.elem_type)
        raise ModelRefused(
            Refusal.INPUT_TYPE,
            f"the input {image.name} is {name}, not FLOAT: export it with inputs in float32",
        )
    return found


def _layout(image: Any, name: str, wanted: Wanted) -> tuple[Literal["NCHW", "NHWC"], int]:
    """Return the order of dimensions and the side of the input."""
    batch, *rest = _dims(image)
    if batch:
        raise ModelRefused(
            Refusal.BATCH,
            f"the input {name} takes {batch} photos at once, no more and no fewer: export it with a"
            " variable first dimension (in PyTorch: dynamic_axes or dynamic_shapes)",
        )
    first, last = rest[0] == COLOURS, rest[2] == COLOURS
    layout = wanted.layout or ("NCHW" if first > last else "NHWC" if last > first else "")
    if layout not in ("NCHW", "NHWC"):
        raise ModelRefused(
            Refusal.LAYOUT,
            f"{_said([image])} does not show where the three colours are: give --layout NCHW or"
            " --layout NHWC; networks for grey or multispectral images can't be served",
        )
    colours, sides = (rest[0], rest[1:]) if layout == "NCHW" else (rest[2], rest[:2])
    if colours not in (0, COLOURS):
        raise ModelRefused(
            Refusal.LAYOUT, f"{_said([image])} has {colours} colours in {layout}; photos have 3"
        )
    found = {*filter(None, sides), *filter(None, [wanted.side])}
    if len(found) != 1 or not LEAST_SIDE <= max(found) <= MOST_SIDE:
        raise ModelRefused(
            Refusal.SIDE,
            f"{_said([image])}, and {wanted.side or 'none'} given: the side of one square of"
            f" {LEAST_SIDE} to {MOST_SIDE} pixels is needed. Give --size as the network was"
            " trained; other shapes can't be served",
        )
    return layout, found.pop()


def _vector(graph: onnx.GraphProto, wanted: Wanted) -> str:
    """Return the name of the tensor with the vector."""
    made = {name for node in graph.node for name in node.output if name}
    if wanted.vector:
        if wanted.vector in made:
            return wanted.vector
        raise ModelRefused(
            Refusal.VECTOR,
            f"the graph makes no tensor {wanted.vector}; its outputs are {_said(graph.output)}",
        )
    names = [value.name for value in graph.output]
    known = [name for name in VECTORS if name in names]
    flat = [value.name for value in graph.output if len(_dims(value)) == 2]
    for found in (known[:1], flat, names):
        if len(found) == 1 and found[0] in made:
            return found[0]
    raise ModelRefused(
        Refusal.VECTOR,
        f"several outputs could be the vector: {_said(graph.output)}. Name it by --vector",
    )


def _cut(model: onnx.ModelProto, vector: str) -> onnx.ModelProto:
    """Return the part of a model that the vector is made of."""
    makers = {name: node for node in model.graph.node for name in node.output}
    wanted, kept = [vector], set[int]()
    names = set[str]()
    while wanted:
        name = wanted.pop()
        if name in names:
            continue
        names.add(name)
        if (node := makers.get(name)) is not None and id(node) not in kept:
            kept.add(id(node))
            wanted.extend(_used(node))
    output = next((each for each in model.graph.output if each.name == vector), None)
    graph = helper.make_graph(
        [node for node in model.graph.node if id(node) in kept],
        model.graph.name or "brought",
        [value for name, value in _inputs(model.graph).items() if name in names],
        [output or onnx.ValueInfoProto(name=vector)],
        [each for each in model.graph.initializer if each.name in names],
        sparse_initializer=[s for s in model.graph.sparse_initializer if s.values.name in names],
    )
    return helper.make_model(
        graph,
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
        producer_name="brought",
    )


def _used(node: Any) -> Iterator[str]:
    """Yield the names that a node takes, also inside its graphs."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            for inner in _graphs(graph):
                for each in inner.node:
                    yield from filter(None, each.input)
                yield from (value.name for value in inner.output)


def _pooled(
    part: onnx.ModelProto, shape: tuple[int, ...], wanted: Wanted, layout: str
) -> onnx.ModelProto:
    """Return the part with a vector [N, d] of each photo, from `shape` of two photos."""
    source, target = part.graph.output[0].name, f"{PREFIX}vector"
    single = len(shape) == 4 and max(sorted(shape[1:])[:2]) == 1
    how = wanted.pool or ("mean" if single else "")
    if len(shape) not in (3, 4) or not how or (len(shape) == 4 and how == "first"):
        raise ModelRefused(
            Refusal.VECTOR,
            f"{source} has the shape {list(shape)} for two photos, not [2, d]: --pool first takes"
            " the first place's vector (the class token of a transformer), --pool mean their mean;"
            " or name another tensor by --vector",
        )
    if single:
        part.graph.node.append(helper.make_node("Flatten", [source], [target], axis=1))
    elif len(shape) == 4:
        part.graph.node.extend(_mean_of_maps(source, target, layout))
    elif how == "first":
        part.graph.initializer.append(helper.make_tensor(FIRST, TensorProto.INT64, [], [0]))
        part.graph.node.append(helper.make_node("Gather", [source, FIRST], [target], axis=1))
    elif _opset(part) >= _AXES_ARE_INPUTS:
        part.graph.initializer.append(helper.make_tensor(PLACES, TensorProto.INT64, [1], [1]))
        mean = helper.make_node("ReduceMean", [source, PLACES], [target], keepdims=0)
        part.graph.node.append(mean)
    else:
        mean = helper.make_node("ReduceMean", [source], [target], axes=[1], keepdims=0)
        part.graph.node.append(mean)
    del part.graph.output[:]
    part.graph.output.append(onnx.ValueInfoProto(name=target))
    return part


def _mean_of_maps(source: str, target: str, layout: str) -> list[onnx.NodeProto]:
    nodes, maps, mean = [], source, f"{PREFIX}mean"
    if layout == "NHWC":
        maps = f"{PREFIX}maps"
        nodes.append(helper.make_node("Transpose", [source], [maps], perm=[0, 3, 1, 2]))
    nodes.append(helper.make_node("GlobalAveragePool", [maps], [mean]))
    return [*nodes, helper.make_node("Flatten", [mean], [target], axis=1)]


def _opset(model: onnx.ModelProto) -> int:
    return max((each.version for each in model.opset_import if each.domain in DOMAINS), default=0)


def _width(value: Any) -> int:
    return _dims(value)[-1] if _dims(value) else 0


def _camera(extra: Mapping[str, int], pixels: str) -> bool:
    """Return whether the only further input is the camera of a space that the embedder fitted."""
    return pixels == "uint8" and extra == {"kind": 1}


def _cosine(one: Any, other: Any) -> float:
    return float(one @ other / max(np.linalg.norm(one) * np.linalg.norm(other), 1e-30))


def broken(error: Exception) -> ModelRefused:
    """Return the refusal for an error that a file caused."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    low = text.lower()
    if isinstance(error, MemoryError) or any(
        part in low for part in ("bad_alloc", "failed to allocate", "memoryerror")
    ):
        return ModelRefused(
            Refusal.MEMORY, "the network needs more memory than it may take: bring a smaller one"
        )
    if found := TOO_NEW.search(str(error)):
        return ModelRefused(
            Refusal.BROKEN,
            f"the file has IR version {found[1]}, and the engine reads up to {found[2]}: export it"
            " by an older onnx, or set ir_version of the loaded model and save it again",
        )
    return ModelRefused(
        Refusal.BROKEN, f"the network can't be run: {text}. Check its export with its own tools"
    )

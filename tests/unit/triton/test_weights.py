"""The reader of torch's legacy format."""

import io
import os
import pickle
import struct
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from tests.unit.triton.conftest import LITE0, LITE2
from triton_engine import weights


class Writer(pickle._Pickler):  # type: ignore[name-defined, misc]
    """Writer of torch's files, from markers that name its functions."""

    def persistent_id(self, obj: Any) -> Any:
        return obj.pid if isinstance(obj, Stored) else None

    def save_global(self, obj: Any, name: str | None = None) -> None:
        names = {
            rebuild: ("torch._utils", "_rebuild_tensor_v2"),
            FloatStorage: ("torch", "FloatStorage"),
        }
        module, found = names.get(obj, (obj.__module__, obj.__qualname__))
        self.write(b"c" + module.encode() + b"\n" + found.encode() + b"\n")
        self.memoize(obj)


class FloatStorage:
    """Marker of torch.FloatStorage."""


def rebuild() -> None:
    """Mark torch._utils._rebuild_tensor_v2."""


class Stored:
    def __init__(self, *pid: Any) -> None:
        self.pid = pid


class Tensor:
    def __init__(self, key: str, count: int, offset: int, size: Any, stride: Any) -> None:
        storage = Stored("storage", FloatStorage, key, "cpu", count, None)
        self.arguments = (storage, offset, size, stride, False, OrderedDict())

    def __reduce__(self) -> Any:
        return rebuild, self.arguments


def dump(obj: Any) -> bytes:
    file = io.BytesIO()
    writer = Writer(file, protocol=2)
    writer.dispatch = {**writer.dispatch, type: Writer.save_global}
    writer.dispatch[type(rebuild)] = Writer.save_global
    writer.dump(obj)
    return file.getvalue()


def legacy(state: Any, storages: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """Write a whole file."""
    head = [weights.MAGIC, weights.PROTOCOL, {"little_endian": True}]
    body = b"".join(
        struct.pack("<q", len(values)) + values.astype("<f4").tobytes()
        for values in storages.values()
    )
    return b"".join(map(dump, [*head, state, list(storages)])) + body


SIX = {"7": np.arange(6)}


def test_a_tensor_and_a_transposed_view_of_the_same_storage_are_read_element_by_element() -> None:
    state = OrderedDict(
        plain=Tensor("7", 6, 0, (2, 3), (3, 1)), turned=Tensor("7", 6, 0, (3, 2), (1, 3))
    )
    read = weights.read(legacy(state, SIX))
    assert read["plain"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert read["turned"].flags.c_contiguous


def test_a_scalar_in_the_middle_of_a_storage_is_read() -> None:
    read = weights.read(legacy(OrderedDict(a=Tensor("7", 6, 4, (), ())), SIX))
    assert read["a"].shape == ()
    assert read["a"] == 4


class Attack:
    """Unpickling it runs a command."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def test_a_pickle_that_runs_a_command_is_refused_and_the_command_is_not_run(tmp_path: Any) -> None:
    marker = tmp_path / "ran"
    hostile = pickle.dumps(Attack(str(marker)), protocol=2)
    pickle.loads(hostile)  # noqa: S301 # it is our own attack, on a file of this test
    assert marker.exists(), "the attack itself must work, or this test shows nothing"
    marker.unlink()

    data = dump(weights.MAGIC) + dump(weights.PROTOCOL) + dump({}) + hostile
    with pytest.raises(weights.WeightsError, match=r"names posix\.system"):
        weights.read(data)
    with pytest.raises(weights.WeightsError, match=r"names posix\.system"):
        weights.read(hostile)
    assert not marker.exists()


@pytest.mark.parametrize(
    "name",
    [
        "builtins eval",
        "builtins getattr",
        "collections namedtuple",
        "torch HalfStorage",
        "torch._utils _rebuild_tensor",
        "torch._utils _rebuild_tensor_v2.__call__",
        "numpy dtype",
    ],
)
def test_any_fifth_name_is_refused(name: str) -> None:
    module, attribute = name.split()
    data = dump(weights.MAGIC) + dump(weights.PROTOCOL) + dump({})
    data += b"\x80\x02c" + f"{module}\n{attribute}\n".encode() + b"."
    with pytest.raises(weights.WeightsError, match="rejected: the file names"):
        weights.read(data)


def test_the_known_names_can_not_be_altered_by_the_file() -> None:
    # BUILD with a slot state is setattr: here on the stand-in for _rebuild_tensor_v2.
    build = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x01\x00\x00\x00aK\x01s\x86b."
    data = dump(weights.MAGIC) + dump(weights.PROTOCOL) + dump({}) + build
    with pytest.raises(weights.WeightsError, match="AttributeError"):
        weights.read(data)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (7,), (1,)),
        (1, (6,), (1,)),
        (0, (2, 3), (4, 1)),
        (0, (10**9,), (0,)),
        (0, (10**6, 10**6), (0, 0)),
        (-1, (2,), (1,)),
        (5, (2,), (-1,)),
        (0, (2,), (1, 1)),
        (0, (0,), (1,)),
        (0, ("2",), (1,)),
        (0.5, (2,), (1,)),
        (0, 2, 1),
    ],
)
def test_a_view_that_leaves_or_repeats_its_storage_is_refused(
    offset: Any, size: Any, stride: Any
) -> None:
    with pytest.raises(weights.WeightsError):
        weights.read(legacy(OrderedDict(a=Tensor("7", 6, offset, size, stride)), SIX))


GOOD = OrderedDict(a=Tensor("7", 6, 0, (6,), (1,)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a pickle",
        pickle.dumps(1),
        legacy(GOOD, SIX)[:-1],
        legacy(GOOD, SIX) + b"\0",
        legacy(GOOD, {"7": np.arange(5)}),
        legacy(GOOD, {"8": np.arange(6)}),
        legacy(GOOD, {}),
        legacy({"a": GOOD["a"]}, SIX),
        legacy(OrderedDict(a=1), {}),
        legacy(OrderedDict(a="text"), {}),
        legacy(OrderedDict([(1, GOOD["a"])]), SIX),
        legacy(OrderedDict(a=Tensor("7", 6, 0, (6,), (1,)), b=Tensor("7", 5, 0, (5,), (1,))), SIX),
        legacy(OrderedDict(a=Stored("module", FloatStorage, "7", "cpu", 6, None)), SIX),
    ],
)
def test_anything_but_whole_plain_tensors_is_refused(data: bytes) -> None:
    with pytest.raises(weights.WeightsError):
        weights.read(data)


def test_the_good_file_beside_them_is_read() -> None:
    assert weights.read(legacy(GOOD, SIX))["a"].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.full
@pytest.mark.slow
def test_the_packaged_weights_hold_the_network(name: str, weights_file: bytes) -> None:
    read = weights.read(weights_file)
    assert read["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert read["_conv_head.weight"].shape == (1280, {LITE0: 320, LITE2: 352}[name], 1, 1)
    assert all(np.isfinite(tensor).all() for tensor in read.values())
    assert all((read[name] >= 0).all() for name in read if name.endswith("running_var"))

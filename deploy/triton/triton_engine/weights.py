"""Read tensors from a file in torch's legacy format, without torch and without trusting the file.

A pickle may name any function of any installed package and call it on load. The reader accepts
exactly four names; any other name is rejected before anything is called.

Format (torch.serialization._legacy_save): five pickles one after another (magic number, protocol,
system, the object itself, the storage keys in order), then for each key an int64 element count and
the raw little-endian elements.
"""

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MAGIC: Final = 0x1950A86A20F9469CFC6C
PROTOCOL: Final = 1001

Tensor = npt.NDArray[np.float32] | npt.NDArray[np.int64]


class WeightsError(ValueError):
    """The file does not consist of plain tensors."""


@dataclass(slots=True)
class _Storage:
    """A storage that the object refers to; its elements follow later in the file."""

    dtype: np.dtype[Any]
    count: int
    elements: npt.NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class _TensorRef:
    """A view into a storage, in elements rather than bytes."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> Tensor:
        """Return the view as a contiguous array of its own."""
        elements = self.storage.elements
        if elements is None:
            raise WeightsError("a tensor's storage is missing")
        if not self.fits(len(elements)):
            raise WeightsError("a tensor reaches outside its storage")
        step = elements.itemsize
        strides = tuple(step * s for s in self.stride)
        view = np.lib.stride_tricks.as_strided(elements[self.offset :], self.size, strides)
        return np.ascontiguousarray(view).reshape(self.size)

    def fits(self, count: int) -> bool:
        """Return whether all elements lie within ``count``, and the strides repeat none."""
        numbers = (self.offset, *self.size, *self.stride)
        if len(self.size) != len(self.stride) or any(n < 0 for n in numbers):
            return False
        if math.prod(self.size) > count or 0 in self.size:
            return False
        last = sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        return self.offset + last < count


class _RebuildTensor:
    """Replaces torch._utils._rebuild_tensor_v2; without slots or a dict it can't be altered."""

    __slots__ = ()

    def __call__(
        self,
        storage: object,
        offset: object,
        size: object,
        stride: object,
        *_gradient_and_hooks: object,
    ) -> _TensorRef:
        if not isinstance(storage, _Storage):
            raise WeightsError("a tensor without a storage")
        return _TensorRef(storage, _integer(offset), _integers(size), _integers(stride))


_KNOWN: Final[Mapping[tuple[str, str], object]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
}


@dataclass(slots=True)
class _Storages:
    """Storages by key, as the object's pickle introduces them."""

    by_key: dict[str, _Storage] = field(default_factory=dict)

    def refer(self, pid: object) -> _Storage:
        match pid:
            case ("storage", np.dtype() as dtype, str(key), str(), int(count), None) if count >= 0:
                known = self.by_key.setdefault(key, _Storage(dtype, count))
                if (known.dtype, known.count) != (dtype, count):
                    raise WeightsError("one storage is described in two ways")
                return known
        raise WeightsError("an unexpected reference instead of a storage")


class _Unpickler(pickle.Unpickler):
    """An unpickler that accepts four names only; see the module's docstring."""

    def __init__(self, file: io.BytesIO, storages: _Storages) -> None:
        super().__init__(file, encoding="ascii")
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise WeightsError(f"rejected: the file names {module}.{name}") from None

    def persistent_load(self, pid: Any) -> _Storage:
        return self._storages.refer(pid)


def read(data: bytes) -> dict[str, Tensor]:
    """Return the tensors of a state dict by name: float32 or int64, contiguous.

    Raises WeightsError for anything but plain tensors in torch's legacy format.
    """
    file = io.BytesIO(data)
    storages = _Storages()
    try:
        head = [_load(file, storages) for _ in ("magic", "protocol", "system")]
        state = _load(file, storages)
        _fill(file, storages, _load(file, storages))
    except WeightsError:
        raise
    except Exception as error:  # A hostile pickle can make the unpickler raise almost anything.
        raise WeightsError(f"not a readable pickle: {type(error).__name__}") from error
    if head[:2] != [MAGIC, PROTOCOL] or not isinstance(state, OrderedDict):
        raise WeightsError("not a state dict in torch's legacy format")
    return {_name(key): _array(value) for key, value in state.items()}


def _load(file: io.BytesIO, storages: _Storages) -> object:
    loaded: object = _Unpickler(file, storages).load()
    return loaded


def _fill(file: io.BytesIO, storages: _Storages, keys: object) -> None:
    """Read the raw elements that follow the pickles into their storages."""
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages.by_key):
        raise WeightsError("the list of storages does not match the tensors")
    for key in keys:
        storage = storages.by_key[key]
        count = int.from_bytes(file.read(8), "little", signed=True)
        raw = file.read(storage.count * storage.dtype.itemsize)
        if count != storage.count or len(raw) != storage.count * storage.dtype.itemsize:
            raise WeightsError("a storage is cut short")
        storage.elements = np.frombuffer(raw, storage.dtype)
    if file.read(1):
        raise WeightsError("the file has data after its tensors")


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise WeightsError("a tensor's shape is not of whole numbers")
    return value


def _integers(value: object) -> tuple[int, ...]:
    if not isinstance(value, Sequence):
        raise WeightsError("a tensor's shape is not of whole numbers")
    return tuple(_integer(v) for v in value)


def _name(key: object) -> str:
    if not isinstance(key, str):
        raise WeightsError("a tensor's name is not a text")
    return key


def _array(value: object) -> Tensor:
    if not isinstance(value, _TensorRef):
        raise WeightsError("a state dict contains something other than tensors")
    return value.array()

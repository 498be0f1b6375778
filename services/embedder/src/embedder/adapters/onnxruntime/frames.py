"""Messages between the service and a model's process.

A message is a number, the sizes of what follows, a head in JSON, and the bytes of arrays, whose
names, types and shapes are in the head. Nothing is unpickled.
"""

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]

SIZES: Final = struct.Struct("!QIQ")
"""Number of the message, bytes of its head, bytes of its arrays."""
START: Final = 0
"""Number of the order to load a model, and of the answer to it; later messages have others."""

TENSORS: Final = "tensors"
ERROR: Final = "error"
BULK: Final = "bulk"
MEMORY: Final = "memory"
"""Bytes that the process may take."""


def packed(number: int, head: Mapping[str, Any], arrays: Arrays) -> Sequence[bytes | memoryview]:
    """Return the parts of a message."""
    whole = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    forms = [(name, values.dtype.str, values.shape) for name, values in whole.items()]
    text = json.dumps({**head, TENSORS: forms}).encode()
    size = sum(values.nbytes for values in whole.values())
    parts = (values.reshape(-1).view(np.uint8).data for values in whole.values())
    return [SIZES.pack(number, len(text), size) + text, *parts]


def unpacked(text: bytes | bytearray, data: bytes | bytearray) -> tuple[dict[str, Any], Arrays]:
    """Return the head of a message, and its arrays, which share the memory of `data`."""
    head = json.loads(text)
    arrays, start = {}, 0
    for name, dtype, shape in head.pop(TENSORS):
        arrays[name] = values = np.ndarray(shape, dtype, data, start)
        start += values.nbytes
    return head, arrays


def exactly(link: socket.socket, size: int) -> bytearray:
    """Return the next bytes of a socket. Raises OSError, and EOFError at its end."""
    data = bytearray(size)
    left = memoryview(data)
    while left:
        if not (got := link.recv_into(left)):
            raise EOFError
        left = left[got:]
    return data

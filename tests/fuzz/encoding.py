"""Bytes of messages that no encoder would write (https://protobuf.dev/programming-guides/encoding/)."""


def framed(number: int, content: bytes) -> bytes:
    """Return a field of a text, bytes, a message or a packed list."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))

"""Metadata in the boxes of AVIF and HEIC files (ISO/IEC 14496-12)."""

from __future__ import annotations

from collections.abc import Iterator

from sightline_rules.photo_parts import blanked, bounded

_NO_EXIF = b"\0\0\0\0MM\0*\0\0\0\x08\0\0"
"""EXIF of an item without entries: the header's place, and the header."""
_MOST_ENTRIES = 4_096


def without_metadata(data: bytes) -> bytes:
    """Return the file with zeros in place of the items that hold EXIF or XMP; the same bytes if it
    has none."""
    # A decoder demands a TIFF header in EXIF; this one has no entries.
    places = ((start, end, _NO_EXIF if is_exif else b"") for start, end, is_exif in _items(data))
    return blanked(data, places)


def _items(data: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield start and end of each extent of an item with metadata (ISO/IEC 14496-12, 8.11), and
    whether it is EXIF."""
    for name, start, end in _boxes(data, 0, len(data)):
        if name != b"meta":
            continue
        boxes = {inner: (at, to) for inner, at, to in _boxes(data, start + 4, end)}
        kinds = dict(_kinds(data, *boxes.get(b"iinf", (0, 0))))
        shift = boxes.get(b"idat", (0, 0))[0]
        for item, method, offset, length in _places(data, *boxes.get(b"iloc", (0, 0))):
            if kinds.get(item) in (b"Exif", b"mime", b"uri "):
                at = offset + (shift if method == 1 else 0)
                yield at, at + length, kinds[item] == b"Exif"


@bounded
def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the content of each box."""
    while at + 8 <= end:
        size, head = int.from_bytes(data[at : at + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        to = end if size == 0 else at + size
        if (size and size < head) or to > end:
            return
        yield data[at + 4 : at + 8], at + head, to
        at = to


def _kinds(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and type of each item of `iinf`."""
    if start >= end:
        return
    first = start + (6 if data[start] == 0 else 8)
    for name, at, to in _boxes(data, first, end):
        wide = to > at and data[at] == 3  # the version
        size = 4 if wide else 2
        if name == b"infe" and to - at >= 4 + size + 6:
            number = int.from_bytes(data[at + 4 : at + 4 + size], "big")
            yield number, data[at + 6 + size : at + 10 + size]


@bounded
def _places(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield item, method, offset and length of each extent of `iloc`."""
    if end - start < 8:
        return
    version, sizes = data[start], data[start + 4 : start + 6]
    offsets, lengths, bases = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    indexes = sizes[1] & 15 if version else 0
    wide = 4 if version == 2 else 2
    at = start + 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(data[at - size : at], "big")

    for _ in range(min(number(wide), _MOST_ENTRIES)):
        item = number(wide)
        method = number(2) & 15 if version else 0
        at += 2
        base = number(bases)
        for _ in range(min(number(2), _MOST_ENTRIES)):
            at += indexes
            offset, length = number(offsets), number(lengths)
            if at > end:
                return
            yield item, method, base + offset, length

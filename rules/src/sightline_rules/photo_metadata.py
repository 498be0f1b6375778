"""Removal of metadata from photos: where, when, by whom and with what they were taken. Thumbnails
are metadata, too. Also whether a file can hold more pictures than the first one.

Pictures stay as they are, bit for bit: in JPEG, PNG, WebP and GIF the parts with metadata are left
out, in AVIF, HEIC and TIFF they are overwritten with zeros. Kept are the orientation, colour
profiles, and what a decoder needs. Files are untrusted: every length is checked, and a file that is
not as its format demands is returned up to the place where it is not, for a decoder to reject.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from sightline_rules.photos import Format, sniff

_ORIENTATION = 0x0112
_SHORT = 3
"""TIFF's type of 16-bit numbers."""

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker within or after a scan, other than restarts."""
_SOI, _EOI, _SOS, _COM = b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xfe"
_EXIF, _ICC, _JFIF = b"Exif\0\0", b"ICC_PROFILE\0", b"JFIF\0"
_APP0, _APP2, _ADOBE = b"\xff\xe0", b"\xff\xe2", b"\xff\xee"
_JFIF_BYTES = 18
"""Bytes of a JFIF header without a thumbnail, with its marker."""

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_METADATA = frozenset({b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf"})
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04
"""Flags of VP8X."""

_GIF_EXTENSION, _GIF_PICTURE = 0x21, 0x2C
"""First bytes of the blocks of a GIF."""

_NO_EXIF = b"\0\0\0\0MM\0*\0\0\0\x08\0\0"
"""EXIF of an item without entries: the header's place, and the header."""
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TIFF_FOLDERS = frozenset({0x8769, 0x8825, 0xA005})
"""EXIF, GPS and interoperability: folders of further entries."""
_TIFF_METADATA = frozenset(
    {0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x02BC, 0x8298, 0x83BB, 0x8649}
)
"""Description, make, model, software, time, artist, host, XMP, copyright, IPTC, Photoshop."""
_MOST_ENTRIES = 4_096
_MOST_FOLDERS = 16


def without_metadata(data: bytes) -> bytes:
    """Return a photo without metadata; the same bytes if it has none. Raise PhotoRejectedError for
    anything but a photo."""
    remove = {
        Format.JPEG: _jpeg,
        Format.PNG: _png,
        Format.WEBP: _webp,
        Format.GIF: _gif,
        Format.AVIF: _heif,
        Format.HEIF: _heif,
        Format.TIFF: _tiff,
    }.get(sniff(data))
    return data if remove is None else remove(data)


def has_one_picture(data: bytes) -> bool:
    """Return whether a photo without metadata shows nothing but its first picture: no animation, no
    pages. False for formats in which others can be anywhere: TIFF, AVIF and HEIC.

    Raises PhotoRejectedError for anything but a photo.
    """
    match sniff(data):
        case Format.JPEG | Format.BMP:
            return True
        case Format.PNG:
            return b"acTL" not in data and b"fdAT" not in data
        case Format.WEBP:
            return b"ANMF" not in data
        case Format.GIF:
            pictures = sum(data[start] == _GIF_PICTURE for start, _ in _gif_blocks(data))
            return pictures <= 1
    return False


def _jpeg(data: bytes) -> bytes:
    parts, orientation = [_SOI], 1
    for marker, part in _segments(data):
        content = part[4:]
        if marker == b"\xff\xe1" and content.startswith(_EXIF):
            orientation = _orientation(content[len(_EXIF) :]) or orientation
        elif marker == _APP0 and content.startswith(_JFIF):
            parts.append(_jfif(part))
        elif not _is_jpeg_metadata(marker, content):
            parts.append(part)
    if orientation != 1:
        exif = _EXIF + _exif(orientation)
        parts.insert(1, struct.pack("!2sH", b"\xff\xe1", len(exif) + 2) + exif)
    found = b"".join(parts)
    return data if found == data else found


def _is_jpeg_metadata(marker: bytes, content: bytes) -> bool:
    if marker == _APP2:
        return not content.startswith(_ICC)  # the others are second pictures
    application = b"\xe0" <= marker[1:] <= b"\xef" and marker != _ADOBE
    return application or marker == _COM


def _jfif(part: bytes) -> bytes:
    """Return a JFIF header without its thumbnail: resolutions alone."""
    if len(part) <= _JFIF_BYTES and part[16:18] in (b"", b"\0\0"):
        return part
    return _APP0 + struct.pack("!H", _JFIF_BYTES - 2) + part[4:16].ljust(12, b"\0") + b"\0\0"


def _segments(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield marker and bytes of each part of a JPEG after its start: scans as one part with their
    header, up to the end of the picture."""
    at = 2
    while at + 4 <= len(data):
        marker = data[at : at + 2]
        if marker == _EOI:
            yield marker, marker
            return
        if marker[:1] != b"\xff":
            break
        if marker[1] == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SOS:
            following = _JPEG_MARKER.search(data, end)
            end = following.start() if following else len(data)
        yield marker, data[at:end]
        at = end
    if at < len(data):
        yield data[at : at + 2], data[at : at + 2] if data[at:] == _EOI else data[at:]


def _png(data: bytes) -> bytes:
    parts, orientation = [_PNG_START], 1
    at = len(_PNG_START)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        name, content = data[at + 4 : at + 8], data[at + 8 : end - 4]
        if name == b"eXIf":
            orientation = _orientation(content) or orientation
        if name not in _PNG_METADATA:
            parts.append(data[at:end])
        at = end
        if name == b"IEND":
            break
    else:
        parts.append(data[at:])  # cut off
    if orientation != 1:
        parts.insert(2, _chunk(b"eXIf", _exif(orientation)))  # after the header
    found = b"".join(parts)
    return data if found == data else found


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack("!I", len(content)) + name + content + struct.pack("!I", checksum)


def _webp(data: bytes) -> bytes:
    whole = min(8 + int.from_bytes(data[4:8], "little"), len(data))
    chunks, orientation = list[tuple[bytes, bytes]](), 1
    at = 12
    while at + 8 <= whole:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        name, content = data[at : at + 4], data[at + 8 : at + 8 + size]
        if name == b"EXIF":
            orientation = _orientation(content.removeprefix(_EXIF)) or orientation
        elif name != b"XMP ":
            chunks.append((name, content))
        at += 8 + size + size % 2
    if orientation != 1:
        chunks.append((b"EXIF", _exif(orientation)))
    if chunks and chunks[0][0] == b"VP8X" and chunks[0][1]:
        flags = chunks[0][1][0] & ~(_WEBP_EXIF | _WEBP_XMP)
        flags |= _WEBP_EXIF if orientation != 1 else 0
        chunks[0] = (b"VP8X", bytes([flags]) + chunks[0][1][1:])
    body = b"WEBP" + b"".join(_riff(*chunk) for chunk in chunks)
    found = b"RIFF" + struct.pack("<I", len(body)) + body
    return data if found == data or at < whole else found


def _riff(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _gif(data: bytes) -> bytes:
    """Leave out comments and extensions of applications but for the one that repeats animations."""
    at = _gif_start(data)
    parts = [data[:at]]
    for start, end in _gif_blocks(data):
        at = end
        label = data[start : start + 14]
        comment = label[:2] == b"\x21\xfe"
        unneeded = label[:2] == b"\x21\xff" and label[3:11] != b"NETSCAPE"
        if not (comment or unneeded):
            parts.append(data[start:end])
    found = b"".join([*parts, b"\x3b" if data[at : at + 1] == b"\x3b" else data[at:]])
    return data if found == data else found


def _gif_start(data: bytes) -> int:
    """Return where the blocks of a GIF begin: after its header and colours."""
    return 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)


def _gif_blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of each picture and extension of a GIF."""
    at = _gif_start(data)
    while at < len(data) and data[at] in (_GIF_EXTENSION, _GIF_PICTURE):
        start = at
        if data[at] == _GIF_PICTURE:
            flags = data[at + 9] if at + 9 < len(data) else 0
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        else:
            at += 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
        yield start, at


def _heif(data: bytes) -> bytes:
    """Overwrite the items that hold EXIF or XMP."""
    found = bytearray(data)
    for start, end, is_exif in _items(data):
        size = max(min(end, len(found)) - start, 0)
        # A decoder demands a TIFF header in EXIF; this one has no entries.
        header = _NO_EXIF if is_exif and size >= len(_NO_EXIF) else b""
        found[start : start + size] = header + bytes(size - len(header))
    return data if found == data else bytes(found)


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


def _tiff(data: bytes) -> bytes:
    """Overwrite the values of entries with metadata."""
    found = bytearray(data)
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] not in (b"*\0", b"\0*"):  # BigTIFF: rejected by the decoder
        return data
    folders = [(int.from_bytes(data[4:8], "little" if order == "<" else "big"), False)]
    for place in range(_MOST_FOLDERS):
        if place >= len(folders):
            break
        folders += _blank(data, found, order, *folders[place])
    return data if found == data else bytes(found)


def _blank(
    data: bytes, found: bytearray, order: str, at: int, everything: bool
) -> list[tuple[int, bool]]:
    """Overwrite the metadata of a folder, or all of it. Return the folders that it names."""
    count = min(_number(data, order, at, 2), _MOST_ENTRIES)
    named = []
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = _number(data, order, entry, 2), _number(data, order, entry + 2, 2)
        size = _number(data, order, entry + 4, 4) * _TIFF_SIZES.get(kind, 1)
        value = entry + 8 if size <= 4 else _number(data, order, entry + 8, 4)
        if tag in _TIFF_FOLDERS:
            named.append((_number(data, order, entry + 8, 4), True))
        elif everything or tag in _TIFF_METADATA:
            end = min(value + size, len(found))
            found[value:end] = bytes(max(end - value, 0))
    following = _number(data, order, at + 2 + 12 * count, 4)
    return [*named, *([(following, everything)] if following else [])]


def _orientation(tiff: bytes) -> int:
    """Return the orientation of EXIF data, 2 to 8; 0 if it says none, or upright."""
    order = "<" if tiff[:2] == b"II" else ">"
    at = _number(tiff, order, 4, 4)
    for entry in range(at + 2, at + 2 + 12 * min(_number(tiff, order, at, 2), _MOST_ENTRIES), 12):
        if _number(tiff, order, entry, 2) == _ORIENTATION:
            found = _number(tiff, order, entry + 8, 2)
            return found if 2 <= found <= 8 else 0
    return 0


def _exif(orientation: int) -> bytes:
    """Return EXIF data with the orientation alone."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, _ORIENTATION, _SHORT, 1, orientation, 0, 0)


def _number(data: bytes, order: str, at: int, size: int) -> int:
    """Return a number; 0 beyond the end."""
    return int.from_bytes(data[at : at + size], "little" if order == "<" else "big")

"""Removal of metadata from photos: where, when, by whom and with what they were taken. Thumbnails
are metadata, too. Also whether a file can hold more pictures than the first one.

Pictures stay as they are, bit for bit: in JPEG, PNG, WebP and GIF the parts with metadata are left
out, in AVIF, HEIC and TIFF they are overwritten with zeros. Kept are the orientation, colour
profiles, and what a decoder needs. Files are untrusted: every length is checked, and a file that is
not as its format demands is returned up to the place where it is not, for a decoder to reject.
"""

from __future__ import annotations

import struct
import zlib

from sightline_rules import photo_boxes
from sightline_rules.photo_parts import (
    APP1,
    EXIF,
    GIF_END,
    GIF_PICTURE,
    MOST_ENTRIES,
    MOST_PARTS,
    SOI,
    TooManyPartsError,
    blanked,
    exif_of,
    gif_blocks,
    gif_start,
    jpeg_segments,
    orientation,
    png_pictures,
    tiff_number,
    webp_chunks,
)
from sightline_rules.photos import Format, PhotoRejectedError, RejectionReason, sniff

_ICC, _JFIF = b"ICC_PROFILE\0", b"JFIF\0"
_COM, _APP0, _APP2, _ADOBE = b"\xff\xfe", b"\xff\xe0", b"\xff\xe2", b"\xff\xee"
_JFIF_BYTES = 18
"""Bytes of a JFIF header without a thumbnail, with its marker."""

_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04
"""Flags of VP8X."""

_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TIFF_FOLDERS = frozenset({0x8769, 0x8825, 0xA005})
"""EXIF, GPS and interoperability: folders of further entries."""
_TIFF_METADATA = frozenset(
    {0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x02BC, 0x8298, 0x83BB, 0x8649}
)
"""Description, make, model, software, time, artist, host, XMP, copyright, IPTC, Photoshop."""
_MOST_FOLDERS = 16


def without_metadata(data: bytes) -> bytes:
    """Return a photo without metadata; the same bytes if it has none. Raise PhotoRejectedError for
    anything but a photo, and for one in too many parts."""
    name = sniff(data)
    remove = {
        Format.JPEG: _jpeg,
        Format.PNG: _png,
        Format.WEBP: _webp,
        Format.GIF: _gif,
        Format.AVIF: photo_boxes.without_metadata,
        Format.HEIF: photo_boxes.without_metadata,
        Format.TIFF: _tiff,
    }.get(name)
    try:
        return data if remove is None else remove(data)
    except TooManyPartsError as error:
        raise PhotoRejectedError(
            RejectionReason.UNDECODABLE, f"the {name} photo has more than {MOST_PARTS:,} parts"
        ) from error


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
            pictures = sum(data[start] == GIF_PICTURE for start, _ in gif_blocks(data))
            return pictures <= 1
    return False


def _jpeg(data: bytes) -> bytes:
    parts = [SOI]
    if (turned := orientation(data)) != 1:
        exif = EXIF + exif_of(turned)
        parts.append(struct.pack("!2sH", APP1, len(exif) + 2) + exif)
    for marker, part in jpeg_segments(data):
        content = part[4:]
        if marker == _APP0 and content.startswith(_JFIF):
            parts.append(_jfif(part))
        elif not _is_jpeg_metadata(marker, content):
            parts.append(part)
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


def _png(data: bytes) -> bytes:
    parts = png_pictures(data)
    if (turned := orientation(data)) != 1:
        parts.insert(2, _chunk(b"eXIf", exif_of(turned)))  # after the header
    found = b"".join(parts)
    return data if found == data else found


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack("!I", len(content)) + name + content + struct.pack("!I", checksum)


def _webp(data: bytes) -> bytes:
    chunks = [part for part in webp_chunks(data) if part[0] not in (b"EXIF", b"XMP ")]
    if (turned := orientation(data)) != 1:
        chunks.append((b"EXIF", exif_of(turned)))
    if chunks and chunks[0][0] == b"VP8X" and chunks[0][1]:
        flags = chunks[0][1][0] & ~(_WEBP_EXIF | _WEBP_XMP)
        flags |= _WEBP_EXIF if turned != 1 else 0
        chunks[0] = (b"VP8X", bytes([flags]) + chunks[0][1][1:])
    body = b"WEBP" + b"".join(_riff(*chunk) for chunk in chunks)
    found = b"RIFF" + struct.pack("<I", len(body)) + body
    cut_off = any(not name for name, _ in chunks)
    return data if found == data or cut_off else found


def _riff(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _gif(data: bytes) -> bytes:
    """Leave out comments and extensions of applications but for the one that repeats animations."""
    at = gif_start(data)
    parts = [data[:at]]
    for start, end in gif_blocks(data):
        at = end
        label = data[start : start + 14]
        comment = label[:2] == b"\x21\xfe"
        unneeded = label[:2] == b"\x21\xff" and label[3:11] != b"NETSCAPE"
        if not (comment or unneeded):
            parts.append(data[start:end])
    found = b"".join([*parts, GIF_END if GIF_END in data[at:] else b""])
    return data if found == data else found


def _tiff(data: bytes) -> bytes:
    """Overwrite the values of entries with metadata."""
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] not in (b"*\0", b"\0*"):  # BigTIFF: rejected by the decoder
        return data
    folders, places = [(tiff_number(data, order, 4, 4), False)], list[tuple[int, int, bytes]]()
    for folder in folders:
        named = dict.fromkeys(_metadata_of(data, order, *folder, places))
        further = [each for each in named if each not in folders]
        folders += further[: _MOST_FOLDERS - len(folders)]
    return blanked(data, places)


def _metadata_of(
    data: bytes, order: str, at: int, everything: bool, places: list[tuple[int, int, bytes]]
) -> list[tuple[int, bool]]:
    """Add the places of the metadata of a folder, or of all of it. Return the folders that it
    names."""
    count = min(tiff_number(data, order, at, 2), MOST_ENTRIES)
    named = []
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = tiff_number(data, order, entry, 2), tiff_number(data, order, entry + 2, 2)
        size = tiff_number(data, order, entry + 4, 4) * _TIFF_SIZES.get(kind, 1)
        value = entry + 8 if size <= 4 else tiff_number(data, order, entry + 8, 4)
        if tag in _TIFF_FOLDERS:
            named.append((tiff_number(data, order, entry + 8, 4), True))
        elif everything or tag in _TIFF_METADATA:
            places.append((value, value + size, b""))
    following = tiff_number(data, order, at + 2 + 12 * count, 4)
    return [*named, *([(following, everything)] if following else [])]

"""Parts of a workbook, looked at as bytes before a library reads them: what they will take."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

_CHUNK = 2**20
_OVERLAP = 64
"""Bytes of a chunk that are looked at again with the next one: longer than what is looked for."""
_HEAD = 256
_PLAIN = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?![?]xml[^>]*encoding\s*=\s*[\"'](?!utf-8|us-ascii|iso-8859-1))", re.I
)
"""Begin of XML whose names are written in ASCII."""
_ODD = re.compile(rb"\xff\xfe|\xfe\xff|<?\0|\x4c\x6f\xa7\x94")
"""Begin of XML in another encoding."""
_XML = (".xml", ".rels")
_DECLARED = re.compile(rb"<!(?:DOCTYPE|ENTITY)")
_PREFIX = rb"<(?:[^\s<>/:=\"']+:)?"
_ROW = re.compile(_PREFIX + rb"row[\s/>]")
_CELL = re.compile(_PREFIX + rb"c[\s/>]")
_TEXT = re.compile(_PREFIX + rb"si[\s/>]")
_BEHIND_Z = re.compile(rb"\br\s*=\s*[\"'][A-Za-z]{2,}[0-9]")
_FAR = re.compile(rb"\br\s*=\s*[\"'](?:K[O-Z]|[L-Z][A-Z]|[A-Z]{3,})[0-9]", re.I)
"""A cell behind the 300th column."""
_HIDDEN = re.compile(rb"\br\s*=\s*(?:\"[^\"<>]*&|'[^'<>]*&)")
"""A place of a row or cell that is written by references, such as &#88;FD1."""
_OF_A_CELL, _OF_A_TEXT = 4, 30
"""Elements of a cell, with its formula and value, and of a text with several fonts."""
WIDE = 300
"""Columns of a sheet that is not far too wide."""


@dataclass(frozen=True, slots=True)
class PartLimits:
    """Limits of a workbook, of a sheet and of the texts of all cells."""

    bytes: int
    """Bytes of all parts, unpacked."""
    rows: int
    cells: int
    """Cells of a sheet, with the empty ones that a reader puts between others."""
    texts: int
    others: int
    """Elements of a part that are none of a row, a cell or a text."""


def problem(archive: zipfile.ZipFile, part: zipfile.ZipInfo, limits: PartLimits) -> str:
    """Return what is too much in a part, in a few words; empty: nothing. A part of 100 MB takes
    about a second. Parts of any name are looked at, as another one can say which is a sheet."""
    rows = cells = texts = elements = 0
    wide = False
    for number, chunk in enumerate(_chunks(archive, part)):
        if number == 0 and _is_odd(part.filename, chunk[:_HEAD]):
            return "is in an encoding that is not read"
        if _DECLARED.search(chunk):
            return "declares entities"
        if _FAR.search(chunk):
            return f"has cells behind column {WIDE}"
        if _HIDDEN.search(chunk):
            return "hides which cell is meant"
        rows += len(_ROW.findall(chunk))
        cells += len(_CELL.findall(chunk))
        texts += len(_TEXT.findall(chunk))
        elements += chunk.count(b"<") - chunk.count(b"</")
        wide = wide or _BEHIND_Z.search(chunk) is not None
        if rows > limits.rows:
            return f"has over {limits.rows:,} rows, also empty ones"
        if texts > limits.texts:
            return f"has over {limits.texts:,} texts"
        if elements - rows - _OF_A_CELL * cells - _OF_A_TEXT * texts > limits.others:
            return f"has over {limits.others:,} elements beside rows, cells and texts"
        if max(cells, rows * (WIDE if wide else 1)) > limits.cells:
            return f"has over {limits.cells:,} cells, also empty ones"
    return ""


def _is_odd(name: str, head: bytes) -> bool:
    if name.lower().endswith(_XML):
        return not _PLAIN.match(head)
    return _ODD.match(head) is not None


def _chunks(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the bytes of a part; what may be cut at the end of a chunk comes with the next."""
    rest = b""
    with archive.open(part) as opened:
        while read := opened.read(_CHUNK):
            chunk = rest + read
            cut = max(chunk.rfind(b"<", -_OVERLAP), 0) if len(read) == _CHUNK else 0
            rest = chunk[cut:] if cut else b""
            yield chunk[:cut] if cut else chunk
    if rest:
        yield rest

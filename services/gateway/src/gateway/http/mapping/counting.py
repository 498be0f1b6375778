"""Counts of a JSON text, taken on its bytes before anything is parsed.

An empty object takes three bytes of text and a hundred of memory. So depth and values are counted
first, as the entries of messages are over gRPC (servicekit.admission.entry_limits), in time and
memory that grow with the text's length alone.
"""

from __future__ import annotations

from itertools import accumulate

from servicekit import deadlines
from servicekit.admission.entry_limits import FIELDS, RequestMalformed, TooManyEntries

DEEPEST = 200
"""Maximum depth of JSON: 100 messages, as protobuf's parsers accept, each in a list."""
PART = 2**16
"""Bytes that are looked at in one step."""
_SPACE = b" \t\r\n"
_STEPS = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
"""Change of the depth at each bracket."""
_OTHERS = bytes(set(range(256)) - _STEPS.keys())


def values(data: bytes, most: int) -> int:
    """Return the number of values of a JSON text, or more where that is below the limits anyway.

    `most`: maximum number of entries of all its lists together. What is no JSON is counted
    somehow: its parser rejects it. Raises TooManyEntries, RequestMalformed (nested too deeply),
    DeadlineExceeded.
    """
    opened = data.count(b"{") + data.count(b"[")
    found = data.count(b",") + opened + 1
    if found <= most and opened <= DEEPEST:  # even if none of these characters is within a text
        return found
    return _counted(_outline(data), most)


def _counted(outline: bytes, most: int) -> int:
    opened = outline.count(b"{") + outline.count(b"[")
    held = outline.count(b",") + opened - outline.count(b"[]") - outline.count(b"{}")
    if held > FIELDS:
        raise TooManyEntries("", FIELDS, "fields")
    if held - outline.count(b":") > most:  # each value of an object has a colon
        raise TooManyEntries("", most, "entries in all its lists")
    depth = 0
    for at in range(0, len(outline), PART):
        deadlines.check()
        brackets = outline[at : at + PART].translate(None, _OTHERS)
        depths = list(accumulate(map(_STEPS.__getitem__, brackets), initial=depth))
        if max(depths) > DEEPEST:
            raise RequestMalformed(f"the body is nested more than {DEEPEST} levels deep")
        depth = depths[-1]
    return held + 1


def _outline(data: bytes) -> bytes:
    """Return a JSON text without white space, and with a quote in place of each of its texts."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outline, within = bytearray(), False
    for at in range(0, len(data), PART):
        deadlines.check()
        parts = data[at : at + PART].split(b'"')
        outline += b'"'.join(parts[within::2]).translate(None, _SPACE)
        within ^= len(parts) % 2 == 0
    return bytes(outline)

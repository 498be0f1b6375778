"""Rules for ids, and ids derived from others."""

from __future__ import annotations

import hashlib
import re
import unicodedata

MAX_ID_BYTES = 128
REFERENCE_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""Name of a reference of good pieces."""
REFERENCE_ID_WANTED = "must be 1 to 64 of a-z, 0-9, - and _, a letter or digit first"
SCENE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
SCENE_NAME_WANTED = "must be 1 to 64 characters of a-z, 0-9, _ and -"
SYNONYMS_DOCUMENT = "_synonyms"
"""Name under which the calls about scenes of the record have a catalog's synonyms: no scene's."""


class IdInvalidError(ValueError):
    """An id that breaks the rules; the message says which one."""


def check_id(value: str) -> str:
    """Return `value` if it is an id: NFC, 1 to 128 bytes of UTF-8, no control characters.

    Raises IdInvalidError. Ids are never corrected: two spellings would be two products.
    """
    if not value:
        raise IdInvalidError("must not be empty")
    size = len(value.encode("utf-8", "surrogatepass"))
    if size > MAX_ID_BYTES:
        raise IdInvalidError(f"has {size} bytes of UTF-8; at most {MAX_ID_BYTES} are allowed")
    if not value.isprintable() and any(
        unicodedata.category(char) in {"Cc", "Cs"} for char in value
    ):
        raise IdInvalidError("must not contain control characters")
    if not unicodedata.is_normalized("NFC", value):
        raise IdInvalidError("must be in Unicode normal form NFC")
    return value


def derive_id(*parts: str, length: int = 32) -> str:
    """Derive a stable id from texts: the first `length` hexadecimal digits of a SHA-256.

    Each part is prefixed by its length, so ("ab", "c") and ("a", "bc") differ.
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    return digest.hexdigest()[:length]

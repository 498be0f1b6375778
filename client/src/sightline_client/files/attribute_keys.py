"""Keys of attributes, from names as people write them: the only rule for all files."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST = 64
"""Maximum characters of a key."""
KEY = re.compile(rf"[a-z0-9_.-]{{1,{LONGEST}}}")
"""What the contract accepts."""
_OTHERS = re.compile(r"[^a-z0-9_.-]+")
_CYRILLIC = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
_CYRILLIC_AS = "a,b,v,g,d,e,e,zh,z,i,y,k,l,m,n,o,p,r,s,t,u,f,kh,ts,ch,sh,shch,,y,,e,yu,ya"
_GREEK = "αβγδεζηθικλμνξοπρσςτυφχψω"
_GREEK_AS = "a,v,g,d,e,z,i,th,i,k,l,m,n,x,o,p,r,s,s,t,y,f,ch,ps,o"
_LETTERS = {
    **{"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe", "œ": "oe", "þ": "th"},
    **{"ð": "d", "đ": "d", "ł": "l", "ı": "i", "ħ": "h", "&": " and "},
    **dict(zip(_CYRILLIC, _CYRILLIC_AS.split(","), strict=True)),
    **dict(zip(_GREEK, _GREEK_AS.split(","), strict=True)),
}
_READABLE = str.maketrans(_LETTERS)


def attribute_key(name: str) -> str:
    """Return the key of an attribute with a name: `Shoe Size` becomes shoe_size, `Größe` groesse. A
    valid key stays as it is. Every name has a key, unless it is blank; letters of scripts that have
    no Latin ones become their numbers."""
    if KEY.fullmatch(name):
        return name
    lower = unicodedata.normalize("NFC", name).strip().lower()
    if not lower:
        return ""
    bare = unicodedata.normalize("NFKD", lower.translate(_READABLE)).translate(_READABLE)
    latin = "".join(_latin(each) for each in bare if not unicodedata.combining(each))
    key = _OTHERS.sub("_", latin).strip("_")
    if key and len(key) <= LONGEST:
        return key
    digest = hashlib.sha256(lower.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{key[: LONGEST - 9]}_{digest}" if key else f"x{digest}"


def _latin(letter: str) -> str:
    return letter if letter.isascii() or not letter.isalnum() else f"_u{ord(letter):x}_"

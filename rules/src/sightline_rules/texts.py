"""The form of texts that are kept and compared."""

import unicodedata


def composed(text: str) -> str:
    """Return a text in Unicode's normal form C: an é is one character, also where it came as an e
    and a mark. What is stored and what is asked for are both composed, so that they are equal."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)

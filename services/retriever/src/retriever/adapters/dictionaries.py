"""Dictionaries in a folder: NAME.tsv for each language (domain/dictionaries.py)."""

from pathlib import Path

from retriever.domain.dictionaries import Dictionaries, Dictionary

SUFFIX = ".tsv"


def read_dictionaries(folder: Path | None) -> Dictionaries:
    """Return the dictionaries of a folder. None: no dictionaries. Raises OSError."""
    if folder is None:
        return Dictionaries()
    files = sorted(folder.glob(f"*{SUFFIX}"))
    return Dictionaries({file.stem: Dictionary(file.read_bytes()) for file in files})

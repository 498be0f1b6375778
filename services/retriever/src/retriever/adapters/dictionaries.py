"""Dictionaries in a folder: NAME.tsv for each language (domain/dictionaries.py)."""

from pathlib import Path

import structlog

from retriever.domain.dictionaries import MOST_BYTES, Dictionaries, Dictionary, dictionary_of

log = structlog.get_logger()

SUFFIX = ".tsv"


def read_dictionaries(folder: Path | None) -> Dictionaries:
    """Return the dictionaries of a folder, without files that are none. None: no dictionaries."""
    found = dict[str, Dictionary]()
    for file in sorted(folder.glob(f"*{SUFFIX}")) if folder is not None else ():
        try:
            with file.open("rb") as lines:
                found[file.stem] = dictionary_of(lines.read(MOST_BYTES + 1))
        except (OSError, ValueError) as error:
            log.warning("dictionary left out", file=file.name, problem=str(error))
    return Dictionaries(found)

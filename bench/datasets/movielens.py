"""MovieLens-100k (Harper and Konstan 2015) as events and products, used for measurements only.

Every rating is an event of interest in a film, regardless of its stars: a recommender predicts what
a person watches, and on the validation split the stars added nothing as weights. A film is a
product whose tags are its genres and whose attribute is the decade of its release. Its title has no
year.
"""

import csv
import gzip
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ranker.domain.events import EventType, Interaction
from ranker.domain.features import PhotoVectors, Product
from ranker.domain.log import EventColumns, log_of
from ranker.domain.recipe import Recipe
from ranker.domain.signals import Signals

FOLDER = "ml100k"
SIGNALS = Signals(liked_rating=0.0, rating_power=0.0)
RECIPE = Recipe(attribute_keys=(), title_words=False, signals=SIGNALS)
"""Recipe with genres only: on validation the decade and words of titles add nothing to nDCG@10 of
films seen in training, and lower AUC.
"""
NEW_FILMS = Recipe(attribute_keys=("decade",), title_words=True, signals=SIGNALS)
"""Recipe for films that training did not see."""
GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance"),
    *("Sci-Fi", "Thriller", "War", "Western"),
)
_TITLE, _RELEASED, _GENRES = 1, 2, 5
_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")


POSTERS = "posters-half.npz"
"""File of photo vectors of half of the films, in the same folder."""


@dataclass(frozen=True, slots=True)
class MovieLens:
    """The data."""

    products: tuple[Product, ...]
    """Sorted by id."""
    log: EventColumns
    titles: tuple[str, ...] = ()
    """Titles without the year, one for each product."""


def folder() -> Path | None:
    """Return ``$SIGHTLINE_DATA/ml100k``; None if it is absent."""
    given = os.environ.get("SIGHTLINE_DATA", "")
    path = Path(given) / FOLDER
    return path if given and (path / "u.item").is_file() else None


def load(path: Path) -> MovieLens:
    """Read ``u.item`` and ``u.data`` or ``u.data.gz``. Raise OSError or ValueError if they are
    invalid.
    """
    with (path / "u.item").open(encoding="latin-1", newline="") as file:
        rows = csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE)
        films = sorted(((_product(row), _title(row)) for row in rows), key=_id)
    data = path / "u.data"
    with data.open() if data.is_file() else gzip.open(f"{data}.gz", "rt") as file:
        log = log_of(_event(line.split()) for line in file)
    products, titles = zip(*films, strict=True)
    return MovieLens(products, log, titles)


def posters(path: Path) -> PhotoVectors | None:
    """Return the poster vectors of half of the films, or None when the file is absent."""
    if not (path / POSTERS).is_file():
        return None
    with np.load(path / POSTERS, allow_pickle=False) as file:
        films, vectors = file["films"], file["vectors"].astype(np.float32)
    named = [_film(number) for number in films.tolist()]
    order = sorted(range(len(named)), key=named.__getitem__)
    return PhotoVectors(tuple(named[row] for row in order), vectors[order], POSTERS)


def _product(row: list[str]) -> Product:
    genres = tuple(name for name, mark in zip(GENRES, row[_GENRES:], strict=True) if mark == "1")
    year = row[_RELEASED][-4:]
    decade = (("decade", f"{year[:3]}0s"),) if year else ()
    return Product(_film(row[0]), tags=genres, attributes=decade, title=_title(row))


def _title(row: list[str]) -> str:
    return _YEAR.sub("", row[_TITLE])


def _id(film: tuple[Product, str]) -> str:
    return film[0].product_id


def _event(columns: list[str]) -> Interaction:
    shopper, film, stars, seconds = columns
    return Interaction(
        actor=f"user-{int(shopper):04}",
        product_id=_film(film),
        type=EventType.RATING,
        value=float(stars),
        time_micros=int(seconds) * 10**6,
        event_id=f"{int(shopper):04}/{int(film):04}",
    )


def _film(number: str | int) -> str:
    return f"film-{int(number):04}"

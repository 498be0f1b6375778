"""The example catalog as plain values: 100 wines and 1,000 dated ratings.

It reads the files beside it and depends on no service, so that a demo, a test or a benchmark can
convert the values to its own messages.
"""

import ast
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Attributes:
    """Attributes of a wine in X-Wines, without its name, type and winery."""

    country: str
    """English name of the country, as in "Italy"."""
    region: str
    """Region name in its own language, as in "Serra Gaúcha"."""
    grapes: tuple[str, ...]
    """Grape varieties, main one first."""
    body: str
    """"Very light-bodied" to "Very full-bodied"."""
    acidity: str
    """"Low", "Medium" or "High"."""
    abv: float
    """Alcohol by volume in percent, unchanged; the source has a few outliers."""
    elaborate: str
    """Blend, as in "Varietal/100%"."""


@dataclass(frozen=True, slots=True)
class Wine:
    """One wine, with a made-up offer (see ``make_offers.py``)."""

    id: str
    """WineID of X-Wines."""
    title: str
    """Name of the wine."""
    type: str
    """"Red", "White", "Rosé", "Sparkling", "Dessert" or "Dessert/Port"."""
    category_path: tuple[str, ...]
    """One level: the type."""
    brand: str
    """Name of the winery."""
    price: Decimal
    """Made up."""
    currency: str
    """ISO 4217."""
    available: bool
    """Made up: about one in ten is sold out."""
    tags: tuple[str, ...]
    """Dishes it goes with."""
    attributes: Attributes
    image: Path
    """JPEG, short side 360 px."""


@dataclass(frozen=True, slots=True)
class Rating:
    """One person's rating of one wine."""

    event_id: str
    """``xwines-<RatingID>``: the same on every import, so that a second one counts once."""
    user_id: str
    wine_id: str
    value: float
    """1 to 5 stars, in halves."""
    time: datetime
    """Time of the rating. The source names no zone; read as UTC."""


def load_wines(folder: Path = HERE) -> tuple[Wine, ...]:
    """Return all wines in the order of ``wines.csv``. Raise ValueError if an offer is missing."""
    offers = {row["wine_id"]: row for row in _rows(folder / "offers.csv")}
    wines = []
    for row in _rows(folder / "wines.csv"):
        offer = offers.get(row["WineID"])
        if offer is None:
            raise ValueError(f"offers.csv has no row for wine {row['WineID']}: run make_offers.py")
        wines.append(_wine(row, offer, folder / "images"))
    return tuple(wines)


def load_ratings(folder: Path = HERE) -> tuple[Rating, ...]:
    """Return all ratings, oldest first; equal times in the order of their ids."""
    ratings = [
        Rating(
            event_id=f"xwines-{row['RatingID']}",
            user_id=row["UserID"],
            wine_id=row["WineID"],
            value=float(row["Rating"]),
            time=datetime.fromisoformat(row["Date"]).replace(tzinfo=UTC),
        )
        for row in _rows(folder / "ratings.csv")
    ]
    return tuple(sorted(ratings, key=lambda rating: (rating.time, rating.event_id)))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _wine(row: dict[str, str], offer: dict[str, str], images: Path) -> Wine:
    return Wine(
        id=row["WineID"],
        title=row["WineName"],
        type=row["Type"],
        category_path=(row["Type"],),
        brand=row["WineryName"],
        price=Decimal(offer["price"]),
        currency=offer["currency"],
        available=offer["available"] == "true",
        tags=_strings(row["Harmonize"]),
        attributes=Attributes(
            country=row["Country"],
            region=row["RegionName"],
            grapes=_strings(row["Grapes"]),
            body=row["Body"],
            acidity=row["Acidity"],
            abv=float(row["ABV"]),
            elaborate=row["Elaborate"],
        ),
        image=images / f"{row['WineID']}.jpg",
    )


def _strings(text: str) -> tuple[str, ...]:
    """Return a list of strings, which X-Wines writes as a Python literal."""
    return tuple(str(item) for item in ast.literal_eval(text))

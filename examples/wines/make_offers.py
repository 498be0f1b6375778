"""Make up a price and a stock state for every wine, the same ones each time.

X-Wines has no prices and no stock, so these are made up: a price drawn within a range that is
usual for the wine's type, and about one wine in ten sold out. Run it as
``python -m examples.wines.make_offers``; it writes ``offers.csv`` beside itself, byte for byte the
same on every run.
"""

import csv
import io
import random
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEED = 20230122
CURRENCY = "EUR"
SOLD_OUT_SHARE = 0.1

PRICE_RANGES = {
    "Red": (8, 60, 16),
    "White": (7, 40, 13),
    "Rosé": (6, 25, 11),
    "Sparkling": (10, 70, 24),
    "Dessert": (14, 80, 28),
    "Dessert/Port": (12, 90, 26),
}
"""Lowest, highest and most usual price in whole euros, by wine type."""


def make_offers(wines: str) -> str:
    """Return the text of ``offers.csv`` for the text of ``wines.csv``, in the order of its rows."""
    rng = random.Random(SEED)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["wine_id", "price", "currency", "available"])
    for row in csv.DictReader(io.StringIO(wines)):
        low, high, usual = PRICE_RANGES[row["Type"]]
        euros = int(rng.triangular(low, high, usual))
        available = rng.random() >= SOLD_OUT_SHARE
        writer.writerow([row["WineID"], f"{euros}.90", CURRENCY, str(available).lower()])
    return out.getvalue()


def main() -> None:
    """Write ``offers.csv`` beside this file."""
    offers = make_offers((HERE / "wines.csv").read_text(encoding="utf-8"))
    (HERE / "offers.csv").write_text(offers, encoding="utf-8", newline="")


if __name__ == "__main__":
    main()

"""Conditions on products as text, after AIP-160 (https://google.aip.dev/160).

    category = "Wine > Red" AND price < 30 EUR
    (brand = Aurora OR brand = "Château d'Yquem") AND tags:Beef AND availability = IN_STOCK
    attributes.vintage >= 2015 AND NOT attributes.grape = Merlot
    brand:* AND title:réserve OR -price:*
    create_time >= "2026-01-01T00:00:00Z"

- Fields: category, brand, title, price, availability, tags, create_time, update_time and
  attributes.<key>.
- Operators: = != < <= > >= and ``:`` ("has"). ``tags:Beef`` asks for that tag; ``title:wine``, and
  so brand, category and attributes of text, for a word or a part of one, upper and lower case
  alike; ``price:*`` asks whether the field is known.
- AND joins, OR joins and binds tighter, as AIP-160 has it; NOT or - before a condition turns it
  round. ``NOT brand = A`` passes a product without a brand, ``brand != A`` does not.
- A text is one word, or quoted with " or ', with a backslash before a quote or a backslash in it.
- For attributes 2015 and 13.5 are numbers, true and false flags, all else a text, as is "2015".
- Money is an amount and its ISO 4217 code: ``30 EUR``, ``12.50USD``. An amount alone is in the
  currency given to ``parse_filter``.
- A time is RFC 3339 in quotes; a date alone is its midnight, UTC.
"""

from sightline_client.convert.filter_errors import FilterSyntaxError
from sightline_client.values.filters import Filter

MAX_LENGTH = 65_536
"""Characters; more is no filter that a person wrote, and the suite takes at most 256 conditions."""


def parse_filter(text: str, *, currency: str = "") -> Filter:
    """Parse a filter; an empty text passes every product. ``currency``: of amounts without one, ""
    = each amount must name its own. FilterSyntaxError says what is wrong and where."""
    if len(text) > MAX_LENGTH:
        raise FilterSyntaxError(f"a filter has at most {MAX_LENGTH:,} characters", text, 0)
    # The parser takes a fifth of the client's import, and few programs write filters.
    from sightline_client.convert.filter_grammar import read_filter

    return read_filter(text, currency)

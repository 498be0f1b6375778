"""Conditions on products as text, after AIP-160 (https://google.aip.dev/160).

    category = "Wine > Red" AND price < 30 EUR
    (brand = Aurora OR brand = "Château d'Yquem") AND tags:Beef AND availability = IN_STOCK
    attributes.vintage >= 2015 AND NOT attributes.grape = Merlot
    brand:* AND title:réserve OR -price:*
    create_time >= "2026-01-01T00:00:00Z"

- Fields are those of ``sightline_client.values.products.FILTERED``, and attributes.<key>.
- Operators: = != < <= > >= and ``:`` ("has"). ``tags:Beef`` tests for that tag. ``:`` with a text
  field tests for a part of the text, case-insensitively: ``title:wine``. ``price:*`` tests
  whether the field has a value.
- OR binds tighter than AND, as in AIP-160. NOT or - negates a condition. ``NOT brand = A`` accepts
  a product without a brand, ``brand != A`` does not.
- A text is one word, or quoted with " or ', with a backslash before a quote or a backslash in it.
- In conditions on attributes, 2015 and 13.5 are numbers, true and false are flags, and all other
  values are texts, as is "2015".
- Money is an amount and its ISO 4217 code: ``30 EUR``, ``12.50USD``. An amount alone is in the
  currency given to ``parse_filter``.
- A time is RFC 3339 in quotes; a date alone is midnight, UTC.
"""

from sightline_client.convert.filter_errors import FilterSyntaxError
from sightline_client.values.filters import Filter

MAX_LENGTH = 65_536
"""Maximum number of characters. The suite accepts at most 256 conditions."""


def parse_filter(text: str, *, currency: str = "") -> Filter:
    """Parse a filter; an empty text accepts every product. ``currency``: of amounts without one, ""
    = each amount must name its own. FilterSyntaxError says what is wrong and where."""
    if len(text) > MAX_LENGTH:
        raise FilterSyntaxError(f"a filter has at most {MAX_LENGTH:,} characters", text, 0)
    # The parser takes a fifth of the client's import, and few programs write filters.
    from sightline_client.convert.filter_grammar import read_filter

    return read_filter(text, currency)

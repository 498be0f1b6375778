"""What all rows of a file show about the form of its columns, gathered in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from sightline_client.files import instants, numerals
from sightline_client.files.attribute_keys import attribute_key
from sightline_client.files.currencies import CODES, WHOLE
from sightline_client.files.notation import NUMBER, TEXT
from sightline_client.values.fields import FieldKind
from sightline_client.values.products import WRITTEN

ATTRIBUTES = "attributes"
_KINDS = (FieldKind.MONEY, FieldKind.NUMBER)
AMOUNTS = frozenset(
    {"unit_price", *(each.column for each in WRITTEN if each.kind is FieldKind.MONEY)}
)
"""Our columns with amounts, which may name their currency."""
NUMBERS = AMOUNTS | {
    *("value", "quantity", "position"),
    *(each.column for each in WRITTEN if each.kind in _KINDS),
}
"""Our columns with numbers."""
TIMES = frozenset({"time", *(each.column for each in WRITTEN if each.kind is FieldKind.TIME)})
"""Our columns with instants."""
_NUMBERS, _TIMES, _CURRENCY = "numbers", "times", "currency"
FLAG = "flag"
"""Type of an attribute, beside `TEXT` and `NUMBER`."""
_CODE = re.compile(r"\+|-?0\d")
"""Start of a code whose zeros or sign a number would lose."""
_GTIN = re.compile(r"\d{12,14}", re.ASCII)
_MOST_DIGITS, _MOST_DECIMALS = 15, 6
"""Digits that a number of the contract keeps, and those after the decimal sign that are usual."""
_MOST_SPELLINGS = 200
"""Most spellings of a column that are compared with each other."""
_MOST_KEYS = 20_000
"""Most attributes that are looked at."""
_NUMERIC = re.compile(r"\s*[-+]?[.,]?\d[\d.,'\u2019\s]*([eE][-+]?\d{1,3})?\s*")
_WHOLE = re.compile(r"\d{1,15}", re.ASCII)
_CODES = re.compile(
    r"(.*_)?(gtin|ean|upc|isbn|mpn|sku|asin|barcode|strichcode|code_?barres?|codigo_de_barras|"
    r"codice_a_barre|size|sizes|groesse|taille|pointure|talla|taglia|plz|zip|postal_code|phone|"
    r"artikelnummer|article_number|part_number|hsn|pzn)(_?\d{1,2}|_(code|number|nr|no|eu|us|uk))?"
)
"""Keys of attributes that are codes or sizes, also if all their values look like numbers."""
_ASIAN = "尺码 尺寸 尺碼 サイズ 条码 条形码 條碼 バーコード 型号 型號 型番 货号"
_ASIAN_CODES = frozenset(map(attribute_key, _ASIAN.split()))


def is_code(key: str) -> bool:
    """Return whether an attribute is a code or a size by its key."""
    return _CODES.fullmatch(key) is not None or key in _ASIAN_CODES


@dataclass(slots=True)
class NumberColumn:
    """A column of numbers or amounts."""

    signs: set[str] = field(default_factory=set)
    """Decimal signs that its cells show."""
    currencies: set[str] = field(default_factory=set)
    """Codes of the currencies that stand beside its amounts."""

    def add(self, value: str, currency: object) -> None:
        """Look at a cell. `currency`: that of its row, if it names one."""
        if _WHOLE.fullmatch(value) or (found := numerals.amount(value)) is None:
            return
        digits, mark = found
        readings = numerals.readings(digits)
        named = numerals.codes(mark)
        if len(named) == 1:
            self.currencies.update(named)
            currency = named[0]
        if len(readings) == 1:
            self.signs.update(readings)
        elif currency in WHOLE and len(set(readings.values())) > 1:
            self.signs.add(max(readings, key=lambda sign: readings[sign]))  # there are no decimals

    @property
    def sign(self) -> str:
        """The decimal sign; empty if no cell shows one, or if two contradict each other."""
        return next(iter(self.signs)) if len(self.signs) == 1 else ""


@dataclass(slots=True)
class TimeColumn:
    """A column of times."""

    orders: set[str] = field(default_factory=set)
    seconds: bool = False
    """A cell is a number of seconds since 1970, or of milliseconds."""

    def add(self, value: object) -> None:
        """Look at a cell."""
        if isinstance(value, str):
            if instants.is_exact(value):
                return
            if order := instants.order_of(value):
                self.orders.add(order)
            elif value.isdecimal():
                self.seconds = self.seconds or len(value) > 6 or int(value) > instants.LAST_DAY
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            self.seconds = self.seconds or value > instants.LAST_DAY

    @property
    def order(self) -> str:
        """The order of day and month; empty if no cell shows it, or if two contradict."""
        return next(iter(self.orders)) if len(self.orders) == 1 else ""


@dataclass(slots=True)
class AttributeColumn:
    """An attribute: the values of one key."""

    kinds: set[str] = field(default_factory=set)
    """Types of its values that are no text of a table."""
    signs: set[str] = field(default_factory=set)
    fits: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(numerals.SIGNS, True))
    """Decimal sign → all texts are numbers by it, of which none has two spellings."""
    ambiguous: bool = False
    gtins: bool = True
    """All texts are GTINs with their check digits."""
    texts: int = 0
    numeric: bool = False
    """A text looks like a number, so that a part of the column may be numbers alone."""
    spellings: dict[str, dict[Decimal, str]] = field(
        default_factory=lambda: {sign: {} for sign in numerals.SIGNS}
    )

    def add_text(self, text: str) -> None:
        """Look at a cell of a table, which says nothing about types."""
        self.texts += 1
        self.numeric = self.numeric or _NUMERIC.fullmatch(text) is not None
        if not any(self.fits.values()):
            return
        facts = _facts(text)
        if len(facts.signs) == 1:
            self.signs.update(facts.signs)
        self.ambiguous |= facts.ambiguous
        self.gtins = self.gtins and facts.gtin
        for sign, known in self.spellings.items():
            number = facts.numbers.get(sign)
            if number is None:
                self.fits[sign] = False
                known.clear()
            elif known.get(number, text) != text:
                self.fits[sign] = False
            elif len(known) < _MOST_SPELLINGS:
                known[number] = text

    def add_value(self, value: object) -> None:
        """Look at a value with a type."""
        if isinstance(value, bool):
            self.kinds.add(FLAG)
        elif isinstance(value, str):
            self.kinds.add(TEXT)
        elif isinstance(value, int | float | Decimal):
            self.kinds.add(NUMBER)

    @property
    def shown(self) -> str:
        """The decimal sign that its texts show; empty if they show none, or both."""
        return next(iter(self.signs)) if len(self.signs) == 1 else ""

    def number_sign(self, decimal: str, told: str = "") -> str:
        """Return the decimal sign by which all texts are numbers; "" = they are texts. `told`: what
        is known of the column where its texts show nothing, `NUMBER` or a decimal sign."""
        known = decimal or self.shown or told.replace(NUMBER, "")
        if not self.texts or (self.gtins and not told) or (self.ambiguous and not known):
            return ""
        sign = known or "."
        return sign if self.fits[sign] else ""


@dataclass(frozen=True, slots=True)
class _Facts:
    signs: tuple[str, ...]
    ambiguous: bool
    numbers: Mapping[str, Decimal]
    """Decimal sign → the number, which loses nothing as one."""
    gtin: bool


@lru_cache(10_000)
def _facts(text: str) -> _Facts:
    text = text.strip()
    found = numerals.readings(text)
    kept = {} if _CODE.match(text) else {s: n for s, n in found.items() if _is_kept(n)}
    return _Facts(tuple(found), len(set(found.values())) > 1, kept, is_gtin(text))


def _is_kept(value: Decimal) -> bool:
    digits, places = len(value.as_tuple().digits), value.as_tuple().exponent
    return digits <= _MOST_DIGITS and -_MOST_DECIMALS <= int(places) <= 0


def is_gtin(text: str) -> bool:
    """Return whether a text is a GTIN of 12 to 14 digits, by its check digit."""
    if not _GTIN.fullmatch(text):
        return False
    weighted = (int(digit) * (1, 3)[at % 2] for at, digit in enumerate(reversed(text)))
    return sum(weighted) % 10 == 0


@dataclass(slots=True)
class Survey:
    """Forms of numbers, times and texts that the rows of a file show."""

    numbers: dict[str, NumberColumn] = field(default_factory=dict)
    times: dict[str, TimeColumn] = field(default_factory=dict)
    attributes: dict[str, AttributeColumn] = field(default_factory=dict)
    currencies: set[str] = field(default_factory=set)
    """Values of the column of currencies."""

    def add(self, cells: Mapping[str, object], untyped: Collection[str]) -> None:
        """Look at a row. `untyped`: keys of attributes whose texts come from cells of a table."""
        for name, value in cells.items():
            kind = _kind(name)
            if kind == _NUMBERS and isinstance(value, str):
                market = name.partition("@")[1:]
                currency = cells.get("".join((_CURRENCY, *market))) or cells.get(_CURRENCY)
                self.numbers.setdefault(name, NumberColumn()).add(value, currency)
            elif kind == _TIMES:
                self.times.setdefault(name, TimeColumn()).add(value)
            elif kind == _CURRENCY and isinstance(value, str) and value.strip():
                self.currencies.update({value.strip().upper()} & CODES)
            elif name == ATTRIBUTES and isinstance(value, Mapping):
                self._add_attributes(value, untyped)

    @property
    def all_currencies(self) -> set[str]:
        """Codes of all currencies that the rows name."""
        return self.currencies.union(*(column.currencies for column in self.numbers.values()))

    def _add_attributes(self, values: Mapping[str, object], untyped: Collection[str]) -> None:
        for key, value in values.items():
            column = self.attributes.get(key)
            if column is None:
                if len(self.attributes) == _MOST_KEYS:
                    continue
                column = self.attributes[key] = AttributeColumn()
            for part in parts(value):
                if key in untyped and isinstance(part, str):
                    column.add_text(part)
                else:
                    column.add_value(part)


@lru_cache(10_000)
def _kind(name: str) -> str:
    """Return the kind of a column of ours, also of a market: `price@de`."""
    base = name.partition("@")[0]
    if base in NUMBERS:
        return _NUMBERS
    return _TIMES if base in TIMES else _CURRENCY if base == _CURRENCY else ""


def parts(value: object) -> Iterator[object]:
    """Yield the values of an attribute."""
    if isinstance(value, list | tuple):
        yield from value
    elif value is not None and value != "":
        yield value

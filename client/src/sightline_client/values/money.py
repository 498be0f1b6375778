"""Amounts of money."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An exact amount of money."""

    amount: Decimal
    """Units of the currency, e.g. Decimal("12.50"); at most six decimals."""
    currency: str
    """ISO 4217 code, e.g. "EUR"."""

    def __str__(self) -> str:
        return f"{self.amount:,.2f} {self.currency}"


def money(amount: int | str | Decimal, currency: str) -> Money:
    """Return ``money("12.50", "EUR")``. TypeError for a float, which is not exact in binary."""
    if isinstance(amount, float):
        raise TypeError(f'write money("{amount}", "{currency}"): a float is not an exact amount')
    return Money(Decimal(amount), currency)

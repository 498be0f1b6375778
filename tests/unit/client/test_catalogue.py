"""Money is exact."""

from decimal import Decimal
from typing import cast

import pytest

from sightline_client import Money, ProductImage, money


def test_money_from_text_and_integers_is_exact() -> None:
    assert money("12.10", "EUR") == Money(Decimal("12.10"), "EUR")
    assert money(30, "USD").amount == 30
    assert str(money("1234.5", "EUR")) == "1,234.50 EUR"


def test_a_float_is_not_an_amount_of_money() -> None:
    with pytest.raises(TypeError, match=r'money\("12\.1", "EUR"\)'):
        money(cast(int, 12.1), "EUR")


def test_a_photos_bytes_stay_out_of_logs() -> None:
    assert "secret" not in repr(ProductImage(content=b"secret"))

"""Messages that are complete where they are raised, and returned unchanged."""

from google.type.money_pb2 import Money as MoneyMessage

from ranker.domain.features import Money
from sightline.ranker.v1 import profile_service_pb2 as profile_pb

__all__ = ["money", "profile_pb"]


def money(value: Money) -> MoneyMessage:
    units, micros = divmod(value.micros, 1_000_000)
    return MoneyMessage(currency_code=value.currency, units=units, nanos=micros * 1000)

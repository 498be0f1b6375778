"""Usage of a caller without limits, which notes what is charged."""

from typing import Any

from servicekit.admission.quotas import QuotaKind


class Usage:
    """Usage of a caller."""

    def __init__(self) -> None:
        self.reserved: list[float] = []
        """Processor seconds that were charged before calls ran."""
        self.spent: list[tuple[QuotaKind, float]] = []
        """Charges after that, and corrections of those."""

    def check(self, quota: QuotaKind) -> None:
        """Let all calls run."""

    def reserve(self, quota: QuotaKind, amount: float) -> float:
        assert quota is QuotaKind.PROCESSOR_SECONDS
        self.reserved.append(amount)
        return amount

    def spend(self, quota: QuotaKind, amount: float = 1.0) -> None:
        self.spent.append((quota, amount))

    def states(self) -> list[Any]:
        return []

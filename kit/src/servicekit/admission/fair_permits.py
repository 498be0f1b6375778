"""Permits of one process, shared fairly between callers and between catalogs by what each uses.

Start-time fair queueing (P. Goyal, H. Vin, H. Cheng, 1996) with two accounts for each item: its
caller's and its catalog's. Work has costs, such as processor seconds, that are known only when it
is done; until then the caller's mean cost is assumed. The next permit goes to the item whose larger
account is smallest. So neither a caller with many catalogs nor a catalog with many callers gets
more than its share, and a caller with little work waits for at most one item of each busy one.

An item may come with an estimate of its cost, which is added to its caller's account beforehand: of
equally busy callers the cheapest item goes first, and so it does of one caller's own.

An account that was idle starts at the level of the least busy one: the past gives no claims.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from servicekit.admission import access

MOST_ACCOUNTS = 1_000
"""Accounts kept of each kind; of more, those without work are dropped."""
_WEIGHT = 0.2
"""Weight of the newest cost in a caller's mean."""


class Party(NamedTuple):
    """A caller in a catalog."""

    caller: str
    catalog: str

    @classmethod
    def of(cls, catalog: str) -> Party:
        """Return the caller of the current call, in a catalog."""
        return cls(access.caller.get().name, catalog)


@dataclass(slots=True, eq=False)
class Permit:
    """A permit, awaited or held."""

    party: Party
    urgency: int
    memory: int
    number: int
    estimate: float = 0.0
    """Expected cost; 0: unknown."""
    granted: asyncio.Future[None] | None = None
    """None if it did not have to wait."""
    held: bool = False
    assumed: float = 0.0
    """Cost that is charged until the true one is known."""


@dataclass(slots=True)
class _Account:
    """What one caller or one catalog used."""

    used: float = 0.0
    """Costs, the assumed ones included."""
    assumed: float = 0.0
    """Part of `used` that belongs to permits that are held."""
    items: int = 0
    """Permits held and awaited."""
    running: int = 0
    mean: float = 0.0


@dataclass(slots=True)
class _Ledger:
    """The accounts of all callers, or of all catalogs."""

    accounts: dict[str, _Account] = field(default_factory=dict)

    def enter(self, name: str) -> None:
        if not self.accounts:
            self.accounts[name] = _Account(items=1)
            return
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = _Account()
        if not account.items:
            busy = [each for each in self.accounts.values() if each.items]
            least = min((each.used - each.assumed for each in busy), default=0.0)
            account.used = max(account.used, least) if busy else 0.0
        account.items += 1

    def leave(self, name: str) -> None:
        account = self.accounts[name]
        account.items -= 1
        if account.items:
            return
        if len(self.accounts) == 1:
            del self.accounts[name]
            return
        used = [each.used for each in self.accounts.values() if each.items]
        if not used:
            self.accounts.clear()
        elif account.used <= min(used):
            del self.accounts[name]  # it would start at that level anyway
        elif len(self.accounts) > MOST_ACCOUNTS:
            self.accounts = {key: each for key, each in self.accounts.items() if each.items}


class FairSemaphore:
    """Semaphore with permits for a process, and shares of its memory: urgent items first, then the
    parties in fair turns. For one event loop."""

    def __init__(self, permits: int, *, memory: int = 0, reserved: int = 0, most: int = 0) -> None:
        """Create a semaphore of `permits`, and of `memory` bytes that items may ask for.

        Items whose urgency is not 0 leave `reserved` permits free, fewer than all. One catalog
        holds `most` permits at a time; 0: all.
        """
        if not 0 <= reserved < permits:
            raise ValueError("at least one permit has to be open to items that are not urgent")
        self.memory = memory
        self._free_memory = memory
        self._free = permits
        self._reserved = reserved
        self._most = most or permits
        self._callers, self._catalogs = _Ledger(), _Ledger()
        self._waiting: dict[tuple[int, Party, bool], deque[Permit]] = {}
        self._number = 0

    @property
    def accounts(self) -> int:
        """Number of callers and catalogs of which something is remembered."""
        return len(self._callers.accounts) + len(self._catalogs.accounts)

    async def acquire(
        self, party: Party, urgency: int = 0, memory: int = 0, *, estimate: float = 0.0
    ) -> Permit:
        """Wait for a permit and for `memory` bytes, at most all; return them with `release`.

        Smaller urgencies go first. `estimate`: the expected cost; 0: the caller's mean.
        """
        self._number += 1
        permit = Permit(party, urgency, memory, self._number, estimate)
        self._callers.enter(party.caller)
        self._catalogs.enter(party.catalog)
        if not self._waiting and self._fits(permit):
            self._grant(permit)
            return permit
        permit.granted = granted = asyncio.get_running_loop().create_future()
        flow = self._waiting.setdefault((urgency, party, memory > 0), deque())
        insort(flow, permit, key=_place)
        self._admit()
        try:
            await granted
        except asyncio.CancelledError:
            if permit.held:
                self.release(permit, 0.0)
            else:
                self._withdraw(permit)
            raise
        return permit

    def release(self, permit: Permit, cost: float) -> None:
        """Return a permit, and charge the cost of its work to its party."""
        self._free += 1
        self._free_memory += permit.memory
        for account in self._accounts(permit.party):
            account.used += cost - permit.assumed
            account.assumed -= permit.assumed
            account.running -= 1
            account.mean += _WEIGHT * (cost - account.mean) if account.mean else cost
        self._leave(permit.party)
        self._admit()

    def _withdraw(self, permit: Permit) -> None:
        key = (permit.urgency, permit.party, permit.memory > 0)
        if (flow := self._waiting.get(key)) and permit in flow:
            flow.remove(permit)
            if not flow:
                del self._waiting[key]
        self._leave(permit.party)
        self._admit()  # one that asked for much memory may have delayed others

    def _leave(self, party: Party) -> None:
        self._callers.leave(party.caller)
        self._catalogs.leave(party.catalog)

    def _accounts(self, party: Party) -> tuple[_Account, _Account]:
        return self._callers.accounts[party.caller], self._catalogs.accounts[party.catalog]

    def _admit(self) -> None:
        while self._free and self._waiting and (permit := self._next()) is not None:
            key = (permit.urgency, permit.party, permit.memory > 0)
            flow = self._waiting[key]
            flow.popleft()
            if not flow:
                del self._waiting[key]
            if not _is_given_up(permit):
                self._grant(permit)
                if permit.granted is not None:
                    permit.granted.set_result(None)

    def _grant(self, permit: Permit) -> None:
        self._free -= 1
        self._free_memory -= permit.memory
        caller, catalog = self._accounts(permit.party)
        permit.held, permit.assumed = True, permit.estimate or caller.mean
        for account in (caller, catalog):
            account.used += permit.assumed
            account.assumed += permit.assumed
            account.running += 1

    def _fits(self, permit: Permit) -> bool:
        least = self._reserved if permit.urgency else 0
        has_memory = permit.memory <= self._free_memory
        return self._free > least and has_memory and not self._is_full(permit.party)

    def _is_full(self, party: Party) -> bool:
        return self._catalogs.accounts[party.catalog].running >= self._most

    def _next(self) -> Permit | None:
        """Return the permit to grant, or a cancelled one.

        Items that ask for memory do not overtake one another, or a large one would wait forever.
        """
        memory_is_due = False
        for key in sorted(self._waiting, key=self._rank):
            head = self._waiting[key][0]
            if _is_given_up(head):
                return head
            if self._free <= (self._reserved if head.urgency else 0):
                return None
            if self._is_full(head.party):
                continue
            if not head.memory:
                return head
            if not memory_is_due and head.memory <= self._free_memory:
                return head
            memory_is_due = True
        return None

    def _rank(self, key: tuple[int, Party, bool]) -> tuple[float, ...]:
        urgency, party, _ = key
        caller, catalog = self._accounts(party)
        head = self._waiting[key][0]
        used = sorted((caller.used + head.estimate, catalog.used), reverse=True)
        return (urgency, *used, caller.running, head.number)


def _place(permit: Permit) -> tuple[float, int]:
    """Return the place of a permit among its caller's own: cheaper ones first, then earlier."""
    return permit.estimate, permit.number


def _is_given_up(permit: Permit) -> bool:
    """Return whether a waiting permit was cancelled, and its task did not run yet."""
    return permit.granted is not None and permit.granted.done()

"""Shoppers whose answers are compared: typed once, kept for the session, in no address."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from sightline_client.cli.language import _
from sightline_console.screens.shopper import Named, Who, admit_first
from sightline_console.screens.visit import Visit

KIND = "shoppers"
"""Kind of kept files that name shoppers."""
MOST = 5


@dataclass(frozen=True, slots=True)
class Group:
    """Shoppers for whom something is compared."""

    ids: tuple[str, ...] = ()
    is_user: bool = False
    """True if they are known customers."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Field of the form → what is wrong with it."""

    @property
    def typed(self) -> str:
        """The ids as they are typed."""
        return " ".join(self.ids)

    def who(self, shopper_id: str) -> Who:
        """Return one of them as arguments of a call."""
        return Named(shopper_id, self.is_user).who

    @classmethod
    def gone(cls) -> Self:
        """Return a group that is not kept any more."""
        text = _("This shopper is not kept any more: type the id again.")
        return cls(problems={"shoppers": text})


async def keep(visit: Visit, sent: Mapping[str, str]) -> str:
    """Keep the shoppers of a form for the session. Return the reference; empty: it names none."""
    typed = re.split(r"[\s,;]+", sent.get("shoppers", ""))
    ids = [*dict.fromkeys(each for each in typed if each)][:MOST]
    if not ids:
        return ""
    await admit_first(visit)
    kind = "u" if sent.get("kind") == "user" else "v"
    return visit.keep(KIND, f"{kind}{' '.join(ids)}".encode())


def kept(visit: Visit, reference: str) -> Group | None:
    """Return the shoppers that an address refers to; None: it refers to none."""
    if not reference:
        return None
    content = visit.kept(KIND, reference)
    if content is None:
        return Group.gone()
    return Group(tuple(content[1:].decode().split()), content[:1] == b"u")

"""Static keys: a TOML file with a hash, roles and catalogs for each caller, reloaded when it
changes.

    [[keys]]
    name = "shop-frontend"
    sha256 = "…"  # of the token: `sightline keys new` prints both
    roles = ["read", "events"]
    catalogs = ["default"]  # ["*"]: all
    shoppers = "any"  # or "none", or "own" with user_id = "…"; default: any
    expires = 2027-01-01  # optional

Tokens have 256 random bits, so their plain hash can't be inverted.
"""

import hashlib
import time
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from gateway.callers.signed import PREFIX
from servicekit.admission.access import Caller, Role
from servicekit.clock import in_utc
from servicekit.watched_files import Reloaded, Unreadable, problems, stale_keys


class ShopperScope(StrEnum):
    """The shoppers that a caller's requests may name."""

    ANY = "any"
    OWN = "own"
    """The one user that the key names."""
    NONE = "none"


class CallerKey(BaseModel):
    """One caller's key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[\w.@:/-]{1,128}$")]
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    roles: Annotated[frozenset[Role], Field(min_length=1)]
    catalogs: Annotated[frozenset[str], Field(min_length=1)]
    shoppers: ShopperScope = ShopperScope.ANY
    user_id: Annotated[str, StringConstraints(max_length=128)] = ""
    """The user of the scope `own`."""
    expires: datetime | date | None = None

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.name.startswith(PREFIX):
            raise ValueError(f"name: must not begin with {PREFIX}, as the callers of JWTs do")
        return self

    @model_validator(mode="after")
    def _own(self) -> Self:
        if (self.shoppers is ShopperScope.OWN) != bool(self.user_id):
            raise ValueError('user_id belongs to shoppers = "own": set both or neither')
        return self

    def caller(self) -> Caller:
        """Return the caller that has the key."""
        shopper = None if self.shoppers is ShopperScope.ANY else self.user_id
        return Caller.of(self.name, self.roles, self.catalogs, shopper)

    def good(self, now: datetime) -> bool:
        """Return whether the key has not expired."""
        end = self.expires
        if end is None:
            return True
        if not isinstance(end, datetime):
            end = datetime(end.year, end.month, end.day)  # noqa: DTZ001 - its zone follows
        return now < in_utc(end)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: tuple[CallerKey, ...]


class Keys:
    """The current keys of a file."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read the file. Raises Unreadable."""
        self._now = now
        self._held = Reloaded(
            lambda: [path], lambda: _read(path), stale=stale_keys("callers"), clock=clock
        )

    def caller(self, token: str) -> Caller | None:
        """Return the caller that has this token; None: no caller has it, or it has expired."""
        key = self._held.get().get(hashlib.sha256(token.encode()).hexdigest())
        return key.caller() if key is not None and key.good(self._now()) else None


def _read(path: Path) -> Mapping[str, CallerKey]:
    """Return the keys by their hash."""
    try:
        file = _File.model_validate(tomllib.loads(path.read_text("utf-8")))
    except ValidationError as error:
        raise Unreadable(f"{path}: {problems(error)}") from None
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path}: {error}") from None
    keys = {key.sha256: key for key in file.keys}
    if len(keys) != len(file.keys) or len({key.name for key in file.keys}) != len(file.keys):
        raise Unreadable(f"{path}: two keys have the same name or the same sha256")
    return keys
